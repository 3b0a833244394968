#!/usr/bin/env bash
# Boots a Debian virtual machine with systemd, cgroup v2 and AppArmor, and runs the tests there.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

usage() {
	cat <<'TEXT'
usage: hack/vm.sh [OPTIONS] [KERNEL] [FILTER...]

Boots Debian in qemu and runs the tests there as root, where real memory, cpu and io
controllers, D-Bus and AppArmor are. Prints the summary; its exit status is the tests'.

  KERNEL        6.1 (Debian 12), 6.12 (Debian 13), newest (unstable), or all: one after
                the other. Default: newest. What runs on it is Debian 13 each time
  FILTER        only integration tests with this in their name; default: hack/vm/inside.sh

  --limit SEC   end the machine after this long (default 7200)
  --rebuild     make the base image anew
  --selinux     with SELinux, permissive, in the place of AppArmor
  --legacy      with control groups of version 1, as systemd made them by default once
  --shell CMD   run this line there instead of the tests
  -h, --help    this text

The processor is emulated (TCG), so that no machine needs hardware for it: expect a minute
until the first test and half an hour for all. Base images are kept in target/vm-cache,
about 400 MB for each kernel; a second run packs only the programs under test.
TEXT
}

# The user space is the same for every kernel; the kernels come from where they are.
readonly USER_SPACE=trixie
readonly PACKAGES='systemd-sysv dbus apparmor busybox-static kmod initramfs-tools udev procps
	python3-minimal iproute2 iptables criu runc fuse-overlayfs gcc libc6-dev selinux-policy-default'
readonly KERNEL=linux-image-cloud-amd64
# The emulator is Debian 13's, too. That of Debian 12 (QEMU 7.2) now and then runs code that the
# kernel has changed meanwhile on another processor, which ends the machine with `Oops: int3`.
readonly EMULATOR='qemu-system-x86 seabios'
# How much slower than native tests may be.
readonly SLOW=20

cache=${CARGO_TARGET_DIR:-$PWD/target}/vm-cache
say() { printf 'vm: [%5d s] %s\n' "$SECONDS" "$*"; }

suite_of() {
	case $1 in
	6.1 | bookworm) echo bookworm ;;
	6.12 | trixie) echo trixie ;;
	newest | sid | 7.*) echo sid ;;
	*) return 1 ;;
	esac
}

# The mirror and the proxy that this machine's apt uses.
mirror() {
	apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		sed -n '/^Debian .*\/debian\/*$/s/^Debian //p' | head -n 1
}
proxy() {
	local P=
	eval "$(apt-config shell P Acquire::http::Proxy)"
	printf '%s' "$P"
}

# What is changed in the packages' files: less to boot, and the one service that runs the tests.
customise() {
	local root=$1 unit
	rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* \
		"$root"/usr/share/{doc,man,locale}
	# Debian's own profiles take half a minute to load, and confine nothing that is tested.
	find "$root/etc/apparmor.d" -maxdepth 1 -type f -delete
	for unit in tmp.mount systemd-{udevd,udev-trigger,udev-settle,hwdb-update,binfmt}.service \
		systemd-{timesyncd,networkd,pstore,random-seed,firstboot,logind}.service \
		kmod-static-nodes.service serial-getty@ttyS0.service getty@tty1.service getty.target \
		apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
		fstrim.timer modprobe@{drm,efi_pstore,fuse}.service \
		systemd-udevd-{control,kernel}.socket systemd-udevd-varlink.socket; do
		ln -sf /dev/null "$root/etc/systemd/system/$unit"
	done
	echo casemate-vm >"$root/etc/hostname"
	# Files bear no labels, so that it could enforce nothing.
	printf 'SELINUX=permissive\nSELINUXTYPE=default\n' >"$root/etc/selinux/config"
	cat >"$root/etc/systemd/system/casemate-tests.service" <<-'UNIT'
		[Unit]
		Description=The tests of casemate
		After=basic.target dbus.socket
		[Service]
		Type=oneshot
		Delegate=yes
		ExecStartPre=/bin/tar -xf /dev/vdb -C /
		ExecStart=/bin/sh /casemate/inside.sh
		StandardOutput=file:/dev/ttyS1
		StandardError=inherit
		SuccessAction=poweroff-force
		FailureAction=poweroff-force
	UNIT
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -sf ../casemate-tests.service "$root/etc/systemd/system/multi-user.target.wants/"
}

