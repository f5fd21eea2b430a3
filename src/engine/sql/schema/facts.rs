//! The parts of a schema.
use super::{Affinity, SqlDialect, naming};
use crate::engine::sql::changes::MIGRATIONS_TABLE;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Tables of DB-Forge's own that lie beside a user's.
pub const INTERNAL_TABLES: &[&str] = &[MIGRATIONS_TABLE];

/// What is in a database, as of one moment. Objects of SQLite's own are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schema {
    /// Tables and views, by name.
    pub tables: Vec<Table>,
    /// Another number for every schema that this process has read: what was worked out from one
    /// holds for as long as the number is the same.
    pub version: u64,
    /// Which SQL the database speaks.
    pub dialect: SqlDialect,
    /// Places in `tables`, by the name in lower case.
    by_name: HashMap<String, usize>,
}

/// A table or a view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Which kind.
    pub kind: TableKind,
    /// Its columns, in their order.
    pub columns: Vec<Column>,
    /// The columns of the primary key, in the key's order; empty where there is none.
    pub primary_key: Vec<String>,
    /// The name by which a row's own number can be asked: a column that stands for it, or
    /// `rowid` or its like. `None` where rows have no number, or no name for it is left.
    pub rowid: Option<String>,
    /// Whether it takes only values of the declared types.
    pub is_strict: bool,
    /// Whether its rows have no number of their own.
    pub is_without_rowid: bool,
    /// Whether it is of DB-Forge's own, and no user's.
    pub is_internal: bool,
    /// Other sets of columns that no two rows share.
    pub unique_keys: Vec<Vec<String>>,
    /// What its columns refer to, in the order of declaration.
    pub foreign_keys: Vec<ForeignKey>,
    /// Its CHECK conditions, as SQL.
    pub checks: Vec<String>,
    /// Its indexes, those of keys included.
    pub indexes: Vec<Index>,
    /// Its triggers, by name.
    pub triggers: Vec<Trigger>,
    /// What made it.
    pub sql: String,
    /// Why its columns cannot be told, in words: a view of a table that is gone, a virtual table
    /// whose module is missing.
    pub trouble: Option<String>,
}

/// The kinds of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TableKind {
    /// It keeps rows.
    Table,
    /// A stored query.
    View,
    /// A module answers for it.
    Virtual,
    /// A virtual table keeps its own data in it.
    Shadow,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as it was declared; empty where none was.
    pub declared_type: String,
    /// What the type makes of values.
    pub affinity: Affinity,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// What it has when nothing is given, as SQL.
    pub default: Option<String>,
    /// Its place in the primary key, from 0.
    pub key_place: Option<usize>,
    /// How it is computed, if it is.
    pub generated: Option<Generated>,
    /// Whether `SELECT *` leaves it out: some columns of virtual tables.
    pub is_hidden: bool,
    /// Whether a deleted row's number is never given again.
    pub is_autoincrement: bool,
    /// By which its texts are compared.
    pub collation: String,
}

/// How a generated column is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Generated {
    /// Computed when it is read.
    Virtual,
    /// Computed when its row is written.
    Stored,
}

/// What columns refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// The name that its constraint has, if it has one.
    pub name: Option<String>,
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that they refer to, as it was declared; it may be missing.
    pub to_table: String,
    /// The columns that they refer to: the other table's primary key where none are declared.
    /// Empty where they cannot be told.
    pub to_columns: Vec<String>,
    /// What a deleted row does: `CASCADE`, `NO ACTION` …
    pub on_delete: String,
    /// What a changed key does.
    pub on_update: String,
    /// Whether it is checked at the end of a transaction.
    pub deferred: bool,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Its name.
    pub name: String,
    /// What it sorts by.
    pub columns: Vec<IndexColumn>,
    /// Whether no two rows may have the same.
    pub unique: bool,
    /// What made it.
    pub origin: IndexOrigin,
    /// The condition of rows that are in it, as SQL; `None` where all are.
    pub partial: Option<String>,
    /// What made it, if that was a statement of its own.
    pub sql: Option<String>,
}

/// One of the things that an index sorts by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexColumn {
    /// The column; `None` for an expression.
    pub name: Option<String>,
    /// The expression, as SQL.
    pub expression: Option<String>,
    /// Whether the largest comes first.
    pub descending: bool,
    /// By which texts are compared.
    pub collation: String,
}

/// What made an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IndexOrigin {
    /// CREATE INDEX.
    Created,
    /// A UNIQUE constraint.
    Unique,
    /// A primary key.
    PrimaryKey,
}

/// A trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// When it acts: `BEFORE INSERT`, `AFTER UPDATE` …
    pub event: String,
    /// What made it.
    pub sql: String,
}

impl Schema {
    /// Of these tables and views.
    #[must_use]
    pub fn new(mut tables: Vec<Table>, version: u64) -> Self {
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        let places = tables.iter().enumerate();
        let by_name = places.map(|(place, table)| (table.name.to_ascii_lowercase(), place));
        Self {
            by_name: by_name.collect(),
            tables,
            version,
            dialect: SqlDialect::default(),
        }
    }

    /// The same of a database that speaks this SQL.
    #[must_use]
    pub fn speaking(self, dialect: SqlDialect) -> Self {
        Self { dialect, ..self }
    }

    /// The table or view of this name, whose letters may be small or capital.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Table> {
        let place = self.by_name.get(&name.to_ascii_lowercase())?;
        self.tables.get(*place)
    }

    /// The name that was meant by one that no table has.
    #[must_use]
    pub fn nearest(&self, wrong: &str) -> Option<&str> {
        naming::nearest(self.tables.iter().map(|table| table.name.as_str()), wrong)
    }
}

impl Table {
    /// The column of this name, whose letters may be small or capital.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        let mut columns = self.columns.iter();
        columns.find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether its rows can be counted: it keeps them, and can be read.
    #[must_use]
    pub fn keeps_rows(&self) -> bool {
        matches!(self.kind, TableKind::Table | TableKind::Virtual) && self.trouble.is_none()
    }

    /// The name that was meant by one that no column has.
    #[must_use]
    pub fn nearest_column(&self, wrong: &str) -> Option<&str> {
        naming::nearest(self.columns.iter().map(|it| it.name.as_str()), wrong)
    }
}

impl TableKind {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
            Self::Virtual => "virtual",
            Self::Shadow => "shadow",
        }
    }
}

impl Generated {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Virtual => "virtual",
            Self::Stored => "stored",
        }
    }
}

impl IndexOrigin {
    /// Its name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Unique => "unique",
            Self::PrimaryKey => "primary_key",
        }
    }
}
