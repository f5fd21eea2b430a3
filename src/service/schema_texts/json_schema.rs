//! The rows of a database as JSON Schema.
use super::rows::{ValueKind, columns, may_be_left_out, may_be_null, tables};
use crate::data::{Schema, Table, TableKind};
use serde_json::{Map, Value, json};

/// A schema (draft 2020-12) with `$defs`: for each table `<table>.row`, and `.insert` and `.update`
/// where rows can be written. Rows are objects, as with `"shape":"objects"`.
#[must_use]
pub fn json_schema(schema: &Schema) -> Value {
    let mut defs = Map::new();
    defs.insert("$blob".into(), tagged("$base64"));
    defs.insert("$text".into(), tagged("$text_base64"));
    let real = json!({
        "type": "object", "required": ["$real"], "additionalProperties": false,
        "properties": {"$real": {"enum": ["Infinity", "-Infinity", "NaN"]}},
    });
    defs.insert("$real".into(), real);
    for table in tables(schema) {
        let name = |shape: &str| format!("{}.{shape}", table.name);
        defs.insert(name("row"), object(table, false, |_| true));
        if table.kind != TableKind::View {
            defs.insert(name("insert"), object(table, true, |left_out| !left_out));
            defs.insert(name("update"), object(table, true, |_| false));
        }
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": defs,
    })
}

fn object(table: &Table, is_sent: bool, is_needed: impl Fn(bool) -> bool) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for column in columns(table).filter(|column| !is_sent || column.generated.is_none()) {
        let reference = |name: &str| json!({"$ref": format!("#/$defs/{name}")});
        let mut kinds = match ValueKind::of(column) {
            // Columns of tables that are not STRICT take values of other types, too.
            _ if !table.is_strict && !is_sent => vec![
                json!({"type": ["null", "number", "string"]}),
                reference("$blob"),
                reference("$text"),
                reference("$real"),
            ],
            ValueKind::Number => vec![json!({"type": "number"}), reference("$real")],
            ValueKind::Text => vec![json!({"type": "string"}), reference("$text")],
            ValueKind::Blob => vec![reference("$blob")],
            ValueKind::Any => vec![
                json!({"type": ["null", "number", "string"]}),
                reference("$blob"),
                reference("$text"),
                reference("$real"),
            ],
        };
        if may_be_null(table, column) {
            kinds.push(json!({"type": "null"}));
        }
        let mut value = Map::new();
        value.insert("anyOf".into(), kinds.into());
        if !column.declared_type.is_empty() {
            value.insert("description".into(), column.declared_type.clone().into());
        }
        properties.insert(column.name.clone(), value.into());
        if is_needed(may_be_left_out(table, column)) {
            required.push(column.name.clone());
        }
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn tagged(key: &str) -> Value {
    json!({
        "type": "object", "required": [key], "additionalProperties": false,
        "properties": {key: {"type": "string"}},
    })
}