# What a base image is made of: if this changes, it is made anew.
recipe() {
	printf '%s\n' "$1" "$USER_SPACE" "$PACKAGES" "$KERNEL"
	declare -f customise bootstrap add_kernel
}

is_made() {
	[ "$(cat "$2/recipe" 2>/dev/null)" = "$(recipe "$1")" ]
}

# Makes a root file system of the user space's suite, with these packages in it.
bootstrap() {
	local dir=$1 packages=$2 log=$1/debootstrap.log from
	rm -rf "$dir"
	mkdir -p "$dir"
	from=$(mirror)
	[ -n "$from" ] || fail 'apt knows no mirror of Debian: run `apt-get update`'
	say "debootstrap of ${dir##*/} (a minute or two; log: $log)"
	# shellcheck disable=SC2086 # the words are to be joined
	http_proxy=$(proxy) debootstrap --variant=minbase --include="$(echo $packages | tr ' \n' ,,)" \
		"$USER_SPACE" "$dir/root" "$from" >"$log" 2>&1 || fail "debootstrap failed, see $log"
}

make_emulator() {
	[ "$(cat "$cache/qemu/recipe" 2>/dev/null)" != "$EMULATOR" ] || return 0
	bootstrap "$cache/qemu" "$EMULATOR"
	mkdir "$cache/qemu/root/machine"
	printf '%s' "$EMULATOR" >"$cache/qemu/recipe"
}

# Installs the kernel of a suite, and what its packages depend on, into a copy of the user space.
add_kernel() {
	local suite=$1 root=$2 from=$3
	echo "deb $from $suite main" >"$root/etc/apt/sources.list.d/kernel.list"
	printf 'Acquire::http::Proxy "%s";\n' "$(proxy)" >"$root/etc/apt/apt.conf.d/proxy"
	printf 'Package: *\nPin: release n=%s\nPin-Priority: 100\n' "$suite" >"$root/etc/apt/preferences"
	[ "$suite" != "$USER_SPACE" ] || rm -f "$root/etc/apt/preferences"
	cp -L /etc/resolv.conf "$root/etc/"
	# A mirror that is not brought up to date any more serves as well.
	DEBIAN_FRONTEND=noninteractive chroot "$root" sh -c "
		apt-get -q -o Acquire::Check-Valid-Until=false update &&
		apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io \
			-t $suite $KERNEL" || return
	rm "$root/etc/apt/apt.conf.d/proxy"
}

make_base() {
	local suite=$1 dir=$2 root=$2/root log=$2/install.log
	if is_made "$suite" "$dir"; then
		say "$suite: base image is there, $(cat "$dir/version")"
		return
	fi
	if ! is_made "$USER_SPACE" "$cache/user"; then
		bootstrap "$cache/user" "$PACKAGES"
		recipe "$USER_SPACE" >"$cache/user/recipe"
	fi
	rm -rf "$dir"
	mkdir -p "$dir"
	cp -a "$cache/user/root" "$root"
	say "$suite: installing the kernel (log: $log)"
	add_kernel "$suite" "$root" "$(mirror)" >"$log" 2>&1 || fail "that failed, see $log"
	customise "$root"
	mv "$root"/boot/vmlinuz-* "$dir/vmlinuz"
	mv "$root"/boot/initrd.img-* "$dir/initrd"
	find "$root/lib/modules/" -mindepth 1 -maxdepth 1 -printf '%f\n' >"$dir/version"
	say "$suite: file system, $(du -sh "$root" | cut -f 1)"
	mke2fs -q -t ext4 -d "$root" "$dir/root.img" 3G >/dev/null
	rm -rf "$root"
	recipe "$suite" >"$dir/recipe"
}

