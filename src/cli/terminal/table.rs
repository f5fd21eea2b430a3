//! Tables of aligned columns, and JSON values as their cells.
use crate::domain::printable::printable;
use serde_json::Value;
use std::fmt;
use unicode_width::UnicodeWidthStr;

/// Spaces between two columns.
const GAP: usize = 2;

/// Rows of cells, each column as wide as its widest cell. By hand, because comfy-table counts widths
/// in 16 bits and breaks longer cells into lines.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with a first row of headings.
    pub(crate) fn headed<T: AsRef<str>>(headings: impl IntoIterator<Item = T>) -> Self {
        let mut table = Self::default();
        table.row(headings);
        table
    }

    /// Adds a row.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let cells = cells.into_iter();
        let cells = cells.map(|cell| printable(cell.as_ref()).into_owned());
        self.rows.push(cells.collect());
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut widths = vec![0; columns];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        widths
    }
}

/// Every row ends with a line break; no line ends with spaces.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                let padding = width + GAP - cell.width();
                line.extend(std::iter::repeat_n(' ', padding));
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// The value at a JSON pointer as a cell; `-` if there is none.
pub(crate) fn cell(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).map_or_else(|| "-".into(), plain)
}

/// A JSON value as a cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Number(number) => number.to_string(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(map) if map.is_empty() => "-".into(),
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, it)| format!("{key}={}", plain(it)));
            pairs.collect::<Vec<_>>().join(",")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_without_spaces() {
        let mut table = Table::headed(["NAME", "STATE"]);
        table.row(["größer", "ready"]);
        table.row(["b", ""]);
        assert_eq!(table.to_string(), "NAME    STATE\ngrößer  ready\nb\n");
    }

    #[test]
    fn a_character_of_double_width_takes_two_columns() {
        let mut table = Table::headed(["NAME", "STATE"]);
        table.row(["数据库", "ready"]);
        table.row(["e\u{301}", "x"]);
        assert_eq!(
            table.to_string(),
            "NAME    STATE\n数据库  ready\ne\u{301}       x\n"
        );
    }

    #[test]
    fn control_characters_are_shown_and_not_done() {
        let mut table = Table::default();
        table.row(["a\u{1b}[2J\nb"]);
        assert_eq!(table.to_string(), "a\\u{1b}[2J\\nb\n");
    }

    #[test]
    fn values_of_any_sort_fit_a_cell() {
        let value = json!({"a": {"b": 7}, "none": null, "list": ["x", true], "map": {"k": "v"}});
        assert_eq!(cell(&value, "/a/b"), "7");
        assert_eq!(cell(&value, "/none"), "-");
        assert_eq!(cell(&value, "/missing"), "-");
        assert_eq!(cell(&value, "/list"), "x,yes");
        assert_eq!(cell(&value, "/map"), "k=v");
    }
}
