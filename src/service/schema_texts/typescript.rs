//! The rows of a database as types of TypeScript.
use super::rows::{ValueKind, columns, may_be_left_out, may_be_null, tables};
use crate::data::{Schema, Table, TableKind};
use std::fmt::Write as _;

const HEAD: &str = "\
// Rows as the gateway answers them with \"shape\":\"objects\", and as it takes them.
// Only STRICT tables hold every value to its column's type.

/** A BLOB. */
export type Blob = { $base64: string };
/** A real that is not finite. */
export type Real = { $real: \"Infinity\" | \"-Infinity\" | \"NaN\" };
/** A value of any column. */
export type Value = null | number | string | Blob | Real | { $text_base64: string };

";

/// The types: for each table what is read, inserted and updated.
#[must_use]
pub fn typescript(schema: &Schema) -> String {
    let mut text = format!("{HEAD}export interface Database {{\n");
    for table in tables(schema) {
        let _ = writeln!(text, "  {}: {{", key(&table.name));
        members(&mut text, "Row", table, false, |_| true);
        if table.kind != TableKind::View {
            members(&mut text, "Insert", table, true, |left_out| !left_out);
            members(&mut text, "Update", table, true, |_| false);
        }
        text.push_str("  };\n");
    }
    text.push_str("}\n");
    text
}

/// The members of one type; a column is optional unless `is_needed`, told whether a new row can
/// leave it out, says so.
fn members(
    text: &mut String,
    name: &str,
    table: &Table,
    is_sent: bool,
    is_needed: impl Fn(bool) -> bool,
) {
    let _ = writeln!(text, "    {name}: {{");
    for column in columns(table) {
        if is_sent && column.generated.is_some() {
            continue;
        }
        let mark = match is_needed(may_be_left_out(table, column)) {
            true => "",
            false => "?",
        };
        let mut kind = match ValueKind::of(column) {
            ValueKind::Number => "number | Real",
            ValueKind::Text => "string",
            ValueKind::Blob => "Blob",
            ValueKind::Any => "Value",
        }
        .to_owned();
        if may_be_null(table, column) && ValueKind::of(column) != ValueKind::Any {
            kind += " | null";
        }
        let _ = writeln!(text, "      {}{mark}: {kind};", key(&column.name));
    }
    text.push_str("    };\n");
}

/// A name as the key of an object: JSON's texts are TypeScript's, too.
fn key(name: &str) -> String {
    let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let begins_well = name
        .bytes()
        .next()
        .is_some_and(|byte| !byte.is_ascii_digit());
    if begins_well && name.bytes().all(is_bare) && name != "__proto__" {
        return name.to_owned();
    }
    let quoted = serde_json::to_string(name).unwrap_or_default();
    // Line ends of their own in TypeScript.
    quoted
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}
