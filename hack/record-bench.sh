#!/usr/bin/env bash
# Measures what it costs to record a program, and to report what a container is refused.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

usage() {
	cat <<'TEXT'
usage: hack/record-bench.sh [--runs N] [--quick] [--enforce]

Runs a compilation and a Python import, recorded and not, in turn: recording may cost a tenth of
the time. As root also a container, with the three ways to tell of refusals.

  --runs N    rounds (default 40)
  --quick     10 rounds
  --enforce   exit status 4 when the bar is missed

Environment:
  CASEMATE    the binary (default: the release build, made if need be)
TEXT
}

arguments=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) arguments+=(--runs 10) ;;
	--runs)
		[ $# -gt 1 ] || fail "$1 needs a value"
		arguments+=("$1" "$2")
		shift
		;;
	--enforce) arguments+=("$1") ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
command -v gcc >/dev/null || need_packages gcc libc6-dev
if [ -z "${CASEMATE:-}" ]; then
	need_rust
	build_release
	CASEMATE=$(release_binary)
fi
exec python3 integration/bench/record.py --casemate "$(realpath "$CASEMATE")" "${arguments[@]}"
