//! The first and the last line of our own NDJSON.
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The names in the first line of our own NDJSON: `{"columns":[{"name":…,"type":…},…]}`.
pub(in crate::data::imports) fn columns_line(text: &[u8]) -> Option<Vec<String>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        columns: Vec<Column>,
    }
    #[derive(serde::Deserialize)]
    struct Column {
        name: String,
    }
    let line: Line = serde_json::from_slice(text).ok()?;
    Some(line.columns.into_iter().map(|column| column.name).collect())
}

/// What the last line of our own NDJSON is.
pub(in crate::data::imports) enum LastLine {
    /// The numbers behind the rows.
    Totals,
    /// The error with which the export ended.
    Error(String),
}

/// Reads a line that is no row of our own NDJSON.
pub(in crate::data::imports) fn last_line(text: &[u8]) -> Option<LastLine> {
    let line: HashMap<String, &RawValue> = serde_json::from_slice(text).ok()?;
    if let Some(error) = line.get("error") {
        return Some(LastLine::Error(error.get().chars().take(500).collect()));
    }
    line.contains_key("row_count").then_some(LastLine::Totals)
}
