//! What is in a database: its tables with their columns, indexes and numbers of rows.
use super::asking::ask;
use crate::data::{DataPlane, Param, Params, QueryError, SharedGuard, Target, quoted};
use serde::{Deserialize, Deserializer};

/// A table as the list tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFacts {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub row_count: u64,
}

/// The tables and indexes of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchemaFacts {
    /// Its tables, by name.
    pub tables: Vec<TableFacts>,
    /// The names of its indexes, those that SQLite made itself left out.
    pub indexes: Vec<String>,
}

/// A table with everything in it but its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDescription {
    /// Its name.
    pub name: String,
    /// Its columns, in their order.
    pub columns: Vec<ColumnFacts>,
    /// Its indexes, those that SQLite made itself left out.
    pub indexes: Vec<IndexFacts>,
    /// How many rows it has.
    pub row_count: u64,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Its name.
    pub name: String,
    /// Its declared type; empty where it has none.
    pub kind: String,
    /// Whether it takes NULL.
    pub nullable: bool,
    /// Whether it is the primary key, or a part of it.
    pub primary_key: bool,
    /// Whether a row that is inserted without it gets the next number.
    pub auto_increment: bool,
    /// Whether no two rows may have the same.
    pub unique: bool,
    /// What it has when nothing is given, in SQL.
    pub default: Option<String>,
}

/// An index of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexFacts {
    /// Its name.
    pub name: String,
    /// Its columns; `None` for an expression.
    pub columns: Vec<Option<String>>,
    /// Whether no two rows may have the same.
    pub unique: bool,
}

const TABLES: &str = "SELECT name, wr FROM pragma_table_list \
    WHERE type IN ('table', 'virtual') AND schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
    ORDER BY name";
const INDEXES: &str = "SELECT name FROM sqlite_schema \
    WHERE type = 'index' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
/// Generated columns are columns, those that a virtual table hides are none.
const COLUMNS: &str = "SELECT name, type, \"notnull\", pk, dflt_value FROM pragma_table_xinfo(?1) \
    WHERE hidden <> 1 ORDER BY cid";
const INDEXED_COLUMNS: &str = "SELECT list.name, list.\"unique\", list.origin, list.partial, info.name \
    FROM pragma_index_list(?1) list, pragma_index_info(list.name) info \
    ORDER BY list.name, info.seqno";

/// The tables of a database with their numbers of rows, and its indexes.
///
/// # Errors
/// As for any statement; counting very large tables may run into the deadline.
pub async fn schema(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
) -> Result<SchemaFacts, QueryError> {
    plane.require_legacy_api(target)?;
    let indexes: Vec<(String,)> = ask(plane, guard, target, INDEXES, Params::None).await?;
    let mut tables = Vec::new();
    for (name, _) in tables_of(plane, guard, target).await? {
        let row_count = count_rows(plane, guard, target, &name).await?;
        tables.push(TableFacts { name, row_count });
    }
    let indexes = indexes.into_iter().map(|(name,)| name).collect();
    Ok(SchemaFacts { tables, indexes })
}

/// The tables of a database, or the one of a name, with everything in them but their rows.
///
/// # Errors
/// When there is no table of that name, or as [`schema`].
pub async fn describe(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    only: Option<&str>,
) -> Result<Vec<TableDescription>, QueryError> {
    plane.require_legacy_api(target)?;
    let mut tables = tables_of(plane, guard, target).await?;
    if let Some(only) = only {
        tables.retain(|(name, _)| name.eq_ignore_ascii_case(only));
        if tables.is_empty() {
            return Err(QueryError::InvalidRequest {
                message: format!("no such table: {only}"),
            });
        }
    }
    let mut described = Vec::new();
    for (name, without_rowid) in tables {
        let table = || Params::Positional([Param::Text(name.clone())].into());
        let columns = ask(plane, guard, target, COLUMNS, table()).await?;
        let indexed = ask(plane, guard, target, INDEXED_COLUMNS, table()).await?;
        let indexes = Index::gather(indexed);
        described.push(TableDescription {
            columns: column_facts(columns, &indexes, without_rowid.0),
            indexes: Index::facts(indexes),
            row_count: count_rows(plane, guard, target, &name).await?,
            name,
        });
    }
    Ok(described)
}

/// The names of a database's tables, and whether they are without rowids.
async fn tables_of(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
) -> Result<Vec<(String, Flag)>, QueryError> {
    ask(plane, guard, target, TABLES, Params::None).await
}

async fn count_rows(
    plane: &DataPlane,
    guard: &SharedGuard,
    target: &Target,
    table: &str,
) -> Result<u64, QueryError> {
    let sql = format!("SELECT count(*) FROM {}", quoted(table));
    let rows: Vec<(u64,)> = ask(plane, guard, target, &sql, Params::None).await?;
    Ok(rows.first().map_or(0, |row| row.0))
}

/// True and false as SQLite answers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flag(bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(|number| Self(number != 0))
    }
}

/// Name, type, not null, place in the primary key, default.
type ColumnRow = (String, String, Flag, u64, Option<String>);
/// Index, unique, origin, partial, column.
type IndexedColumnRow = (String, Flag, String, Flag, Option<String>);

/// An index, with what made it: `c` is CREATE INDEX, `u` UNIQUE, `pk` PRIMARY KEY.
struct Index {
    facts: IndexFacts,
    origin: String,
    is_partial: bool,
}

impl Index {
    fn gather(rows: Vec<IndexedColumnRow>) -> Vec<Self> {
        let mut indexes: Vec<Self> = Vec::new();
        for (name, Flag(unique), origin, Flag(is_partial), column) in rows {
            match indexes.last_mut() {
                Some(last) if last.facts.name == name => last.facts.columns.push(column),
                _ => indexes.push(Self {
                    facts: IndexFacts {
                        name,
                        columns: vec![column],
                        unique,
                    },
                    origin,
                    is_partial,
                }),
            }
        }
        indexes
    }

    fn facts(indexes: Vec<Self>) -> Vec<IndexFacts> {
        let made = indexes.into_iter().filter(|index| index.origin == "c");
        made.map(|index| index.facts).collect()
    }

    /// Whether it keeps the values of `column` apart.
    fn is_unique_on(&self, column: &str) -> bool {
        let columns = self.facts.columns.as_slice();
        self.facts.unique && !self.is_partial && matches!(columns, [Some(only)] if only == column)
    }
}

fn column_facts(rows: Vec<ColumnRow>, indexes: &[Index], without_rowid: bool) -> Vec<ColumnFacts> {
    let keys = rows.iter().filter(|row| row.3 > 0).count();
    // Its number is the row's own: SQLite made no index for it.
    let has_own_number = !without_rowid && !indexes.iter().any(|index| index.origin == "pk");
    let facts = |(name, kind, Flag(not_null), place, default): ColumnRow| {
        let primary_key = place > 0;
        let auto_increment =
            primary_key && keys == 1 && has_own_number && kind.eq_ignore_ascii_case("integer");
        let is_unique = indexes.iter().any(|index| index.is_unique_on(&name));
        ColumnFacts {
            nullable: !(not_null || auto_increment || primary_key && without_rowid),
            primary_key,
            auto_increment,
            unique: auto_increment || is_unique,
            default,
            name,
            kind,
        }
    };
    rows.into_iter().map(facts).collect()
}
