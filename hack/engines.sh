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
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

readonly PARTS='software scale'

need_root
need_packages gcc libc6-dev libseccomp-dev ca-certificates busybox-static debootstrap podman conmon \
	netavark aardvark-dns catatonit containerd curl iproute2 iptables
need_rust

export CASEMATE_TEST_ALIVE=${CASEMATE_TEST_ALIVE:-200} CASEMATE_TEST_CYCLES=${CASEMATE_TEST_CYCLES:-1000}

# shellcheck disable=SC2086 # the words are to be split
[ $# != 0 ] || set -- $PARTS
for part; do
	case " $PARTS " in
	*" $part "*) ;;
	*) fail "no part \`$part\`; there are: $PARTS" ;;
	esac
	cargo test --locked --test integration -- --ignored --nocapture --test-threads 1 "engines::$part::"
done
