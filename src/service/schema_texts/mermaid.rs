//! A schema as an entity-relationship diagram of Mermaid.
//!
//! Mermaid takes few characters in names of attributes and types; a name with others is shown with
//! `_` in their place, and as it is in the attribute's comment. A table has a made-up name and its
//! own as its label.
use super::rows::{columns, may_be_null, tables};
use crate::data::{Column, Schema, Table, TableKind};
use std::collections::HashMap;
use std::fmt::Write as _;

/// The diagram.
#[must_use]
pub fn mermaid(schema: &Schema) -> String {
    let shown: Vec<&Table> = tables(schema)
        .filter(|table| table.kind != TableKind::Virtual || !table.columns.is_empty())
        .collect();
    let places: HashMap<String, usize> = (shown.iter().enumerate())
        .map(|(place, table)| (table.name.to_ascii_lowercase(), place))
        .collect();
    let mut diagram = "erDiagram\n".to_owned();
    for (place, table) in shown.iter().enumerate() {
        let _ = writeln!(diagram, "    t{place}[\"{}\"] {{", label(&table.name));
        for column in columns(table) {
            let _ = writeln!(diagram, "        {}", attribute(table, column));
        }
        diagram.push_str("    }\n");
    }
    for (place, table) in shown.iter().enumerate() {
        for key in &table.foreign_keys {
            let Some(to) = places.get(&key.to_table.to_ascii_lowercase()) else {
                continue;
            };
            let column = |name: &String| table.column(name);
            let is_optional = key
                .columns
                .iter()
                .filter_map(column)
                .any(|it| may_be_null(table, it));
            let one = if is_optional { "|o" } else { "||" };
            let is_alone =
                table.primary_key == key.columns || table.unique_keys.contains(&key.columns);
            let many = if is_alone { "o|" } else { "o{" };
            let _ = writeln!(
                diagram,
                "    t{to} {one}--{many} t{place} : \"{}\"",
                label(&key.columns.join(", "))
            );
        }
    }
    diagram
}

fn attribute(table: &Table, column: &Column) -> String {
    let kind = match column.declared_type.as_str() {
        "" => "any",
        declared => declared,
    };
    let mut keys = Vec::new();
    if column.key_place.is_some() {
        keys.push("PK");
    }
    let refers = |names: &Vec<String>| {
        names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&column.name))
    };
    if table.foreign_keys.iter().any(|key| refers(&key.columns)) {
        keys.push("FK");
    }
    if table
        .unique_keys
        .iter()
        .any(|key| key.len() == 1 && refers(key))
    {
        keys.push("UK");
    }
    let mut text = format!("{} {}", word(kind), word(&column.name));
    if !keys.is_empty() {
        text.push(' ');
        text.push_str(&keys.join(", "));
    }
    if word(&column.name) != column.name {
        let _ = write!(text, " \"{}\"", label(&column.name));
    }
    text
}

/// A name with the characters that Mermaid takes.
fn word(name: &str) -> String {
    let letter = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => letter,
        _ => '_',
    };
    let word: String = name.chars().map(letter).collect();
    match word.chars().next() {
        Some(first) if first.is_ascii_alphabetic() => word,
        _ => format!("c{word}"),
    }
}

/// A text within double quotes: what would end it, or begin something else, has look-alikes.
fn label(name: &str) -> String {
    let letter = |letter: char| match letter {
        '"' => '\u{201d}',
        '%' => '\u{ff05}',
        '\\' => '\u{ff3c}',
        ';' => '\u{ff1b}',
        '#' => '\u{ff03}',
        letter if letter.is_control() => ' ',
        letter => letter,
    };
    let label: String = name.chars().map(letter).collect();
    if label.trim().is_empty() {
        "_".to_owned()
    } else {
        label
    }
}
