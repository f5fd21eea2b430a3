//! A schema as JSON.
use crate::data::{Column, ForeignKey, Index, Schema, Table, Trigger};
use serde::Serialize;
use std::collections::HashMap;
use utoipa::ToSchema;

/// The tables and views of a database.
#[derive(Serialize, ToSchema)]
#[schema(as = Schema)]
pub(super) struct SchemaView<'s> {
    /// Tables and views, by name.
    tables: Vec<TableView<'s>>,
}

/// A table or a view.
#[derive(Serialize, ToSchema)]
#[schema(as = Table)]
pub(super) struct TableView<'s> {
    name: &'s str,
    /// `table`, `view`, `virtual`, or `shadow`: a virtual table keeps its own data in it.
    r#type: &'static str,
    /// Whether it takes only values of the declared types.
    strict: bool,
    without_rowid: bool,
    /// Whether DB-Forge itself made it.
    internal: bool,
    /// The name by which a row's own number can be asked; null where there is none.
    #[schema(required = true)]
    rowid: Option<&'s str>,
    columns: Vec<ColumnView<'s>>,
    /// The columns of the primary key, in the key's order.
    primary_key: &'s [String],
    /// Other sets of columns that no two rows share.
    unique_keys: &'s [Vec<String>],
    foreign_keys: Vec<ForeignKeyView<'s>>,
    /// CHECK conditions, as SQL.
    checks: &'s [String],
    indexes: Vec<IndexView<'s>>,
    triggers: Vec<TriggerView<'s>>,
    /// The statement that made it.
    sql: &'s str,
    /// Number of rows, where `row_counts=true` asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    row_count: Option<u64>,
    /// Why its columns cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'s str>,
}

/// A column.
#[derive(Serialize, ToSchema)]
#[schema(as = Column)]
struct ColumnView<'s> {
    name: &'s str,
    /// The declared type; empty where there is none.
    r#type: &'s str,
    /// `integer`, `real`, `numeric`, `text` or `blob`.
    affinity: &'static str,
    not_null: bool,
    /// As SQL; null where there is none.
    #[schema(required = true)]
    default: Option<&'s str>,
    /// Its place in the primary key, from 1; null where it is not in it.
    #[schema(required = true)]
    primary_key: Option<usize>,
    autoincrement: bool,
    /// `virtual` or `stored`; null where it is not computed.
    #[schema(required = true)]
    generated: Option<&'static str>,
    /// Whether `SELECT *` leaves it out.
    hidden: bool,
    collation: &'s str,
}

/// What columns refer to.
#[derive(Serialize, ToSchema)]
#[schema(as = ForeignKey)]
struct ForeignKeyView<'s> {
    #[schema(required = true)]
    name: Option<&'s str>,
    columns: &'s [String],
    to_table: &'s str,
    /// Empty where they cannot be told.
    to_columns: &'s [String],
    on_delete: &'s str,
    on_update: &'s str,
    /// Whether it is checked at the end of a transaction.
    deferred: bool,
}

/// An index.
#[derive(Serialize, ToSchema)]
#[schema(as = Index)]
struct IndexView<'s> {
    name: &'s str,
    columns: Vec<IndexColumnView<'s>>,
    unique: bool,
    /// `created`, or `unique` or `primary_key` for one that a constraint made.
    origin: &'static str,
    /// The condition of a partial index, as SQL.
    #[schema(required = true)]
    r#where: Option<&'s str>,
    /// Null for one that a constraint made.
    #[schema(required = true)]
    sql: Option<&'s str>,
}

/// What an index sorts by.
#[derive(Serialize, ToSchema)]
#[schema(as = IndexColumn)]
struct IndexColumnView<'s> {
    /// Null for an expression.
    #[schema(required = true)]
    name: Option<&'s str>,
    /// As SQL; null for a column.
    #[schema(required = true)]
    expression: Option<&'s str>,
    descending: bool,
    collation: &'s str,
}

/// A trigger.
#[derive(Serialize, ToSchema)]
#[schema(as = Trigger)]
struct TriggerView<'s> {
    name: &'s str,
    /// `BEFORE INSERT`, `AFTER UPDATE OF a, b` …
    event: &'s str,
    sql: &'s str,
}

impl<'s> SchemaView<'s> {
    pub(super) fn new(schema: &'s Schema, counts: Option<&HashMap<String, u64>>) -> Self {
        let tables = schema.tables.iter();
        let tables = tables.map(|table| TableView {
            row_count: counts.and_then(|counts| counts.get(&table.name).copied()),
            ..TableView::from(table)
        });
        Self {
            tables: tables.collect(),
        }
    }
}

impl<'s> From<&'s Table> for TableView<'s> {
    fn from(table: &'s Table) -> Self {
        Self {
            name: &table.name,
            r#type: table.kind.word(),
            strict: table.is_strict,
            without_rowid: table.is_without_rowid,
            internal: table.is_internal,
            rowid: table.rowid.as_deref(),
            columns: table.columns.iter().map(Into::into).collect(),
            primary_key: &table.primary_key,
            unique_keys: &table.unique_keys,
            foreign_keys: table.foreign_keys.iter().map(Into::into).collect(),
            checks: &table.checks,
            indexes: table.indexes.iter().map(Into::into).collect(),
            triggers: table.triggers.iter().map(Into::into).collect(),
            sql: &table.sql,
            row_count: None,
            problem: table.trouble.as_deref(),
        }
    }
}

impl<'s> From<&'s Column> for ColumnView<'s> {
    fn from(column: &'s Column) -> Self {
        Self {
            name: &column.name,
            r#type: &column.declared_type,
            affinity: column.affinity.word(),
            not_null: column.not_null,
            default: column.default.as_deref(),
            primary_key: column.key_place.map(|place| place + 1),
            autoincrement: column.is_autoincrement,
            generated: column.generated.map(|generated| generated.word()),
            hidden: column.is_hidden,
            collation: &column.collation,
        }
    }
}

impl<'s> From<&'s ForeignKey> for ForeignKeyView<'s> {
    fn from(key: &'s ForeignKey) -> Self {
        Self {
            name: key.name.as_deref(),
            columns: &key.columns,
            to_table: &key.to_table,
            to_columns: &key.to_columns,
            on_delete: &key.on_delete,
            on_update: &key.on_update,
            deferred: key.deferred,
        }
    }
}

impl<'s> From<&'s Index> for IndexView<'s> {
    fn from(index: &'s Index) -> Self {
        let columns = index.columns.iter().map(|column| IndexColumnView {
            name: column.name.as_deref(),
            expression: column.expression.as_deref(),
            descending: column.descending,
            collation: &column.collation,
        });
        Self {
            name: &index.name,
            columns: columns.collect(),
            unique: index.unique,
            origin: index.origin.word(),
            r#where: index.partial.as_deref(),
            sql: index.sql.as_deref(),
        }
    }
}

impl<'s> From<&'s Trigger> for TriggerView<'s> {
    fn from(trigger: &'s Trigger) -> Self {
        Self {
            name: &trigger.name,
            event: &trigger.event,
            sql: &trigger.sql,
        }
    }
}
