//! `list`.

use clap::{Args, ValueEnum};

use super::{Outcome, output};
use crate::ops::{self, Context, ListItem};

/// List the containers below the state directory
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// What the list looks like
    #[arg(long, short, value_name = "FORMAT", default_value = "table")]
    format: Form,

    /// Print names only, one on each line
    #[arg(long, short)]
    quiet: bool,
}

/// What the list looks like.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Columns with a header
    Table,
    /// One JSON array
    Json,
}

const HEADER: [&str; 6] = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

/// The narrowest column, and the space between two.
const NARROWEST: usize = 12;
const GAP: usize = 3;

pub(super) fn perform(context: &Context, args: &ListArgs) -> Outcome {
    let items = ops::list(context)?;
    match args.format {
        _ if args.quiet => output::print(&names(&items)),
        Form::Table => output::print(&table(&items)),
        Form::Json => output::print_compact(&items),
    }
}

fn names(items: &[ListItem]) -> String {
    items.iter().map(|item| format!("{}\n", item.id)).collect()
}

/// Columns as wide as their widest cell; the last one is not filled up.
fn table(items: &[ListItem]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(items.iter().map(|item| {
        let texts = [&item.id, &item.status, &item.bundle, &item.created, &item.owner];
        let [id, status, bundle, created, owner] = texts.map(|text| output::one_line(text));
        [id, item.pid.to_string(), status, bundle, created, owner]
    }));
    let mut widths = [NARROWEST; HEADER.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count().saturating_add(GAP));
        }
    }
    rows.iter().map(|row| line(row, widths)).collect()
}

fn line(row: &[String; HEADER.len()], widths: [usize; HEADER.len()]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
    let line: String = cells.collect();
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str) -> ListItem {
        ListItem {
            oci_version: "1.0.2".to_owned(),
            id: id.to_owned(),
            pid: 4321,
            status: "running".to_owned(),
            bundle: "/run/bundles/one\n\x1b[2J".to_owned(),
            rootfs: "/run/bundles/one/rootfs".to_owned(),
            created: "2026-08-01T09:30:00.000000001Z".to_owned(),
            owner: "root".to_owned(),
        }
    }

    #[test]
    fn an_empty_table_is_its_header() {
        let header = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n";

        assert_eq!(table(&[]), header);
    }

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell_and_a_row_stays_one_line() {
        let text = table(&[item("a"), item("a-name-that-is-long")]);

        assert_eq!(
            text,
            r"ID                    PID         STATUS      BUNDLE                        CREATED                          OWNER
a                     4321        running     /run/bundles/one\n\u{1b}[2J   2026-08-01T09:30:00.000000001Z   root
a-name-that-is-long   4321        running     /run/bundles/one\n\u{1b}[2J   2026-08-01T09:30:00.000000001Z   root
"
        );
    }

    #[test]
    fn names_come_one_on_each_line() {
        assert_eq!(names(&[item("a"), item("b")]), "a\nb\n");
    }
}