# The path of a test program, from cargo's messages.
executable() {
	sed -n "s/.*\"target\":{\"kind\":\[\"$1\"\].*\"executable\":\"\([^\"]*\)\".*/\1/p" "$cache/built.json"
}

build_tests() {
	say 'building the tests'
	cargo test --locked --profile vm --features fault --lib --test integration \
		--no-run --message-format=json-render-diagnostics >"$cache/built.json" || fail 'they do not build'
}

# What is under test goes in as a tar on a disk of its own, at the paths it was built with.
pack() {
	local kernel=$1 staged=$cache/staged program
	rm -rf "$staged"
	mkdir -p "$staged/casemate"
	cp hack/vm/inside.sh "$staged/casemate/"
	cat >"$staged/casemate/settings" <<-SETTINGS
		kernel='$kernel'
		unit='$(executable lib)'
		integration='$(executable test)'
		directory='$PWD'
		filters='$filters'
		line='${line//\'/\'\\\'\'}'
		export CASEMATE_TEST_SLOW=$SLOW
	SETTINGS
	for program in lib test bin; do
		program=$(executable "$program")
		mkdir -p "$staged/${program%/*}"
		# What is read through an emulated disk should be small.
		strip -g -o "$staged/$program" "$program" 2>/dev/null || cp "$program" "$staged/$program"
	done
	# shellcheck disable=SC2046 # the words are to be split
	tar -cf "$cache/payload.tar" -C "$staged" . -C / \
		$(git ls-files Cargo.toml integration profiles src | sed "s,^,${PWD#/}/,")
	truncate -s %1M "$cache/payload.tar"
	rm -rf "$staged"
}

# Prints what has been added to a file since it was last looked at.
show_new() {
	local file=$1 size
	size=$(stat -c %s "$file" 2>/dev/null || echo 0)
	[ "$size" -gt "$shown" ] || return 0
	tail -c +$((shown + 1)) "$file" | head -c $((size - shown)) | tr -d '\r'
	shown=$size beat=$SECONDS
}

# Becomes the emulator, which sees its own root and, at /machine, the cache.
emulate() {
	# shellcheck disable=SC2016 # for the inner shell
	exec unshare --mount --propagation private sh -c '
		mount --bind "$1" "$1/qemu/root/machine" && shift &&
			exec chroot "$@"' sh "$cache" "$cache/qemu/root" qemu-system-x86_64 "$@"
}

