//! Tables for people.

use comfy_table::{Table, presets};

use crate::output::harmless;

/// Columns under their heads, separated by two blanks; ends with a line break.
pub(crate) fn columns<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = bare();
    table.set_header(heads);
    table.add_rows(rows.into_iter().map(|row| row.map(|cell| harmless(&cell))));
    printed(table)
}

/// What something is, line by line; ends with a line break. Lines without a value are left out.
pub(crate) fn facts<const N: usize>(facts: [(&str, Option<String>); N]) -> String {
    let mut table = bare();
    let known = facts.into_iter().filter_map(|(name, value)| Some([name.to_owned(), harmless(&value?)]));
    table.add_rows(known);
    printed(table)
}

fn bare() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table
}

fn printed(mut table: Table) -> String {
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    format!("{}\n", table.trim_fmt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["1".to_owned(), "ünï".to_owned()], ["22".to_owned(), "a\u{1b}[2Jb".to_owned()]];
        assert_eq!(columns(["ID", "NAME"], rows), "ID  NAME\n1   ünï\n22  a?[2Jb\n");
        assert_eq!(columns(["ID", "NAME"], []), "ID  NAME\n");
    }

    #[test]
    fn unknown_facts_are_left_out() {
        let text =
            facts([("id", Some("7".to_owned())), ("gone", None), ("status", Some("enabled".to_owned()))]);
        assert_eq!(text, "id      7\nstatus  enabled\n");
    }
}
