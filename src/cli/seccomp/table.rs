//! Columns for people.

use std::fmt::Write as _;

use super::output::one_line;

/// Space between two columns.
const GAP: &str = "  ";

/// Rows below each other, each column as wide as its widest cell; the last one is not filled up.
/// Columns whose header begins with `>` are aligned to the right.
pub(super) fn columns(header: &[&str], rows: &[Vec<String>]) -> String {
    let mut all = vec![header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect()];
    all.extend(rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect::<Vec<_>>()));
    let mut widths = vec![0; header.len()];
    for row in &all {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    for row in &all {
        let mut line = String::new();
        for ((cell, width), name) in row.iter().zip(&widths).zip(header) {
            // Writing to a string does not fail.
            let _ = if name.starts_with('>') {
                write!(line, "{cell:>width$}{GAP}")
            } else {
                write!(line, "{cell:<width$}{GAP}")
            };
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// A count and its noun.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("{number} {one}") } else { format!("{number} {many}") }
}

/// The first few words of a list, and how many there are beside.
pub(super) fn some<T: AsRef<str>>(words: &[T], most: usize) -> String {
    let shown: Vec<_> = words.iter().take(most).map(|word| one_line(word.as_ref())).collect();
    let more = words.len().saturating_sub(shown.len());
    let shown = shown.join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_a_row_stays_one_line() {
        let rows = [["x86_64", "266", "a\nb"], ["x32", "12", ""]]
            .map(|row| row.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());

        assert_eq!(
            columns(&["ABI", ">SIZE", "NOTE"], &rows),
            "ABI     SIZE  NOTE\nx86_64   266  a\\nb\nx32       12\n"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(some(&["a", "b", "c"], 3), "a, b, c");
        assert_eq!(some(&["a", "b", "c"], 1), "a and 2 more");
        assert_eq!(count(1, "rule", "rules"), "1 rule");
    }
}
