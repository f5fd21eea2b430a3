//! A database in memory with the tables of another one, and none of its rows.
use crate::domain::database::Durability;
use crate::engine::sql::{Schema, TableKind};
use crate::engine::sqlite::{ExecutionLimits, Profile, Role, SqlError, SqliteConnection};

/// Most bytes of such a database: a page for each table and index.
const MOST_BYTES: u64 = 64 << 20;

/// Most objects that are copied; a database of more gets no suggestions.
const MOST_TABLES: usize = 1_000;

/// An empty copy.
pub(super) struct EmptyCopy {
    sqlite: SqliteConnection,
}

impl EmptyCopy {
    /// Of `schema`; `None` when it is too large.
    pub(super) fn of(schema: &Schema, limits: ExecutionLimits) -> Result<Option<Self>, SqlError> {
        if schema.tables.len() > MOST_TABLES {
            return Ok(None);
        }
        let profile = Profile {
            role: Role::Writer,
            durability: Durability::Relaxed,
            size_bytes: MOST_BYTES,
            cached_statements: 0,
        };
        let mut copy = Self {
            sqlite: SqliteConnection::open_in_memory(profile)?,
        };
        copy.sqlite.set_limits(limits);
        let tables = schema
            .tables
            .iter()
            .filter(|table| table.kind != TableKind::Shadow);
        for table in tables {
            copy.run(&table.sql)?;
            for index in table.indexes.iter().filter_map(|index| index.sql.as_ref()) {
                copy.run(index)?;
            }
        }
        Ok(Some(copy))
    }

    /// Runs a statement that makes or drops something. One that fails is left out.
    pub(super) fn run(&mut self, sql: &str) -> Result<(), SqlError> {
        let ran = self.sqlite.asking(|connection| {
            let ran = connection.execute_batch(sql);
            ran.map_err(|error| SqlError::from_sqlite(&error, None))
        });
        match ran {
            Err(error) if error.spoils_connection() => Err(error),
            _ => Ok(()),
        }
    }

    /// The steps of SQLite's plan for a statement.
    pub(super) fn plan(&mut self, sql: &str) -> Result<Vec<String>, SqlError> {
        self.sqlite.asking(|connection| {
            let failed = |error| SqlError::from_sqlite(&error, None);
            let mut plan = connection
                .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
                .map_err(failed)?;
            let mut rows = plan.raw_query();
            let mut steps = Vec::new();
            while let Some(row) = rows.next().map_err(failed)? {
                steps.push(row.get(3).map_err(failed)?);
            }
            Ok(steps)
        })
    }
}
