#!/usr/bin/env bash
# Measures `run` of a static /bin/true: casemate beside crun, runc and the floor.
set -euo pipefail

usage() {
	cat <<'TEXT'
usage: hack/bench.sh [OPTIONS]

Measures `run` of /bin/true to its exit, with Podman's default configuration, for
casemate (level `hardened`), crun, runc and the floor (integration/bench/floor.c), in
one interleaved run: back to back, then with pauses of 60 ms. Needs root and cgroup v2.
Then the seccomp compiler, on Podman's default profile: size of the program, time to compile
it, and time to load it beside libseccomp's tree program for the same profile.

  --runs N      rounds per mode (default 200)
  --quick       30 rounds
  --json FILE   also write every sample and the summary to FILE
  --filter      only the seccomp compiler
  --trace       only show where the floor's time goes, step by step
  --enforce     exit status 4 when casemate misses a bar, or does not run
  --refresh     fetch the newest crun and runc again
  --offline     fetch nothing

Environment:
  CASEMATE             the binary (default: the release build under target/)
  CRUN_NEW, RUNC_NEW   newest crun and runc; else Debian's newest packages are fetched
                       into target/bench/, which leaves the system alone
TEXT
}

repo=$(cd "$(dirname "$0")/.." && pwd)
source=$repo/integration/bench
target=${CARGO_TARGET_DIR:-$repo/target}
built=$target/bench
packages=$built/packages
note() { printf 'bench: %s\n' "$*" >&2; }
die() { note "$*"; exit 1; }

# apt-get with state, cache and sources of its own.
apt_apart() {
	apt-get -qq -o Dir::Etc::sourcelist="$packages/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$packages/apt/state" -o Dir::State::status="$packages/apt/state/status" \
		-o Dir::Cache="$packages/apt/cache" -o APT::Sandbox::User=root -o APT::Install-Recommends=false \
		-o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
		-o Acquire::http::Timeout=30 -o Acquire::Retries=1 "$@"
}

debian_mirror() {
	local found
	found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
		grep -m1 -E '/debian/?$' || true)
	[ -n "$found" ] || die 'apt knows no mirror of Debian to take newer packages from'
	printf '%s\n' "$found"
}

