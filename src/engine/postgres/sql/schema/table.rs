//! One table or view, from the catalogue's JSON.
use crate::engine::sql::{
    Affinity, Column, ForeignKey, Generated, INTERNAL_TABLES, Index, IndexColumn, IndexOrigin,
    Table, TableKind, Trigger,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct TableEntry {
    name: String,
    kind: String,
    view: Option<String>,
    columns: Option<Vec<ColumnEntry>>,
    constraints: Option<Vec<ConstraintEntry>>,
    indexes: Option<Vec<IndexEntry>>,
    triggers: Option<Vec<TriggerEntry>>,
}

#[derive(Deserialize)]
struct ColumnEntry {
    number: i16,
    name: String,
    r#type: String,
    category: String,
    base: String,
    not_null: bool,
    default: Option<String>,
    generated: bool,
    identity: String,
    collation: Option<String>,
}

#[derive(Deserialize)]
struct ConstraintEntry {
    name: String,
    kind: String,
    columns: Option<Vec<i16>>,
    definition: String,
    check: Option<String>,
    to_table: Option<String>,
    to_columns: Option<Vec<String>>,
    on_delete: String,
    on_update: String,
    deferred: bool,
}

#[derive(Deserialize)]
struct IndexEntry {
    name: String,
    unique: bool,
    primary: bool,
    of_constraint: bool,
    partial: Option<String>,
    sql: String,
    columns: Option<Vec<IndexColumnEntry>>,
}

#[derive(Deserialize)]
struct IndexColumnEntry {
    number: i16,
    expression: String,
    descending: bool,
}

#[derive(Deserialize)]
struct TriggerEntry {
    name: String,
    r#type: u16,
    sql: String,
}

/// Reads a table or a view.
pub(super) fn read(json: &str) -> Result<Table, serde_json::Error> {
    let entry: TableEntry = serde_json::from_str(json)?;
    let columns = entry.columns.unwrap_or_default();
    let constraints = entry.constraints.unwrap_or_default();
    let named = |numbers: &Option<Vec<i16>>| -> Vec<String> {
        let numbers = numbers.iter().flatten();
        let columns = numbers.filter_map(|number| columns.iter().find(|it| it.number == *number));
        columns.map(|column| column.name.clone()).collect()
    };
    let of_kind = |kind: &'static str| constraints.iter().filter(move |it| it.kind == kind);
    let primary_key = of_kind("p").next().map(|it| named(&it.columns));
    let primary_key = primary_key.unwrap_or_default();
    let sql = definition(
        &entry.name,
        entry.view.as_deref(),
        &entry.kind,
        &columns,
        &constraints,
    );
    Ok(Table {
        kind: match entry.kind.as_str() {
            "v" | "m" => TableKind::View,
            _ => TableKind::Table,
        },
        rowid: None,
        is_strict: true,
        is_without_rowid: false,
        is_internal: INTERNAL_TABLES.contains(&entry.name.as_str()),
        unique_keys: of_kind("u").map(|it| named(&it.columns)).collect(),
        foreign_keys: of_kind("f")
            .map(|it| ForeignKey {
                name: Some(it.name.clone()),
                columns: named(&it.columns),
                to_table: it.to_table.clone().unwrap_or_default(),
                to_columns: it.to_columns.clone().unwrap_or_default(),
                on_delete: action(&it.on_delete).to_owned(),
                on_update: action(&it.on_update).to_owned(),
                deferred: it.deferred,
            })
            .collect(),
        checks: of_kind("c").filter_map(|it| it.check.clone()).collect(),
        indexes: (entry.indexes.unwrap_or_default().into_iter())
            .map(|it| index(it, &columns))
            .collect(),
        triggers: (entry.triggers.unwrap_or_default().into_iter())
            .map(|it| Trigger {
                event: event(it.r#type),
                name: it.name,
                sql: it.sql,
            })
            .collect(),
        columns: (columns.iter())
            .map(|column| self::column(column, &primary_key))
            .collect(),
        primary_key,
        sql,
        trouble: None,
        name: entry.name,
    })
}

fn column(entry: &ColumnEntry, primary_key: &[String]) -> Column {
    Column {
        name: entry.name.clone(),
        declared_type: entry.r#type.clone(),
        affinity: match (entry.category.as_str(), entry.base.as_str()) {
            ("N", "int2" | "int4" | "int8" | "oid") => Affinity::Integer,
            ("N", "float4" | "float8") => Affinity::Real,
            ("N", _) | ("B", _) => Affinity::Numeric,
            (_, "bytea") => Affinity::Blob,
            _ => Affinity::Text,
        },
        not_null: entry.not_null,
        // What computes a generated column stands where a default would.
        default: entry.default.clone().filter(|_| !entry.generated),
        key_place: primary_key.iter().position(|name| *name == entry.name),
        generated: entry.generated.then_some(Generated::Stored),
        is_hidden: false,
        is_autoincrement: !entry.identity.is_empty(),
        collation: entry.collation.clone().unwrap_or_default(),
    }
}

fn index(entry: IndexEntry, columns: &[ColumnEntry]) -> Index {
    let origin = match (entry.primary, entry.of_constraint) {
        (true, _) => IndexOrigin::PrimaryKey,
        (false, true) => IndexOrigin::Unique,
        (false, false) => IndexOrigin::Created,
    };
    let parts = entry.columns.unwrap_or_default().into_iter().map(|part| {
        let column = columns.iter().find(|it| it.number == part.number);
        IndexColumn {
            name: column.map(|it| it.name.clone()),
            expression: column.is_none().then_some(part.expression),
            descending: part.descending,
            collation: column
                .and_then(|it| it.collation.clone())
                .unwrap_or_default(),
        }
    });
    Index {
        columns: parts.collect(),
        name: entry.name,
        unique: entry.unique,
        partial: entry.partial,
        sql: (origin == IndexOrigin::Created).then_some(entry.sql),
        origin,
    }
}

/// What a foreign key does, by the catalogue's letter for it.
fn action(letter: &str) -> &'static str {
    match letter {
        "r" => "RESTRICT",
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => "NO ACTION",
    }
}

/// When a trigger acts, by the bits of `pg_trigger.tgtype`.
fn event(bits: u16) -> String {
    let when = match (bits & 2 != 0, bits & 64 != 0) {
        (_, true) => "INSTEAD OF",
        (true, _) => "BEFORE",
        _ => "AFTER",
    };
    let events = [
        (4, "INSERT"),
        (8, "DELETE"),
        (16, "UPDATE"),
        (32, "TRUNCATE"),
    ];
    let events = events.iter().filter(|(bit, _)| bits & bit != 0);
    let events: Vec<&str> = events.map(|(_, word)| *word).collect();
    format!("{when} {}", events.join(" OR "))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The statement that would make it: the catalogue keeps none.
fn definition(
    name: &str,
    view: Option<&str>,
    kind: &str,
    columns: &[ColumnEntry],
    constraints: &[ConstraintEntry],
) -> String {
    if let Some(view) = view {
        let what = if kind == "m" {
            "MATERIALIZED VIEW"
        } else {
            "VIEW"
        };
        return format!(
            "CREATE {what} {} AS\n{}",
            quoted(name),
            view.trim_end_matches(';')
        );
    }
    let columns = columns.iter().map(|column| {
        let mut text = format!("{} {}", quoted(&column.name), column.r#type);
        if column.not_null {
            text.push_str(" NOT NULL");
        }
        match (&column.default, column.generated, column.identity.as_str()) {
            (Some(with), true, _) => {
                text.push_str(&format!(" GENERATED ALWAYS AS ({with}) STORED"))
            }
            (Some(default), false, _) => text.push_str(&format!(" DEFAULT {default}")),
            (None, _, "a") => text.push_str(" GENERATED ALWAYS AS IDENTITY"),
            (None, _, "d") => text.push_str(" GENERATED BY DEFAULT AS IDENTITY"),
            (None, _, _) => {}
        }
        text
    });
    let constraints = constraints.iter().map(|constraint| {
        format!(
            "CONSTRAINT {} {}",
            quoted(&constraint.name),
            constraint.definition
        )
    });
    let parts: Vec<String> = columns.chain(constraints).collect();
    format!(
        "CREATE TABLE {} (\n  {}\n)",
        quoted(name),
        parts.join(",\n  ")
    )
}