boot() {
	local dir=$1 at=/machine/${1##*/} begun=$SECONDS beat=$SECONDS shown=0
	console=$dir/console.log results=$dir/results.log
	rm -f "$console" "$results"
	say "booting (console: $console)"
	emulate -accel tcg,thread=multi,tb-size=1024 -cpu max -smp 2 -m 3G \
		-nodefaults -no-user-config -display none -no-reboot \
		-kernel "$at/vmlinuz" -initrd "$at/initrd" \
		-append 'root=/dev/vda rw console=ttyS0 panic=-1 apparmor=1 mitigations=off systemd.show_status=0'" security=$module$groups" \
		-drive "file=$at/root.img,format=raw,if=virtio,snapshot=on,cache=unsafe" \
		-drive "file=/machine/payload.tar,format=raw,if=virtio,readonly=on" \
		-serial "file:$at/console.log" -serial "file:$at/results.log" </dev/null &
	machine=$!
	while kill -0 "$machine" 2>/dev/null; do
		sleep 1
		show_new "$results"
		if [ $((SECONDS - begun)) -gt "$limit" ]; then
			say "not done after $limit s: ended"
			break
		fi
		# All is said; an emulated machine does not always manage to go off.
		if grep -aq '^casemate-vm: status' "$results" 2>/dev/null; then
			sleep 10
			break
		fi
		if [ $((SECONDS - beat)) -ge 30 ]; then
			beat=$SECONDS
			say "… $(tail -c 200 "$console" 2>/dev/null | tr -d '\r' | tail -n 1 | cut -c 1-100)"
		fi
	done
	stop_machine
	show_new "$results"
	took=$((SECONDS - begun))
}

stop_machine() {
	[ -n "${machine:-}" ] || return 0
	kill "$machine" 2>/dev/null || true
	wait "$machine" 2>/dev/null || true
	machine=
}

# The sum of a word's numbers in the result lines of the tests.
sum() {
	{ grep -a '^test result:' "$results" || true; } | tr -d '\r' | tr ';.' '\n' |
		awk -v word="$1" '$2 == word { sum += $1 } END { print sum + 0 }'
}

# The tests that said that they had nothing to test, a line each: its name and why.
skipped() {
	tr -d '\r' <"$results" 2>/dev/null |
		awk '/^---- .* stdout ----$/ { test = $2 }
			/^successes:|^failures:|^test result:/ { test = "" }
			/^skipped, because/ && test != "" { print test ": " $0; test = "" }'
}

report() {
	local kernel=$1 status skips count
	skips=$(skipped)
	status=$(tr -d '\r' <"$results" 2>/dev/null | sed -n 's/^casemate-vm: status //p' | tail -n 1)
	[ -n "$status" ] || status=lost
	# To the test program, what is skipped has passed.
	count=$(printf '%s' "$skips" | grep -c '' || true)
	summary+=("$(printf '%-24s %4d passed, %d failed, %d skipped, %d ignored; status %s, %d s' \
		"$kernel" $(($(sum passed) - count)) "$(sum failed)" "$count" "$(sum ignored)" "$status" "$took")")
	printf '\n%s, %d skipped:\n' "$kernel" "$count"
	[ "$count" = 0 ] ||
		printf '%s\n' "$skips" | sed 's/^[^ ]*: skipped, //' | sort | uniq -c | sort -rn
	[ "$status" = 0 ] && return
	worst=1
	say "failed: results in $results, console in $console"
	{ grep -ao '^test .* \.\.\. FAILED' "$results" || true; } | sed 's/^test /  /'
	[ "$status" != lost ] || tail -n 15 "$console" | tr -d '\r'
}

# In one piece, so that this file may change while it runs.
main() {
	limit=7200 rebuild='' line='' kernel='' module=apparmor groups=''
	while [ $# -gt 0 ]; do
		case $1 in
		-h | --help) usage; exit 0 ;;
		--rebuild) rebuild=yes ;;
		--selinux) module=selinux ;;
		# The second word is for those systemds that would rather not, any more.
		--legacy) groups=' systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1' ;;
		--limit | --shell)
			[ $# -gt 1 ] || fail "$1 needs a value"
			if [ "$1" = --limit ]; then limit=$2; else line=$2; fi
			shift
			;;
		-*) usage >&2; exit 2 ;;
		*) break ;;
		esac
		shift
	done
	if [ "${1:-}" = all ]; then
		kernel='6.1 6.12 newest'
		shift
	elif suite_of "${1:-none}" >/dev/null; then
		kernel=$1
		shift
	fi
	filters=$* summary=() worst=0

	[ "$(uname -m)" = x86_64 ] || fail 'only x86_64 machines can run it'
	need_root
	need_packages debootstrap e2fsprogs
	need_rust
	mkdir -p "$cache"
	exec 9>"$cache/lock"
	flock -n 9 || fail "another one is running from $cache"
	[ -z "$rebuild" ] || rm -f "$cache"/*/recipe
	trap stop_machine EXIT
	trap 'exit 130' INT TERM HUP
	build_tests
	make_emulator
	for kernel in ${kernel:-newest}; do
		suite=$(suite_of "$kernel")
		make_base "$suite" "$cache/$suite"
		pack "$kernel"
		boot "$cache/$suite"
		report "$(cat "$cache/$suite/version")"
	done
	printf '\n== summary (%d s)\n' "$SECONDS"
	printf '%s\n' "${summary[@]}"
	exit "$worst"
}

main "$@"
