#!/usr/bin/env bash
# Tests with real engines that take longer than those of `hack/test.sh engines`.
#
#   hack/engines.sh [PART...]
#
# software  images of Debian's services at work, by Podman: what the table of
#           profiles/engines/README.md says (2 minutes; the image, 700 MB, is made once, from the
#           mirror that apt uses, in target/test-cache)
# scale     200 containers of containerd's alive at once, and 1,000 one after another: ids of their
#           own, nothing left, no slower in the end (5 minutes)
# newer     the tests of Podman, containerd and Docker again, with Podman of Debian 13, and containerd
#           2 and Docker 28 of unstable, in a root of their own (8 minutes; the root, 1 GB, is made
#           once, as above)
# crio      tests of CRI-O, which Debian does not have, in the same root (2 minutes); they need
#           CASEMATE_TEST_CRIO: a directory with `crio` and `pinns`
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

readonly PARTS='software scale newer crio'

need_root
need_packages gcc libc6-dev libseccomp-dev ca-certificates busybox-static debootstrap podman conmon \
	netavark aardvark-dns catatonit containerd docker.io containernetworking-plugins curl fuse-overlayfs \
	iproute2 iptables
need_rust

export CASEMATE_TEST_ALIVE=${CASEMATE_TEST_ALIVE:-200} CASEMATE_TEST_CYCLES=${CASEMATE_TEST_CYCLES:-1000}

# Makes the root that has newer engines. Snapshots of unstable are often past their date.
newer_root() {
	local root=$1 mirror
	[ ! -x "$root/usr/bin/docker" ] || return 0
	mirror=$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' |
		sed -n 's/^Debian //p' | grep -v security | head -n 1)
	rm -rf "$root" "$root.new" && mkdir -p "$(dirname "$root")"
	debootstrap --variant=minbase trixie "$root.new" "$mirror" >/dev/null
	ROOT=$root.new MIRROR=$mirror unshare --mount --propagation private bash -euc '
		mount --bind /dev "$ROOT/dev" && mount -t proc proc "$ROOT/proc"
		printf "#!/bin/sh\nexit 101\n" >"$ROOT/usr/sbin/policy-rc.d"
		chmod 755 "$ROOT/usr/sbin/policy-rc.d"
		export DEBIAN_FRONTEND=noninteractive LC_ALL=C
		install=(chroot "$ROOT" apt-get -qq -y -o APT::Sandbox::User=root
			-o Acquire::Check-Valid-Until=false --no-install-recommends)
		"${install[@]}" install podman conmon netavark aardvark-dns catatonit fuse-overlayfs curl \
			iproute2 iptables nftables busybox-static containernetworking-plugins buildah crun \
			libseccomp2 libsqlite3-0
		echo "deb $MIRROR sid main" >"$ROOT/etc/apt/sources.list"
		"${install[@]}" update && "${install[@]}" install containerd docker.io docker-cli procps bsdutils'
	mv "$root.new" "$root"
}

# The tests of a part.
run() {
	local part=$1 filters=("engines::$1::")
	case $part in
	newer | crio)
		newer_root "$PWD/target/test-cache/debian-newer"
		export CASEMATE_TEST_ROOT=$PWD/target/test-cache/debian-newer
		;;
	esac
	[ "$part" != newer ] ||
		filters=(engines::podman:: engines::containerd:: engines::docker:: engines::attacks::)
	cargo test --locked --test integration -- --ignored --nocapture --test-threads 1 "${filters[@]}"
}

# shellcheck disable=SC2086 # the words are to be split
[ $# != 0 ] || set -- $PARTS
for part; do
	case " $PARTS " in
	*" $part "*) ;;
	*) fail "no part \`$part\`; there are: $PARTS" ;;
	esac
	(run "$part")
done
