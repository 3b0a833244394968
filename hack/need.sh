# What a machine must have before anything is built: sourced by try.sh and test.sh.
# shellcheck shell=bash

fail() {
	printf '%s: %s\n' "$0" "$*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || fail "run it as root: containers get host ids of their own"
}

# Installs the Debian packages that are missing, and asks apt for nothing if none is.
need_packages() {
	local package missing=()
	for package; do
		dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || fail "install these first: ${missing[*]}"
	printf 'installing %s\n' "${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq
	install_quietly "${missing[@]}"
}

# Tests start the daemons that they need, in a place of their own. Installing one is no reason to
# have it run on the machine.
install_quietly() {
	local policy=/usr/sbin/policy-rc.d status=0 ours=''
	if [ ! -e "$policy" ]; then
		ours=$policy
		printf '#!/bin/sh\nexit 101\n' >"$policy"
		chmod 755 "$policy"
	fi
	apt-get install -y -qq --no-install-recommends "$@" >/dev/null || status=$?
	[ -z "$ours" ] || rm -f "$ours"
	return "$status"
}

# Finds a toolchain that is new enough. It is not installed here: which one a machine has is
# its owner's to say, and Debian's own is older than what this code needs.
need_rust() {
	local wanted found
	wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
	if ! command -v cargo >/dev/null && [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ]; then
		PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
		export PATH
	fi
	command -v cargo >/dev/null ||
		fail "no cargo: get rustup from https://rustup.rs, then \`rustup toolchain install $wanted\`"
	found=$(rustc --version | cut -d ' ' -f 2 | cut -d - -f 1)
	[ "$(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1)" = "$wanted" ] ||
		fail "rustc is $found, $wanted is needed: \`rustup toolchain install $wanted && rustup default $wanted\`"
}

# What the program that is shipped is built for: musl, where the toolchain has it or can get it.
# Either is static; but glibc asks the processor for its features some ninety times at every
# start, and each time costs microseconds in a virtual machine: half a millisecond for nothing.
release_target() {
	local host musl
	host=$(rustc -vV | sed -n 's/^host: //p')
	musl=${host%-gnu}-musl
	if [ "$musl" != "$host" ] && { rustup target list --installed 2>/dev/null | grep -qx "$musl" ||
		rustup target add "$musl" >/dev/null 2>&1; }; then
		host=$musl
	fi
	printf '%s' "$host"
}

# Builds the program that is shipped.
build_release() {
	CASEMATE_COMMIT=$(git rev-parse HEAD 2>/dev/null || echo unknown) \
		cargo build --release --locked --bin casemate --target "$(release_target)"
}

# Where that program is.
release_binary() {
	printf '%s/%s/release/casemate' "${CARGO_TARGET_DIR:-target}" "$(release_target)"
}
