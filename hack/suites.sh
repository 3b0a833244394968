#!/usr/bin/env bash
# Runs other projects' suites against casemate. They are not in this repository: give the
# directory of a checkout in which they are built.
#
#   hack/suites.sh [--level audit|hardened] [--runtime FILE] [--out DIR] bats DIR [FILE.bats...]
#   hack/suites.sh [...] contest DIR [GROUP...]
#   hack/suites.sh [...] validation DIR [PROGRAM...]
#
# bats        runc: built test programs in DIR/tests/cmd/_bin, images in
#             DIR/tests/integration/testdata
# contest     youki: a checkout with DIR/contest, DIR/runtimetest and DIR/bundle.tar.gz
# validation  OCI runtime-tools: DIR/runtimetest and DIR/validation/*/*.t
#
# Each prints the names of what failed, and the counts. Files of one suite run one after
# another; do not run two suites at once, their control groups have the same names. With
# --runtime another program is tried in the same way: what fails there, too, is the machine's.
#
# The result of every test stays in the directory that --out names.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

level=audit runtime='' out=target/suites

while [ $# -gt 0 ]; do
	case "$1" in
	--level) level=$2 && shift 2 ;;
	--runtime) runtime=$2 && shift 2 ;;
	--out) out=$2 && shift 2 ;;
	*) break ;;
	esac
done
[ $# -ge 2 ] || fail "see the first lines of this file"
suite=$1 suite_dir=$(realpath "$2")
shift 2
need_root

mkdir -p "$out"
out=$(realpath "$out")
if [ -z "$runtime" ]; then
	need_rust
	build_release
	# Suites take the name from the file's: runc's looks for its own name in what is printed.
	mkdir -p "$out/bin"
	cp "$(release_binary)" "$out/bin/casemate"
	printf 'level = "%s"\n' "$level" >"$out/policy.toml"
	runtime=$out/bin/runc
	printf '#!/bin/sh\nexec "%s/bin/casemate" --policy "%s/policy.toml" "$@"\n' "$out" "$out" >"$runtime"
	chmod 755 "$runtime"
fi
runtime=$(realpath "$runtime")
results=$out/$suite.$level.$(basename "$(dirname "$runtime")")
rm -rf "$results"
mkdir -p "$results"

# One file at a time: what hangs costs its own time and no more. With a terminal, as runc's
# suite wants one.
bats_suite() {
	local file name
	# The suite asks Go for the name of the processor, and for nothing else.
	mkdir -p "$out/go"
	printf '#!/bin/sh\ndpkg --print-architecture\n' >"$out/go/go"
	chmod 755 "$out/go/go"
	export RUNC=$runtime PATH=$out/go:$PATH
	cd "$suite_dir/tests/integration"
	[ $# -gt 0 ] || set -- *.bats
	# A terminal at which nobody types: at the end of input, script(1) would type a NUL.
	rm -f "$out/quiet"
	mkfifo "$out/quiet"
	exec 8<>"$out/quiet"
	for file; do
		name=$(basename "$file" .bats)
		timeout 600 script -qec "bats --tap $name.bats >$results/$name.tap 2>&1" /dev/null \
			<&8 >/dev/null 2>&1 || true
		printf '%s: %s ok, %s not ok\n' "$name" "$(grep -c '^ok ' "$results/$name.tap")" \
			"$(grep -c '^not ok ' "$results/$name.tap")" >&2
	done
	sed -n 's/^not ok [0-9]* //p' "$results"/*.tap
	awk '/^ok .*# skip/ { skipped++; next } /^ok / { ok++ } /^not ok / { failed++ }
		END { printf "%d passed, %d failed, %d skipped\n", ok, failed, skipped }' "$results"/*.tap
}

# What is selected of contest: a group, or GROUP::TEST.
contest_part() {
	RUNTIME_KIND=${RUNTIME_KIND:-runc} timeout "$1" ./contest run --runtime "$runtime" \
		--runtimetest ./runtimetest -t "$2" 2>&1 </dev/null
}

# The names of a group's tests, from the source: the program does not tell them.
contest_tests() {
	local file
	file=$(grep -rl "TestGroup::new(\"$1\")" tests/contest/contest/src/tests | head -n 1)
	[ -z "$file" ] || grep -rhozP 'Test::new\(\s*"\K[^"]+' "$(dirname "$file")" |
		tr '\0' '\n' | sort -u
}

# Group by group. A test that panics, or waits for ever, ends the program and takes the results
# of its group along: then one test after the other.
contest_suite() {
	local group groups name
	cd "$suite_dir"
	groups=${*:-$(RUNTIME_KIND=${RUNTIME_KIND:-runc} ./contest list)}
	for group in $groups; do
		contest_part 120 "$group" >"$results/$group.log" && continue
		mv "$results/$group.log" "$results/$group.early"
		for name in $(contest_tests "$group"); do
			contest_part 60 "$group::$name" >>"$results/$group.log" ||
				printf '1 / 1 : %s : not ok, the program ended early\n' "$name" >>"$results/$group.log"
		done
		grep -qsE '^[0-9]+ / [0-9]+ : ' "$results/$group.log" ||
			printf '1 / 1 : %s : not ok, the program ended early\n' "$group" >"$results/$group.log"
	done
	grep -E '^[0-9]+ / [0-9]+ : .*: not ok' "$results"/*.log | sed "s|^$results/||" || true
	awk '/^[0-9]+ \/ [0-9]+ : .*: skipped/ { skipped++ } /^[0-9]+ \/ [0-9]+ : .*: ok/ { ok++ }
		/^[0-9]+ \/ [0-9]+ : .*: not ok/ { failed++ }
		END { printf "%d passed, %d failed, %d skipped\n", ok, failed, skipped }' "$results"/*.log
}

# A program passes when it ends with 0 and never says `not ok`. Some say nothing at all when they
# are content (`1..0`).
validation_suite() {
	local program name passed=0 failed=0
	export RUNTIME=$runtime
	cd "$suite_dir"
	[ $# -gt 0 ] || set -- validation/*/*.t
	for program; do
		name=$(basename "$program" .t)
		if timeout 120 "./$program" >"$results/$name.tap" 2>&1 </dev/null &&
			! grep -qE '^\s*not ok' "$results/$name.tap"; then
			passed=$((passed + 1))
		else
			failed=$((failed + 1))
			printf '%s\n' "$name"
		fi
	done
	printf '%d passed, %d failed\n' "$passed" "$failed"
}

case "$suite" in
bats)
	need_packages bats gawk iproute2 jq procps bsdutils
	bats_suite "$@"
	;;
contest) contest_suite "$@" ;;
validation) validation_suite "$@" ;;
*) fail "no suite \`$suite\`: there are bats, contest and validation" ;;
esac
