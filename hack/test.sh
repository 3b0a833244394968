#!/usr/bin/env bash
# Installs what the tests need, then checks and tests everything. What CI runs.
#
#   hack/test.sh [PHASE...]
#
# Without arguments all phases run, in the order of the list below, also after a failure.
# For a Debian machine, as root; attacks are tried, so take one that may be lost. Safe to run
# again, and from a fresh clone.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

readonly PHASES='format clippy scripts generated unit integration fault debian engines doc try_out probes extra'

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
summary=() failed_phases=0

format() {
	cargo fmt --check
}

clippy() {
	cargo clippy --locked --all-targets -- -D warnings &&
		cargo clippy --locked --all-targets --features fault -- -D warnings
}

scripts() {
	shellcheck -x -S warning hack/*.sh .ci/run
}

# What is generated is what is checked in.
generated() {
	local file=src/seccomp/baseline/table.rs status=0
	cp "$file" "$logs/table.rs"
	hack/tables.sh baseline && cmp "$file" "$logs/table.rs" || status=1
	cp "$logs/table.rs" "$file"
	hack/spec-rows.sh --check || status=1
	return "$status"
}

unit() {
	cargo test --locked --lib --bins
}

integration() {
	cargo test --locked --test integration
}

# The same with the code in that lets a test fail any step and take any one defence out.
fault() {
	cargo test --locked --features fault --lib --bins --test integration
}

# Tests on a whole Debian; it is fetched once and kept in target/test-cache.
debian() {
	cargo test --locked --test integration -- --ignored --skip every_must_is_withstood \
		--skip engines::
}

# Real engines with the binary under test. Few at a time: each has namespaces of its own, and mostly
# waits, but more daemons at once would not be in time for one another. What takes minutes is in
# hack/engines.sh.
engines() {
	need_packages podman conmon netavark aardvark-dns catatonit containerd buildah docker.io \
		containernetworking-plugins curl fuse-overlayfs iproute2 iptables bsdutils uidmap slirp4netns &&
		cargo test --locked --test integration -- --ignored --test-threads 3 engines:: \
			--skip engines::software::
}

# Links to private items are for readers of the source, where they are names and nothing more.
doc() {
	RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' cargo doc --locked --no-deps --lib &&
		cargo test --locked --doc
}

# The black-box driver, against the program that would be shipped.
probes() {
	build_release &&
		python3 integration/probes/probes.py --expect hardened --runtime "$(release_binary)"
}

try_out() {
	build_release && "$(release_binary)" try
}

# Known faults and licences of dependencies, and spelling: where the tools are there.
extra() {
	local status=0
	if command -v cargo-deny >/dev/null; then
		cargo deny --config .deny.toml check || status=1
	else
		echo 'skipped, because cargo-deny is not installed'
	fi
	if command -v typos >/dev/null; then
		typos --config .typos.toml || status=1
	else
		echo 'skipped, because typos is not installed'
	fi
	return "$status"
}

phase() {
	local name=$1 begun=$SECONDS result=ok
	printf '\n== %s\n' "$name"
	if ! "$name" 2>&1 | tee "$logs/$name.log"; then
		result=FAILED
		failed_phases=$((failed_phases + 1))
	fi
	summary+=("$(printf '%-12s %-7s %5d s' "$name" "$result" $((SECONDS - begun)))")
}

# The sum of a field of cargo's result lines; a field is the word after a number.
sum() {
	{ cat "$logs"/*.log | grep -a '^test result:' || true; } | tr ';.' '\n' |
		awk -v word="$1" '$2 == word { sum += $1 } END { print sum + 0 }'
}

# The sum of a number in the driver's last line.
probes_with() {
	[ ! -e "$logs/probes.log" ] ||
		sed -n "s/^# .*casemate: .*\\b$1 \\([0-9]*\\)[,)].*/\\1/p" "$logs/probes.log"
}

report() {
	local passed failed lone=0 line must probes_ok
	passed=$(sum passed) failed=$(sum failed)
	probes_ok=$(probes_with 'ok' | tail -n 1) must=$(probes_with must | tail -n 1)
	failed=$((failed + ${must:-0})) passed=$((passed + ${probes_ok:-0}))
	[ "$failed_phases" = 0 ] || [ "$failed" != 0 ] || lone=$failed_phases
	printf '\n== summary (%d s)\n' "$SECONDS"
	for line in "${summary[@]}"; do printf '%s\n' "$line"; done
	grep -ah '^test result:' "$logs"/*.log || true
	grep -ah '^# .*casemate: ok' "$logs"/*.log || true
	printf '%d passed, %d failed\n' "$passed" $((failed + lone))
}

echo '== what the tests need'
need_root
need_packages gcc libc6-dev libseccomp-dev ca-certificates busybox-static debootstrap jq \
	python3 runc shellcheck util-linux
need_rust
for tool in fmt clippy; do
	cargo "$tool" --version >/dev/null 2>&1 ||
		fail "no cargo-$tool: \`rustup component add rustfmt clippy\`"
done

# shellcheck disable=SC2086 # the words are to be split
[ $# != 0 ] || set -- $PHASES
for name; do
	case " $PHASES " in
	*" $name "*) phase "$name" ;;
	*) fail "no phase \`$name\`; there are: $PHASES" ;;
	esac
done
report
[ "$failed_phases" = 0 ]
