#!/usr/bin/env bash
# Builds casemate, and lets it attack a container of its own: `casemate try`.
#
#   hack/try.sh [OPTIONS OF `casemate try`]
#
# For a Debian machine, as root. It installs a linker and libc's static half if they are missing,
# and needs a Rust toolchain (https://rustup.rs). It leaves nothing behind but `target/`.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=hack/need.sh
. hack/need.sh

printf '== what the build needs\n' >&2
need_root
need_packages gcc libc6-dev ca-certificates >&2
need_rust

printf '== build\n' >&2
build_release

printf '== casemate try\n' >&2
exec "$(release_binary)" try "$@"
