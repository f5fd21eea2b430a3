//! Bodies of requests that change tables.
use crate::data::{
    Alteration, CheckDefinition, ColumnChange, ColumnDefinition, ForeignKeyDefinition, Generated,
    IndexDefinition, IndexPart, IndexedThing, TableDefinition,
};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// How a change is made.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChangeParameters {
    /// Make the change, answer with its statements, and roll it back.
    #[serde(default)]
    pub(super) dry_run: bool,
    /// Time limit in milliseconds. Default: the largest.
    #[param(minimum = 1)]
    timeout_ms: Option<u64>,
}

impl ChangeParameters {
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }
}

/// A table to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TableDefinition)]
pub(crate) struct TableBody {
    #[schema(min_length = 1)]
    name: String,
    #[schema(min_items = 1)]
    columns: Vec<ColumnBody>,
    /// The columns of the primary key, in the key's order. Default: those with `primary_key`.
    #[serde(default)]
    primary_key: Vec<String>,
    /// Sets of columns that no two rows may share.
    #[serde(default)]
    unique: Vec<Vec<String>>,
    #[serde(default)]
    foreign_keys: Vec<ForeignKeyBody>,
    #[serde(default)]
    checks: Vec<CheckBody>,
    /// Take only values of the declared types.
    #[serde(default)]
    strict: bool,
    #[serde(default)]
    without_rowid: bool,
}

/// A column to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ColumnDefinition)]
struct ColumnBody {
    #[schema(min_length = 1)]
    name: String,
    /// Its type, as SQL: `INTEGER`, `VARCHAR(20)`.
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    not_null: bool,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    primary_key: bool,
    #[serde(default)]
    autoincrement: bool,
    /// As SQL: `'text'`, `0`, `CURRENT_TIMESTAMP`, `datetime('now')`.
    #[serde(default)]
    default: Option<String>,
    /// `BINARY`, `NOCASE` or `RTRIM`.
    #[serde(default)]
    collation: Option<String>,
    /// A condition of its values, as SQL.
    #[serde(default)]
    check: Option<String>,
    /// How it is computed.
    #[serde(default)]
    generated: Option<GeneratedBody>,
    /// What it refers to.
    #[serde(default)]
    references: Option<ReferenceBody>,
}

/// How a column is computed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewGenerated)]
struct GeneratedBody {
    /// As SQL.
    expression: String,
    /// Compute it when its row is written, not when it is read.
    #[serde(default)]
    stored: bool,
}

/// What a column refers to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewReference)]
struct ReferenceBody {
    table: String,
    /// Default: the primary key.
    #[serde(default)]
    column: Option<String>,
    #[serde(default)]
    on_delete: Option<ActionWord>,
    #[serde(default)]
    on_update: Option<ActionWord>,
    /// Check it at the end of a transaction.
    #[serde(default)]
    deferred: bool,
}

/// A foreign key to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewForeignKey)]
struct ForeignKeyBody {
    #[schema(min_items = 1)]
    columns: Vec<String>,
    to_table: String,
    /// Default: the primary key.
    #[serde(default)]
    to_columns: Vec<String>,
    #[serde(default)]
    on_delete: Option<ActionWord>,
    #[serde(default)]
    on_update: Option<ActionWord>,
    /// Check it at the end of a transaction.
    #[serde(default)]
    deferred: bool,
}

/// What a foreign key does when the row that it refers to is deleted or changed.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = ForeignKeyAction)]
enum ActionWord {
    #[serde(rename = "no_action")]
    NoAction,
    #[serde(rename = "restrict")]
    Restrict,
    #[serde(rename = "set_null")]
    SetNull,
    #[serde(rename = "set_default")]
    SetDefault,
    #[serde(rename = "cascade")]
    Cascade,
}

impl ActionWord {
    fn sql(self) -> &'static str {
        match self {
            Self::NoAction => "NO ACTION",
            Self::Restrict => "RESTRICT",
            Self::SetNull => "SET NULL",
            Self::SetDefault => "SET DEFAULT",
            Self::Cascade => "CASCADE",
        }
    }
}

/// A condition to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewCheck)]
struct CheckBody {
    #[serde(default)]
    name: Option<String>,
    /// As SQL.
    expression: String,
}

/// Changes of a table. All of them are made, or none.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeTable)]
pub(crate) struct AlterBody {
    /// The table's new name.
    #[serde(default)]
    rename: Option<String>,
    /// New names by old ones. The other changes use the new ones.
    #[serde(default)]
    rename_columns: BTreeMap<String, String>,
    #[serde(default)]
    add_columns: Vec<ColumnBody>,
    #[serde(default)]
    drop_columns: Vec<String>,
    #[serde(default)]
    alter_columns: Vec<ColumnChangeBody>,
    /// Another primary key, in its order; empty for none.
    #[serde(default)]
    primary_key: Option<Vec<String>>,
    #[serde(default)]
    add_foreign_keys: Vec<ForeignKeyBody>,
    /// By their columns.
    #[serde(default)]
    drop_foreign_keys: Vec<Vec<String>>,
    #[serde(default)]
    add_checks: Vec<CheckBody>,
    /// By their names, or by their SQL.
    #[serde(default)]
    drop_checks: Vec<String>,
    #[serde(default)]
    add_unique: Vec<Vec<String>>,
    /// By their columns.
    #[serde(default)]
    drop_unique: Vec<Vec<String>>,
    #[serde(default)]
    strict: Option<bool>,
    #[serde(default)]
    without_rowid: Option<bool>,
}

