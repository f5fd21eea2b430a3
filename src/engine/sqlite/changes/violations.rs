//! Rows that refer to rows that are not there, before and after a change.
use crate::engine::sql::Violation;
use crate::engine::sqlite::{SqlError, SqliteConnection};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Most broken references that are compared.
const MOST: usize = 100_000;

/// How many new ones are named.
const NAMED: usize = 5;

/// What is broken in a database.
#[derive(Debug, Default)]
pub(super) struct Violations {
    all: Vec<(Violation, RootPage)>,
}

/// Tells a table from one that was made in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct RootPage(i64);

const TABLES: &str = "SELECT name, rootpage FROM sqlite_schema child WHERE type = 'table' \
    AND EXISTS (SELECT 1 FROM pragma_foreign_key_list(child.name))";
const CHECK: &str = "SELECT \"table\", rowid, parent FROM pragma_foreign_key_check(?1)";

impl Violations {
    /// Looks at every row that refers to another. Keys whose columns refer to no key at all, which
    /// SQLite cannot check, are left out.
    pub(super) fn of(sqlite: &mut SqliteConnection) -> Result<Self, SqlError> {
        let interrupts = Arc::clone(&sqlite.interrupts);
        sqlite.asking(|connection| {
            let failed = |error| SqlError::from_sqlite(&error, None);
            let mut tables = connection.prepare(TABLES).map_err(failed)?;
            let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
            let tables: rusqlite::Result<Vec<(String, i64)>> = tables.map_err(failed)?.collect();
            let mut all = Vec::new();
            let mut statement = connection.prepare(CHECK).map_err(failed)?;
            for (table, root_page) in tables.map_err(failed)? {
                if let Some(cut) = interrupts.interrupt() {
                    return Err(SqlError::interrupted(Some(cut)));
                }
                let mut rows = statement.query([&table]).map_err(failed)?;
                loop {
                    let row = match rows.next().map_err(failed) {
                        Ok(Some(row)) => row,
                        Ok(None) => break,
                        Err(SqlError::Sql { message, .. })
                            if message.contains("foreign key mismatch") =>
                        {
                            break;
                        }
                        Err(error) => return Err(error),
                    };
                    if all.len() >= MOST {
                        return Err(SqlError::Constraint {
                            message: format!(
                                "more than {MOST} rows refer to rows that are not there; PRAGMA \
                                 foreign_key_check lists them, mend them first"
                            ),
                        });
                    }
                    let read = || -> rusqlite::Result<(Violation, RootPage)> {
                        let violation = Violation {
                            table: row.get(0)?,
                            rowid: row.get(1)?,
                            to_table: row.get(2)?,
                        };
                        Ok((violation, RootPage(root_page)))
                    };
                    all.push(read().map_err(failed)?);
                }
            }
            Ok(Self { all })
        })
    }

    /// What is broken and was not before: some of it, and how much it is.
    ///
    /// A table that was made anew may number its rows anew: of such a one only more are new.
    pub(super) fn since(&self, before: &Self) -> Option<(Vec<Violation>, usize)> {
        let mut by_row: HashMap<(RootPage, Option<i64>), usize> = HashMap::new();
        let mut by_name: HashMap<String, usize> = HashMap::new();
        let mut tables: HashSet<RootPage> = HashSet::new();
        for (violation, table) in &before.all {
            *by_row.entry((*table, violation.rowid)).or_default() += 1;
            *by_name
                .entry(violation.table.to_ascii_lowercase())
                .or_default() += 1;
            tables.insert(*table);
        }
        let (mut first, mut count) = (Vec::new(), 0);
        for (violation, table) in &self.all {
            let known = match tables.contains(table) {
                true => by_row.get_mut(&(*table, violation.rowid)),
                false => by_name.get_mut(&violation.table.to_ascii_lowercase()),
            };
            match known {
                Some(left @ 1..) => *left -= 1,
                _ => {
                    count += 1;
                    if first.len() < NAMED {
                        first.push(violation.clone());
                    }
                }
            }
        }
        (count > 0).then_some((first, count))
    }
}
