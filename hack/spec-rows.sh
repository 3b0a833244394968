#!/usr/bin/env bash
# Writes integration/spec_rows.md: every row of the specification and of the command line, with the
# tests that prove it. With --check: fails if the file is not what it would write.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OUT=integration/spec_rows.md

# ROW<tab>TEST for each `// rows:` above a test.
claims() {
	find integration -name '*.rs' | LC_ALL=C sort | while read -r file; do
		module=${file#integration/}
		module=${module%.rs}
		module=${module%/mod}
		awk -v module="${module//\//::}" '
			/^ *\/\/ rows: / { sub(/^ *\/\/ rows: /, ""); rows = rows (rows ? ", " : "") $0; next }
			/^ *fn / && rows {
				name = $0; sub(/^ *fn /, "", name); sub(/\(.*/, "", name)
				count = split(rows, all, /, */)
				for (i = 1; i <= count; i++) print all[i] "\t" module "::" name
				rows = ""
			}' "$file"
	done
}

render() {
	claims | awk -F '\t' '
		NR == FNR && FILENAME == "-" { tests[$1] = tests[$1] (tests[$1] ? ", " : "") "`" $2 "`"; next }
		/^#[^#]/ { next }
		/^## / { print "\n" $0 "\n\n| row | tests |\n|---|---|"; next }
		NF { rows++; known[$1] = 1; if (!tests[$1]) { bare++; list = list (list ? ", " : "") "`" $1 "`" }
			print "| `" $1 "` | " (tests[$1] ? tests[$1] : "**none**") " |" }
		END {
			print "\n## Without a test\n\n" bare + 0 " of " rows " rows: " (list ? list : "none") "."
			for (row in tests) if (!known[row]) { print "unknown row: " row > "/dev/stderr"; wrong = 1 }
			exit wrong
		}' - integration/spec_rows.list
}

text=$(
	printf '# The specification, row by row\n\nMade by `hack/spec-rows.sh` from `spec_rows.list` and the `// rows:` above tests.\n'
	render
)
if [ "${1-}" = --check ]; then
	[ "$text" = "$(cat "$OUT")" ] || {
		echo "$OUT is not current: run hack/spec-rows.sh" >&2
		exit 1
	}
else
	printf '%s\n' "$text" >"$OUT"
fi
