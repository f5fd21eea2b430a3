//! How an answer is written, and how much of it.
pub(crate) mod written;

use serde::{Deserialize, Serialize};

/// How a result is written, and how much of it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Form {
    /// What the body is written in.
    pub format: Format,
    /// The shape of its rows.
    pub shape: Shape,
    /// How large integers are written.
    pub int64: Int64Form,
    /// Most rows.
    pub max_rows: u64,
    /// Whether a result with more rows is cut, and says so, instead of being refused.
    pub may_truncate: bool,
    /// Most bytes of the body.
    pub max_bytes: usize,
    /// Whether texts of CSV that a spreadsheet would take for formulas are written as texts.
    pub escapes_formulas: bool,
}

/// What an answer's body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Format {
    /// One JSON object.
    #[default]
    Json,
    /// A JSON value a line: the columns, each row, what stands behind the rows; of objects the
    /// rows alone.
    Ndjson,
    /// RFC 4180 with a header line, whatever the shape.
    Csv,
    /// A JSON array of objects and nothing else.
    Array,
    /// An INSERT for each row, into the table that the statement names.
    Sql,
}

/// The shape of an answer's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Shape {
    /// `"rows":[[…]]`.
    #[default]
    Rows,
    /// `"rows":[{…}]`.
    Objects,
    /// The original routes: `{"data":[{…}],"rows_affected":n,"message":null}`; a statement without
    /// columns has a message, and null for its rows. Not in NDJSON.
    Original,
    /// `[{…}]`, and nothing around it.
    Bare(BareColumns),
}

/// What the last columns of bare rows are, and how such rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BareColumns {
    /// So many columns, in front of hidden ones, are JSON already and become a part of the answer.
    pub json: u16,
    /// So many columns at the end are not written: those of the last row are told beside the answer.
    pub hidden: u16,
    /// Whether the answer may end early, by half of its bytes, where more rows can be asked for.
    pub is_paged: bool,
    /// Whether members that are null are left out.
    pub strips_nulls: bool,
    /// Whether each row is one that was changed: SQLite counts none that a view's triggers take.
    pub counts_changes: bool,
}

/// How integers beyond ±(2^53 − 1) are written, which many JSON readers cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Int64Form {
    /// As numbers, exactly.
    #[default]
    Number,
    /// As text.
    Text,
}

/// The template by which the function `dbforge_object` writes its values as JSON.
///
/// It has the keys, each with whether its value is JSON already. With `in_braces` it is a whole
/// object, else its fields. A value without a key is written alone.
#[must_use]
pub fn object_template<'k>(
    fields: impl IntoIterator<Item = (Option<&'k str>, bool)>,
    in_braces: bool,
) -> String {
    let mut template = String::from(if in_braces { "{" } else { " " });
    for (key, is_json) in fields {
        template.push('\n');
        template.push(if is_json { 'j' } else { 'v' });
        if let Some(key) = key {
            // Line ends in a key are escaped, as all control characters are.
            template.push_str(&serde_json::to_string(key).expect("text always becomes JSON"));
            template.push(':');
        }
    }
    template
}
