#!/usr/bin/env bash
# Prints the table of runc's bats in integration/conformance.md from three results of
# hack/suites.sh, and from integration/conformance_bats.list, which has the reasons.
#
#   hack/conformance.sh RUNC AUDIT HARDENED        directories of *.tap files
#
# Fails, naming them, when a test that runc passes and casemate does not has no reason, and when a
# reason is given for a test that makes no difference.
set -euo pipefail
cd "$(dirname "$0")/.."

[ $# = 3 ] || {
	printf 'see the first lines of %s\n' "$0" >&2
	exit 1
}

# file TAB test TAB ok|failed|skipped
results() {
	local tap
	for tap in "$1"/*.tap; do
		awk -v file="$(basename "$tap" .tap)" '
			/^(not )?ok [0-9]+ / {
				state = /^not/ ? "failed" : / # skip/ ? "skipped" : "ok"
				sub(/^(not )?ok [0-9]+ /, ""); sub(/ # skip.*/, ""); sub(/ +$/, "")
				print file "\t" $0 "\t" state
			}' "$tap"
	done
}

for level in reference audit hardened; do
	results "$1" | sed "s/^/$level\t/"
	shift
done | awk -F '\t' -v list=integration/conformance_bats.list '
	{ state[$1, $2 "\t" $3] = $4; count[$1, $4]++; tests[$2 "\t" $3]; }
	END {
		for (level = 1; level <= 3; level++) {
			name = level == 1 ? "reference" : level == 2 ? "audit" : "hardened"
			printf "%s: %d passed, %d failed, %d skipped\n", name, count[name, "ok"],
				count[name, "failed"], count[name, "skipped"]
		}
		# level TAB file TAB test TAB what differs TAB why; a reason of `audit` holds for both.
		while ((getline line < list) > 0) {
			if (line ~ /^#/ || line == "") continue
			split(line, field, "\t")
			key = field[2] "\t" field[3]
			reason[field[1], key] = field[4] "\t" field[5]
			given[field[1] SUBSEP key] = 1
		}
		for (key in tests) {
			split(key, part, "\t")
			differs = state["reference", key] == "ok"
			audit = differs && state["audit", key] == "failed"
			hardened = differs && state["hardened", key] == "failed"
			if (audit && hardened && ("audit", key) in reason && !(("hardened", key) in reason)) {
				add("both", part[1], part[2], reason["audit", key]); used["audit" SUBSEP key]
				continue
			}
			if (audit) one("audit", key, part)
			if (hardened) one("hardened", key, part)
		}
		for (entry in given) if (!(entry in used)) {
			split(entry, part, SUBSEP)
			printf "no difference: %s\t%s\n", part[1], part[2] > "/dev/stderr"
			failed = 1
		}
		rows = asorti(row, sorted)
		for (i = 1; i <= rows; i++) {
			split(sorted[i], field, "\t")
			printf "| %s | %s | %s | %s |\n", row[sorted[i]], field[1], field[2], field[3]
		}
		exit failed
	}
	function one(level, key, part) {
		if (!((level, key) in reason)) {
			printf "no reason: %s\t%s\n", level, key > "/dev/stderr"
			failed = 1
			return
		}
		add(level, part[1], part[2], reason[level, key]); used[level SUBSEP key]
	}
	function add(level, file, test, why) {
		at = level "\t" why
		row[at] = row[at] (row[at] == "" ? "" : "<br>") "`" file "`: " test
	}
'