/// Changes of a column. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeColumn)]
struct ColumnChangeBody {
    name: String,
    /// Values that it does not fit are 409, with the row.
    #[serde(default)]
    r#type: Option<String>,
    /// With `true`, NULL becomes the default, where there is one.
    #[serde(default)]
    not_null: Option<bool>,
    /// As SQL; null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    default: Option<Option<String>>,
    /// Null for none.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    collation: Option<Option<String>>,
}

/// Tells null from what is left out.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// An index to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = IndexDefinition)]
pub(crate) struct IndexBody {
    /// Default: the names of the table and the columns.
    #[serde(default)]
    name: Option<String>,
    #[schema(min_items = 1)]
    columns: Vec<IndexPartBody>,
    #[serde(default)]
    unique: bool,
    /// The condition of the rows that are in it, as SQL.
    #[serde(default)]
    r#where: Option<String>,
}

/// What an index sorts by: a column's name, or more.
#[derive(Deserialize, ToSchema)]
#[serde(untagged)]
#[schema(as = NewIndexColumn)]
enum IndexPartBody {
    Name(String),
    Part(IndexPartFields),
}

/// What an index sorts by: `column` or `expression`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewIndexPart)]
struct IndexPartFields {
    #[serde(default)]
    column: Option<String>,
    /// As SQL.
    #[serde(default)]
    expression: Option<String>,
    #[serde(default)]
    descending: bool,
    #[serde(default)]
    collation: Option<String>,
}

impl From<TableBody> for TableDefinition {
    fn from(body: TableBody) -> Self {
        let mut keys = body.primary_key;
        if keys.is_empty() {
            let in_key = body.columns.iter().filter(|column| column.primary_key);
            keys.extend(in_key.map(|column| column.name.clone()));
        }
        let (columns, references) = columns(body.columns);
        let mut foreign_keys: Vec<_> = body.foreign_keys.into_iter().map(Into::into).collect();
        foreign_keys.extend(references);
        Self {
            name: body.name,
            columns,
            primary_key: keys,
            unique: body.unique,
            foreign_keys,
            checks: body.checks.into_iter().map(Into::into).collect(),
            is_strict: body.strict,
            is_without_rowid: body.without_rowid,
        }
    }
}

/// Columns, and what they refer to.
fn columns(bodies: Vec<ColumnBody>) -> (Vec<ColumnDefinition>, Vec<ForeignKeyDefinition>) {
    let (mut columns, mut references) = (Vec::new(), Vec::new());
    for body in bodies {
        references.extend(body.references.map(|reference| ForeignKeyDefinition {
            columns: vec![body.name.clone()],
            to_table: reference.table,
            to_columns: reference.column.into_iter().collect(),
            on_delete: reference.on_delete.map(ActionWord::sql),
            on_update: reference.on_update.map(ActionWord::sql),
            is_deferred: reference.deferred,
        }));
        columns.push(ColumnDefinition {
            name: body.name,
            declared_type: body.r#type,
            not_null: body.not_null,
            unique: body.unique,
            default: body.default,
            collation: body.collation,
            check: body.check,
            generated: body.generated.map(|generated| {
                let kept = match generated.stored {
                    true => Generated::Stored,
                    false => Generated::Virtual,
                };
                (generated.expression, kept)
            }),
            is_autoincrement: body.autoincrement,
        });
    }
    (columns, references)
}

impl From<ForeignKeyBody> for ForeignKeyDefinition {
    fn from(body: ForeignKeyBody) -> Self {
        Self {
            columns: body.columns,
            to_table: body.to_table,
            to_columns: body.to_columns,
            on_delete: body.on_delete.map(ActionWord::sql),
            on_update: body.on_update.map(ActionWord::sql),
            is_deferred: body.deferred,
        }
    }
}

impl From<CheckBody> for CheckDefinition {
    fn from(body: CheckBody) -> Self {
        Self {
            name: body.name,
            expression: body.expression,
        }
    }
}

impl AlterBody {
    /// What is changed about a table.
    pub(super) fn of(self, table: String) -> Alteration {
        let (add_columns, references) = columns(self.add_columns);
        let mut add_foreign_keys: Vec<_> =
            self.add_foreign_keys.into_iter().map(Into::into).collect();
        add_foreign_keys.extend(references);
        Alteration {
            table,
            rename: self.rename,
            rename_columns: self.rename_columns.into_iter().collect(),
            add_columns,
            drop_columns: self.drop_columns,
            alter_columns: self.alter_columns.into_iter().map(Into::into).collect(),
            primary_key: self.primary_key,
            add_foreign_keys,
            drop_foreign_keys: self.drop_foreign_keys,
            add_checks: self.add_checks.into_iter().map(Into::into).collect(),
            drop_checks: self.drop_checks,
            add_unique: self.add_unique,
            drop_unique: self.drop_unique,
            is_strict: self.strict,
            is_without_rowid: self.without_rowid,
        }
    }
}

impl From<ColumnChangeBody> for ColumnChange {
    fn from(body: ColumnChangeBody) -> Self {
        Self {
            name: body.name,
            declared_type: body.r#type,
            not_null: body.not_null,
            default: body.default,
            collation: body.collation,
        }
    }
}

impl From<IndexBody> for IndexDefinition {
    fn from(body: IndexBody) -> Self {
        let parts = body.columns.into_iter().map(|part| match part {
            IndexPartBody::Name(name) => IndexPart {
                what: IndexedThing::Column(name),
                ..IndexPart::default()
            },
            IndexPartBody::Part(part) => IndexPart {
                what: match (part.column, part.expression) {
                    (_, Some(expression)) => IndexedThing::Expression(expression),
                    (column, None) => IndexedThing::Column(column.unwrap_or_default()),
                },
                is_descending: part.descending,
                collation: part.collation,
            },
        });
        Self {
            name: body.name,
            columns: parts.collect(),
            unique: body.unique,
            condition: body.r#where,
        }
    }
}