# Downloads crun, runc and patchelf of Debian unstable with their libraries, and a newer
# runc from experimental if it is there.
download_packages() {
	local keys=/usr/share/keyrings/debian-archive-keyring.gpg mirror suite
	mkdir -p "$packages"/apt/{state/lists/partial,cache/archives/partial} "$packages"/debs
	: >"$packages/apt/state/status"
	mirror=$(debian_mirror)
	for suite in sid experimental; do
		printf 'deb [signed-by=%s] %s %s main\n' "$keys" "$mirror" "$suite"
	done >"$packages/apt/sources.list"
	apt_apart update || return 1
	apt_apart -y --download-only install crun runc patchelf || return 1
	mv "$packages"/apt/cache/archives/*.deb "$packages/debs/"
	(cd "$packages/debs" && apt_apart download runc/experimental 2>/dev/null) || true
}

# Unpacks the packages and points the programs at the loader and libraries that came with
# them: a wrapper would add an exec to each start, and runtimes look at /proc/self/exe.
unpack_packages() {
	local root=$packages/root lib loader deb program
	lib=$root/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)
	mkdir -p "$root"
	# In version order, so that the newest runc is the one that stays.
	while read -r deb; do
		dpkg -x "$deb" "$root" || return 1
	done < <(printf '%s\n' "$packages"/debs/*.deb | sort -V)
	loader=$(echo "$lib"/ld-linux-*.so.*)
	for program in "$root/usr/bin/crun" "$root/usr/sbin/runc"; do
		"$loader" --library-path "$lib" "$root/usr/bin/patchelf" --set-interpreter "$loader" \
			--force-rpath --set-rpath "$lib" "$program" || return 1
		"$program" --version >/dev/null || return 1
	done
}

fetch_runtimes() {
	[ -n "${CRUN_NEW:-}" ] && [ -n "${RUNC_NEW:-}" ] && return
	if [ ! -e "$packages/complete" ]; then
		if [ -n "$offline" ]; then
			note 'newest crun and runc: not fetched before, and --offline forbids it; left out'
			return
		fi
		note 'fetching the newest crun and runc from Debian (about 15 MB, once)'
		rm -rf "$packages"
		mkdir -p "$packages"
		if ! { command -v apt-get >/dev/null && download_packages && unpack_packages; } >"$built/fetch.log" 2>&1; then
			note "newest crun and runc: not obtained, left out; see $built/fetch.log"
			return
		fi
		rm -rf "$packages/debs" "$packages/apt"
		: >"$packages/complete"
	fi
	CRUN_NEW=${CRUN_NEW:-$packages/root/usr/bin/crun}
	RUNC_NEW=${RUNC_NEW:-$packages/root/usr/sbin/runc}
}

build() {
	local missing=
	for tool in gcc python3 unshare; do
		command -v "$tool" >/dev/null || missing+=" $tool"
	done
	[ -z "$missing" ] || die "missing:$missing"
	mkdir -p "$built"
	gcc -O2 -static -nostdlib -Wall -Wextra -o "$built/true" "$source/true.c"
	gcc -O2 -static -Wall -Wextra -o "$built/lap" "$source/lap.c"
	gcc -O2 -static -Wall -Wextra -o "$built/floor" "$source/floor.c"
	# The oracle needs libseccomp, which the rest does without.
	rm -f "$built/oracle"
	gcc -O2 -o "$built/oracle" "$repo/integration/seccomp_compiler/oracle.c" -lseccomp 2>/dev/null || true
}

# Ends what is left in the cgroups of this run and removes them, deepest first.
clean_up() {
	local group
	while read -r group; do
		echo 1 >"$group/cgroup.kill" || true
		for _ in $(seq 50); do
			rmdir "$group" 2>/dev/null && break
			sleep 0.02
		done
	done < <(find /sys/fs/cgroup -mindepth 1 -depth -type d -path "/sys/fs/cgroup/$name*" 2>/dev/null)
	[ -z "${work:-}" ] || rm -rf "$work"
}

# The part that runs in the private mount namespace.
inside() {
	mount --make-rprivate /
	if [ "$(stat -f -c %T /sys/fs/cgroup)" != cgroup2fs ]; then
		mount -t cgroup2 none /sys/fs/cgroup || die 'cannot mount cgroup2'
	fi
	name=casemate-bench-$$
	work=
	trap clean_up EXIT
	trap 'exit 130' INT TERM HUP
	# State lies on a tmpfs everywhere but on machines without an init: so it does here, for all.
	if [ "$(stat -f -c %T /run)" != tmpfs ]; then
		mount -t tmpfs -o mode=755 none /run || die 'cannot mount a tmpfs on /run'
	fi
	work=$(mktemp -d)
	# In the background, so that a signal to this shell is acted upon at once.
	python3 "$source/measure.py" --work "$work" --built "$built" --name "$name" \
		--config "$source/podman-default.json" "$@" &
	local measuring=$! status=0
	trap 'kill $measuring 2>/dev/null; wait $measuring; exit 130' INT TERM HUP
	wait "$measuring" || status=$?
	exit "$status"
}

if [ "${1:-}" = --inside ]; then
	shift
	inside "$@"
fi

arguments=()
offline=
refresh=
while [ $# -gt 0 ]; do
	case $1 in
	--quick) arguments+=(--runs 30) ;;
	--runs | --json)
		[ $# -gt 1 ] || die "$1 needs a value"
		arguments+=("$1" "$2")
		shift
		;;
	--trace | --enforce | --filter) arguments+=("$1") ;;
	--refresh) refresh=yes ;;
	--offline) offline=yes ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || die 'needs root'
build
[ -z "$refresh" ] || rm -rf "$packages"
fetch_runtimes
casemate=${CASEMATE:-}
for triple in "$(uname -m)"-unknown-linux-{musl,gnu}; do
	[ -n "$casemate" ] || [ ! -x "$target/$triple/release/casemate" ] ||
		casemate=$target/$triple/release/casemate
done
exec unshare -m -- "$0" --inside --casemate "$casemate" --crun-new "${CRUN_NEW:-}" --runc-new "${RUNC_NEW:-}" \
	--crun-old "$(command -v crun || true)" --runc-old "$(command -v runc || true)" "${arguments[@]}"
