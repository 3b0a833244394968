#!/usr/bin/env bash
# Builds the fuzz targets and runs them.
#
#   hack/fuzz.sh [--seconds N] [TARGET...]
#
# Without names all targets of hack/fuzz run, N seconds each (default 60). With a nightly
# toolchain the fuzzer sees which code each input reaches; without one it only tries. Inputs that
# were worth keeping lie in hack/fuzz/corpus, one that failed in hack/fuzz/artifacts; to try such
# a file again: hack/fuzz/target/.../TARGET FILE. The status is 1 if any target failed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly ALL='seccomp seccomp_json seccomp_file spec recorded kernel_log dbus'
seconds=60 targets=()
while [ $# -gt 0 ]; do
	case $1 in
	--seconds)
		[ $# -gt 1 ] || { echo "$0: --seconds needs a number" >&2; exit 2; }
		seconds=$2
		shift
		;;
	-h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
	-*) sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
	*) targets+=("$1") ;;
	esac
	shift
done
# shellcheck disable=SC2206 # the words are to be split
[ ${#targets[@]} != 0 ] || targets=($ALL)

host=$(rustc -vV | sed -n 's/^host: //p')
toolchain=()
# Flags of its own: the product's would link the fuzzer statically. As cargo-fuzz sets them.
RUSTFLAGS='--cfg fuzzing -Cdebug-assertions'
if rustup toolchain list 2>/dev/null | grep -q '^nightly'; then
	toolchain=(+nightly)
	RUSTFLAGS+=' -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4'
	RUSTFLAGS+=' -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
	RUSTFLAGS+=' -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares'
else
	echo 'fuzz: no nightly toolchain: inputs are tried without seeing what code they reach' >&2
fi
export RUSTFLAGS
cargo "${toolchain[@]}" build --manifest-path hack/fuzz/Cargo.toml --locked --release \
	--target "$host" --target-dir hack/fuzz/target

# What real inputs look like, for the targets that read bytes.
seed() {
	local corpus=hack/fuzz/corpus/$1
	mkdir -p "$corpus" hack/fuzz/artifacts
	case $1 in
	seccomp_json | seccomp_file) cp -n integration/golden/seccomp/*.json "$corpus" ;;
	spec) cp -n integration/golden/captured/*.json "$corpus" ;;
	esac
}

status=0
for target in "${targets[@]}"; do
	seed "$target"
	printf '\n== %s, %s s\n' "$target" "$seconds"
	"hack/fuzz/target/$host/release/$target" "hack/fuzz/corpus/$target" \
		-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="hack/fuzz/artifacts/$target-" 2>&1 |
		grep -aE 'ERROR|panicked|SUMMARY|stat::|DONE|Test unit|artifact' || status=1
	[ "${PIPESTATUS[0]}" = 0 ] || status=1
done
exit "$status"
