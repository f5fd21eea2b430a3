//! Reads a schema: what `sqlite_schema` lists, and what PRAGMAs tell of each table.
//!
//! All of it is asked as a client would ask, under the authorizer, a deadline and a bound on memory:
//! a view may be nested as deeply, and a virtual table as odd, as a client could make them.
use super::tables::{Listed, Listing, failed};
use crate::clock::{Deadline, WorkTime};
use crate::engine::sql::Table;
use crate::engine::sqlite::limits::{MOST_OBJECTS, MOST_SCHEMA_BYTES};
use crate::engine::sqlite::sandbox::authorizer::StatementStack;
use crate::engine::sqlite::sandbox::execution_limits::{ExecutionLimits, Slice};
use crate::engine::sqlite::sandbox::memory::{Budget, STATEMENT_BYTES};
use crate::engine::sqlite::sandbox::vfs::TempFilesIn;
use crate::engine::sqlite::sandbox::watch::Watch;
use crate::engine::sqlite::statement::savepoint::roll_back;
use crate::engine::sqlite::{SqlError, SqliteConnection};
use rusqlite::Connection;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The time in which the columns of one view are told: most take some 50 µs.
const VIEW_WORK: Duration = Duration::from_millis(10);
/// The time of all views of a database together.
const ALL_VIEWS_WORK: Duration = Duration::from_secs(1);
/// Where the caller has set none: the bounds of views end the work.
const NO_DEADLINE: Duration = Duration::from_secs(60);

const TOO_LONG: &str =
    "it is built of so many other views that working it out takes more than 10 ms";
const TOO_MANY: &str =
    "working out the database's other views has taken 1 s, so that this one was not looked at";

/// SQLite's number for the schema that this connection sees.
pub(super) fn schema_cookie(sqlite: &mut SqliteConnection) -> Result<i64, SqlError> {
    let mut cookie = 0;
    sqlite.command_with_rows("PRAGMA schema_version;", |row| {
        cookie = row.get(0)?;
        Ok(())
    })?;
    Ok(cookie)
}

impl SqliteConnection {
    /// Reads the schema, in a transaction of its own; SQLite's number for it comes with it. Blocks.
    pub(super) fn read_schema(&mut self) -> Result<(i64, Vec<Table>), SqlError> {
        self.command("BEGIN;")?;
        let read = schema_cookie(self).and_then(|cookie| Ok((cookie, self.read_tables()?)));
        roll_back(self);
        read
    }

    /// The tables and views that this connection sees.
    pub(crate) fn read_tables(&mut self) -> Result<Vec<Table>, SqlError> {
        let interrupts = Arc::clone(&self.interrupts);
        self.connect_rtrees();
        let (listing, mut tables) = self.asking(|connection| {
            let listing = list(connection)?;
            let mut tables = Vec::with_capacity(listing.tables.len());
            for listed in listing.tables.iter().filter(|it| !listing.is_view(it)) {
                // Each question is short: SQLite looks at the deadline in none of them.
                if let Some(cut) = interrupts.interrupt() {
                    return Err(SqlError::interrupted(Some(cut)));
                }
                tables.push(listing.table(connection, listed)?);
            }
            Ok((listing, tables))
        })?;
        let worked = WorkTime::start();
        for listed in listing.tables.iter().filter(|it| listing.is_view(it)) {
            let view = match worked.elapsed() < ALL_VIEWS_WORK {
                true => self.read_view(&listing, listed)?,
                false => listing.untold(listed, TOO_MANY),
            };
            tables.push(view);
        }
        Ok(resolved(tables))
    }

    /// Everything about a view. SQLite works its whole query out for the names of its columns: views
    /// of views of views may double that with each, so it has a short time of its own.
    fn read_view(&mut self, listing: &Listing, listed: &Listed) -> Result<Table, SqlError> {
        let limits = self.interrupts.clear();
        self.interrupts.set(ExecutionLimits {
            slice: Some(Slice::of_work(VIEW_WORK)),
            ..limits.clone().unwrap_or(ExecutionLimits {
                deadline: Deadline::after(NO_DEADLINE),
                cancellation: None,
                slice: None,
                may_wait: false,
            })
        });
        let was_spoiled = self.is_spoiled;
        let told = self.asking(|connection| listing.table(connection, listed));
        match limits {
            Some(limits) => self.interrupts.set(limits),
            None => drop(self.interrupts.clear()),
        }
        match told {
            Err(SqlError::SliceOver) => {
                // Nothing was begun that it could have left half done.
                self.is_spoiled = was_spoiled;
                match self.interrupts.interrupt() {
                    Some(cut) => Err(SqlError::interrupted(Some(cut))),
                    None => Ok(listing.untold(listed, TOO_LONG)),
                }
            }
            other => other,
        }
    }

    /// Lets the forge ask what it would not ask without the limits of a client's statement.
    pub(crate) fn asking<T>(
        &mut self,
        ask: impl FnOnce(&Connection) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        self.confine(None)?;
        self.recorder.take();
        let _stack = StatementStack::begin();
        let watch = Watch::under(&self.interrupts);
        let limits = (
            Budget::of(STATEMENT_BYTES),
            TempFilesIn::space(self.temp_space.as_ref()),
        );
        let mut result = ask(&self.inner);
        if let Some(cut) = watch.told() {
            result = Err(SqlError::interrupted(Some(cut)));
        }
        drop((limits, watch));
        self.recorder.take();
        result.map_err(|error| {
            // SQLite tells that it was interrupted, and not why.
            let error = match (error, self.interrupts.interrupt()) {
                (SqlError::Timeout, Some(cut)) => SqlError::interrupted(Some(cut)),
                (error, _) => error,
            };
            self.is_spoiled |= error.spoils_connection();
            error
        })
    }
}

const LIST: &str = "SELECT type, name, tbl_name, sql FROM sqlite_schema \
    WHERE substr(name, 1, 7) <> 'sqlite_' COLLATE nocase OR type = 'index'";

fn list(connection: &Connection) -> Result<Listing, SqlError> {
    let mut listing = Listing::default();
    let (mut objects, mut bytes) = (0_usize, 0_usize);
    let mut statement = connection.prepare(LIST).map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let text = |at: usize| -> Result<Option<String>, SqlError> {
            let value = row.get_ref(at).map_err(failed)?;
            let bytes = value.as_bytes_or_null().unwrap_or_default();
            Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
        };
        let (kind, name) = (text(0)?.unwrap_or_default(), text(1)?.unwrap_or_default());
        let (of, sql) = (text(2)?.unwrap_or_default(), text(3)?);
        objects += 1;
        bytes += name.len() + sql.as_ref().map_or(0, String::len);
        if objects > MOST_OBJECTS || bytes > MOST_SCHEMA_BYTES {
            return Err(SqlError::SchemaTooLarge);
        }
        listing.add(&kind, Listed { name, sql }, &of);
    }
    listing.find_shadows();
    Ok(listing)
}

/// Foreign keys that name no columns refer to the other table's primary key.
fn resolved(mut tables: Vec<Table>) -> Vec<Table> {
    let keys: HashMap<String, Vec<String>> = tables
        .iter()
        .map(|table| (table.name.to_ascii_lowercase(), table.primary_key.clone()))
        .collect();
    for key in tables.iter_mut().flat_map(|table| &mut table.foreign_keys) {
        if key.to_columns.is_empty()
            && let Some(primary) = keys.get(&key.to_table.to_ascii_lowercase())
            && primary.len() == key.columns.len()
        {
            key.to_columns.clone_from(primary);
        }
    }
    tables
}
