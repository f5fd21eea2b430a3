//! Changes of tables and indexes.
use super::Violation;
use super::migration::broken_keys;
use crate::engine::sql::error::known_text::{self, KnownText};
use crate::engine::sql::{Generated, QueryError};
use serde::{Deserialize, Serialize};

/// What is to become of a table. Types, defaults and conditions are SQL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableCommand {
    /// What is done.
    pub change: TableChange,
    /// Whether everything is taken back at its end.
    pub is_dry_run: bool,
}

/// What is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum TableChange {
    /// A table is made.
    Create(TableDefinition),
    /// A table is changed.
    Alter(Alteration),
    /// A table or view is removed.
    Drop {
        /// Its name.
        table: String,
    },
    /// An index is made.
    CreateIndex {
        /// Of which table.
        table: String,
        /// The index.
        index: IndexDefinition,
    },
    /// An index is removed.
    DropIndex {
        /// Of which table.
        table: String,
        /// Its name.
        index: String,
    },
}

/// A table that is to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TableDefinition {
    /// Its name.
    pub name: String,
    /// Its columns, at least one.
    pub columns: Vec<ColumnDefinition>,
    /// The columns of its primary key, in the key's order.
    pub primary_key: Vec<String>,
    /// Sets of columns that no two rows share.
    pub unique: Vec<Vec<String>>,
    /// What its columns refer to.
    pub foreign_keys: Vec<ForeignKeyDefinition>,
    /// Conditions of its rows.
    pub checks: Vec<CheckDefinition>,
    /// Whether it takes only values of the declared types.
    pub is_strict: bool,
    /// Whether its rows have no number of their own.
    pub is_without_rowid: bool,
}

/// A column that is to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// Its name.
    pub name: String,
    /// Its type; empty for none.
    pub declared_type: String,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Whether no two rows may have the same.
    pub unique: bool,
    /// What it has when nothing is given.
    pub default: Option<String>,
    /// By which its texts are compared.
    pub collation: Option<String>,
    /// A condition of its values.
    pub check: Option<String>,
    /// How it is computed.
    pub generated: Option<(String, Generated)>,
    /// Whether a deleted row's number is never given again.
    pub is_autoincrement: bool,
}

/// A foreign key that is to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ForeignKeyDefinition {
    /// The columns that refer.
    pub columns: Vec<String>,
    /// The table that they refer to.
    pub to_table: String,
    /// Its columns; empty for its primary key.
    pub to_columns: Vec<String>,
    /// What a deleted row does.
    #[serde(deserialize_with = "known_text::deserialize_some")]
    pub on_delete: Option<KnownText>,
    /// What a changed key does.
    #[serde(deserialize_with = "known_text::deserialize_some")]
    pub on_update: Option<KnownText>,
    /// Whether it is checked at the end of a transaction.
    pub is_deferred: bool,
}

/// A condition that is to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CheckDefinition {
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The condition.
    pub expression: String,
}

/// An index that is to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IndexDefinition {
    /// Its name; one is made of the table's and the columns' where none is given.
    pub name: Option<String>,
    /// What it sorts by.
    pub columns: Vec<IndexPart>,
    /// Whether no two rows may have the same.
    pub unique: bool,
    /// The condition of rows that are in it.
    pub condition: Option<String>,
}

/// One of the things that an index sorts by.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IndexPart {
    /// A column or an expression.
    pub what: IndexedThing,
    /// Whether the largest comes first.
    pub is_descending: bool,
    /// By which texts are compared.
    pub collation: Option<String>,
}

/// What an index sorts by.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum IndexedThing {
    /// A column, by its name.
    Column(String),
    /// An expression.
    Expression(String),
}

impl Default for IndexedThing {
    fn default() -> Self {
        Self::Column(String::new())
    }
}

/// What is changed about a table, all at once.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Alteration {
    /// Its name.
    pub table: String,
    /// Its new name.
    pub rename: Option<String>,
    /// Columns with their new names.
    pub rename_columns: Vec<(String, String)>,
    /// Columns that are added.
    pub add_columns: Vec<ColumnDefinition>,
    /// Columns that are removed.
    pub drop_columns: Vec<String>,
    /// Columns that are changed.
    pub alter_columns: Vec<ColumnChange>,
    /// Another primary key; empty for none.
    pub primary_key: Option<Vec<String>>,
    /// Foreign keys that are added.
    pub add_foreign_keys: Vec<ForeignKeyDefinition>,
    /// Foreign keys that are removed, by their columns.
    pub drop_foreign_keys: Vec<Vec<String>>,
    /// Conditions that are added.
    pub add_checks: Vec<CheckDefinition>,
    /// Conditions that are removed, by their names or their SQL.
    pub drop_checks: Vec<String>,
    /// Sets of columns that no two rows share from now on.
    pub add_unique: Vec<Vec<String>>,
    /// Sets of columns that rows may share from now on.
    pub drop_unique: Vec<Vec<String>>,
    /// Whether it takes only values of the declared types.
    pub is_strict: Option<bool>,
    /// Whether its rows have no number of their own.
    pub is_without_rowid: Option<bool>,
}

/// What is changed about a column; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ColumnChange {
    /// Its name.
    pub name: String,
    /// Its new type.
    pub declared_type: Option<String>,
    /// Whether it refuses NULL.
    pub not_null: Option<bool>,
    /// Its new default, or none.
    pub default: Option<Option<String>>,
    /// Its new collation, or none.
    pub collation: Option<Option<String>>,
}

/// What was done to a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChanged {
    /// Its name now.
    pub table: String,
    /// The index that was made.
    pub index: Option<String>,
    /// The statements that ran.
    pub statements: Vec<String>,
}

/// Why a table was not changed. Nothing is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TableError {
    /// There is none of this name.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// A table, a column, an index.
        #[serde(with = "known_text")]
        what: KnownText,
        /// The name.
        name: String,
        /// What may be meant.
        nearest: Option<String>,
    },
    /// The name is taken.
    #[error("there is a table, view or index `{0}` already")]
    Exists(String),
    /// Others refer to it.
    #[error("{what} is used by {}", by.join(", "))]
    InUse {
        /// What.
        what: String,
        /// By what.
        by: Vec<String>,
    },
    /// A value is not of its column's new type.
    #[error("{row} of the column `{column}` holds {value}, which is no {declared_type}")]
    Unfit {
        /// The column.
        column: String,
        /// Its new type.
        declared_type: String,
        /// Which row, in words.
        row: String,
        /// The value, as SQL.
        value: String,
    },
    /// What was asked for makes no table.
    #[error("{0}")]
    Invalid(String),
    /// Rows refer to rows that are not there, and did not before.
    #[error("{}", broken_keys(.first, *.count))]
    ForeignKeys {
        /// Some of them.
        first: Vec<Violation>,
        /// How many there are.
        count: usize,
    },
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] QueryError),
}
