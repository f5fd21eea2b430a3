//! A connection under the profile that strangers' SQL runs in: what is done with it once it is open.
mod opening;

use crate::domain::database::Durability;
use crate::engine::sql::{Counters, StatementCounter};
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::limits::{LARGE_CACHE_KIB, MAX_VALUE_BYTES, fits};
use crate::engine::sqlite::sandbox::authorizer::Recorder;
use crate::engine::sqlite::sandbox::bounded_program;
use crate::engine::sqlite::sandbox::bounded_program::Bounds;
use crate::engine::sqlite::sandbox::c_calls;
use crate::engine::sqlite::sandbox::c_calls::OwnValueLimit;
use crate::engine::sqlite::sandbox::execution_limits::{ExecutionLimits, InterruptHandle};
use crate::engine::sqlite::sandbox::vfs::{TempFilesIn, TempSpace};
use crate::engine::sqlite::statement::counters::Session;
use crate::engine::sqlite::statement::first_word::begins_with;
use rusqlite::limits::Limit;
use rusqlite::{Connection, Row};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use crate::engine::sqlite::sandbox::role::Role;

/// What a connection is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    /// Reading, or writing too.
    pub role: Role,
    /// What an answered write survives.
    pub durability: Durability,
    /// Most bytes the main file may grow to.
    pub size_bytes: u64,
    /// How many prepared statements are kept.
    pub cached_statements: usize,
}

/// One open handle on a database. It is used by one thread at a time.
pub struct SqliteConnection {
    /// Before `inner`: fields are dropped in this order.
    value_limit: OwnValueLimit,
    pub(super) inner: Connection,
    pub(super) role: Role,
    pub(super) interrupts: Arc<InterruptHandle>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) session: Arc<Session>,
    /// Where its temporary files are; `None` where it has them in memory.
    pub(super) temp_space: Option<Arc<TempSpace>>,
    /// On while the forge's own statements run, which the authorizer does not judge.
    is_internal: Arc<AtomicBool>,
    /// It saw a timeout, an interrupt or a limit, and is not used for another request.
    pub(super) is_spoiled: bool,
    /// Within which statements run on it at the moment.
    pub(super) bounds: Option<Bounds>,
    /// Where its statements are counted.
    pub(super) counter: Option<StatementCounter>,
}

/// See [`SqliteConnection::short_values`].
pub(crate) struct ShortValues<'c>(&'c SqliteConnection);

impl Drop for ShortValues<'_> {
    fn drop(&mut self) {
        // It fails for numbers of limits that SQLite does not know.
        let _ = self.0.limit_values(self.0.most_value_bytes());
    }
}

impl fmt::Debug for SqliteConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteConnection")
            .field("role", &self.role)
            .field("is_spoiled", &self.is_spoiled)
            .finish_non_exhaustive()
    }
}

impl SqliteConnection {
    fn look_every(&mut self, steps: i32) -> rusqlite::Result<()> {
        let interrupts = Arc::clone(&self.interrupts);
        let must_stop = move || interrupts.poll().is_some();
        self.inner.progress_handler(steps, Some(must_stop))
    }

    /// Has the next statements run within bounds, or within none but the connection's own.
    pub(super) fn confine(&mut self, bounds: Option<Bounds>) -> Result<(), SqlError> {
        if self.bounds == bounds {
            return Ok(());
        }
        let value_bytes = bounds.map_or(fits(MAX_VALUE_BYTES), |it| it.value_bytes());
        let confined = self
            .inner
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, value_bytes)
            .and_then(|_| match (self.bounds, bounds) {
                (None, Some(_)) => self.look_every(bounded_program::STEPS_BETWEEN_LOOKS),
                (Some(_), None) => self.look_every(STEPS_BETWEEN_LOOKS),
                _ => Ok(()),
            });
        self.bounds = bounds;
        confined.map_err(|error| SqlError::from_sqlite(&error, None))
    }

    /// The bounds within which a statement can run on a thread that must not be kept: `None` where
    /// no such bounds are known.
    #[must_use]
    pub fn bounds_of(&self, sql: &str) -> Option<Bounds> {
        // A PRAGMA is done while it is prepared, explained or not.
        if !begins_with(sql, &["select", "with", "values"]) {
            return None;
        }
        let bounds = Bounds::of_program(&self.inner, sql);
        self.recorder.take();
        bounds
    }

    /// Puts the next statements under a deadline.
    pub fn set_limits(&self, limits: ExecutionLimits) {
        if let Some(cancellation) = &limits.cancellation {
            cancellation.when_cancelled(Some(&self.value_limit.lower));
        }
        self.interrupts.set(limits);
    }

    /// Begins the statements of another request, or of another transaction: their counters go on
    /// from these.
    pub fn begin_session(&self, counters: Counters) {
        self.session.begin(counters);
    }

    /// Lets the connection rest.
    pub fn clear_limits(&mut self) {
        if let Some(cancellation) = self
            .interrupts
            .clear()
            .and_then(|limits| limits.cancellation)
        {
            cancellation.when_cancelled(None);
        }
        if self.value_limit.was_lowered() {
            self.is_spoiled |= self.limit_values(self.most_value_bytes()).is_err();
        }
    }

    /// Most bytes of a value within the bounds that hold now.
    fn most_value_bytes(&self) -> i32 {
        self.bounds
            .map_or(fits(MAX_VALUE_BYTES), |bounds| bounds.value_bytes())
    }

    fn limit_values(&self, bytes: i32) -> rusqlite::Result<()> {
        self.inner
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, bytes)
            .map(drop)
    }

    /// While the result lives, no value is longer than `bytes`.
    pub(crate) fn short_values(&self, bytes: i32) -> rusqlite::Result<ShortValues<'_>> {
        self.limit_values(bytes)?;
        Ok(ShortValues(self))
    }

    /// Its interrupt handle, to be observed from outside.
    #[must_use]
    pub fn interrupt_handle(&self) -> &Arc<InterruptHandle> {
        &self.interrupts
    }

    /// Whether it must be dropped instead of being used for another request.
    #[must_use]
    pub fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// Sees to it that it is not used for another request.
    pub fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    /// Gives it a large page cache, for as long as it is open.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn widen_page_cache(&mut self) -> Result<(), SqlError> {
        self.resize_page_cache(LARGE_CACHE_KIB)
    }

    pub(super) fn resize_page_cache(&self, kib: i64) -> Result<(), SqlError> {
        let resized = self.as_internal(|it| it.pragma_update(None, "cache_size", -kib));
        resized.map_err(|error| SqlError::from_sqlite(&error, None))
    }

    /// Has its statements counted from now on.
    pub fn count_in(&mut self, counter: StatementCounter) {
        self.counter = Some(counter);
    }

    /// Counts how long a write has waited for its turn on it.
    pub(super) fn count_wait(&self, waited: Duration) {
        if let Some(counter) = &self.counter {
            counter.count_wait(waited);
        }
    }

    /// Has its temporary files on disk from now on: the journals of statements, what they sort, and
    /// tables of their own. In memory, each statement has room for little of it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn keep_temporary_files_in(&mut self, space: Arc<TempSpace>) -> Result<(), SqlError> {
        let kept = self.as_internal(|it| it.pragma_update(None, "temp_store", "FILE"));
        kept.map_err(|error| SqlError::from_sqlite(&error, None))?;
        self.temp_space = Some(space);
        Ok(())
    }

    /// Whether no transaction is open: also after one that SQLite ended itself.
    #[must_use]
    pub fn is_autocommit(&self) -> bool {
        self.inner.is_autocommit()
    }

    /// Whether the open transaction breaks foreign keys that are checked only at its end.
    #[must_use]
    pub fn has_deferred_violations(&self) -> bool {
        c_calls::has_deferred_violations(&self.inner)
    }

    /// Runs one of the forge's own statements: BEGIN, SAVEPOINT, COMMIT and their like.
    ///
    /// Each of them ends with a `;`, which no statement of a client has at its end when it is
    /// looked up: the authorizer has not seen ours, and a client must not find them prepared.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn command(&mut self, sql: &'static str) -> Result<(), SqlError> {
        self.command_with_rows(sql, |_| Ok(()))
    }

    /// Brings what the WAL holds into the main file, by this checkpoint's PRAGMA. Whether all of it
    /// is there now: readers put that off.
    ///
    /// # Errors
    /// As [`Self::command`].
    pub(super) fn checkpoint(&mut self, sql: &'static str) -> Result<bool, SqlError> {
        let mut is_whole = false;
        self.command_with_rows(sql, |row| {
            let (is_busy, frames, moved): (bool, i64, i64) = row.try_into()?;
            is_whole = !is_busy && frames == moved;
            Ok(())
        })?;
        Ok(is_whole)
    }

    /// The same, of a statement whose rows are taken.
    ///
    /// # Errors
    /// As [`Self::command`], and what `take` says.
    pub(super) fn command_with_rows(
        &mut self,
        sql: &'static str,
        mut take: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), SqlError> {
        assert!(sql.ends_with(';'), "a client could find `{sql}` prepared");
        let _temporary_files = TempFilesIn::space(self.temp_space.as_ref());
        let result = self.as_internal(|sqlite| {
            let mut statement = sqlite.prepare_cached(sql)?;
            let mut rows = statement.raw_query();
            while let Some(row) = rows.next()? {
                take(row)?;
            }
            Ok(())
        });
        result.map_err(|it| {
            let error = SqlError::from_sqlite(&it, self.interrupts.interrupt());
            self.is_spoiled |= error.spoils_connection();
            error
        })
    }

    /// Lets the forge itself ask, not a client.
    pub(super) fn as_internal<T>(&self, ask: impl FnOnce(&Connection) -> T) -> T {
        struct Ends<'h>(&'h AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(false, Ordering::Relaxed);
            }
        }
        self.is_internal.store(true, Ordering::Relaxed);
        let _ends = Ends(&self.is_internal);
        ask(&self.inner)
    }

    /// Whether the disk of the database has room.
    pub(super) fn disk_has_room(&self) -> bool {
        self.inner
            .path()
            .and_then(|file| rustix::fs::statvfs(file).ok())
            .is_some_and(|disk| {
                disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM_OF_A_DISK_NOT_FULL
            })
    }
}

/// SQLite's machine takes this many steps between two looks at the interrupt handle: some 20 µs, so
/// that looking costs little and a cut comes soon.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// A disk with this much room did not stop SQLite.
const ROOM_OF_A_DISK_NOT_FULL: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Stopwatch;
    use crate::domain::ids::DatabaseId;
    use crate::engine::Engine as _;
    use crate::engine::sql::{Form, Format, Int64Form, Shape};
    use crate::engine::sql::{SqlStatistics, Statement, StatementKind};
    use crate::engine::sqlite::Sqlite;
    use crate::engine::sqlite::limits::PAGE_CACHE_KIB;
    use std::path::Path;

    #[test]
    fn a_connection_has_a_large_page_cache_when_it_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        Sqlite::default()
            .create_file(folder.path(), Durability::Full)
            .unwrap();
        let mut sqlite = opened(folder.path(), Role::Reader);
        let kib = |it: &SqliteConnection| {
            let asked =
                it.as_internal(|it| it.pragma_query_value(None, "cache_size", |row| row.get(0)));
            -asked.unwrap_or(0)
        };
        assert_eq!(kib(&sqlite), PAGE_CACHE_KIB);
        sqlite.widen_page_cache().unwrap();
        assert_eq!(kib(&sqlite), LARGE_CACHE_KIB);
    }

    fn opened(folder: &Path, role: Role) -> SqliteConnection {
        let profile = Profile {
            role,
            durability: Durability::Full,
            size_bytes: 1 << 20,
            cached_statements: 1,
        };
        SqliteConnection::open(folder, profile).unwrap()
    }

    #[test]
    fn a_checkpoint_is_whole_once_no_reader_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        Sqlite::default()
            .create_file(folder.path(), Durability::Full)
            .unwrap();
        let mut writer = opened(folder.path(), Role::Writer);
        let mut reader = opened(folder.path(), Role::Reader);
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE);";
        writer.command("CREATE TABLE t (a);").unwrap();
        reader.command("BEGIN;").unwrap();
        reader.command("SELECT * FROM t;").unwrap();
        writer.command("INSERT INTO t VALUES (1);").unwrap();
        assert_eq!(writer.checkpoint(checkpoint), Ok(false));
        reader.command("COMMIT;").unwrap();
        assert_eq!(writer.checkpoint(checkpoint), Ok(true));
    }

    #[test]
    fn a_statement_is_counted_without_the_pauses_of_its_reader() {
        let folder = tempfile::tempdir().unwrap();
        Sqlite::default()
            .create_file(folder.path(), Durability::Full)
            .unwrap();
        let all = SqlStatistics::new(None);
        let mut reader = opened(folder.path(), Role::Reader);
        reader.count_in(all.counter(DatabaseId(uuid::Uuid::nil())));
        let statement = Statement {
            sql: "SELECT hex(zeroblob(40000)) FROM (VALUES (1), (2), (3))".into(),
            ..Statement::default()
        };
        let form = Form {
            format: Format::Ndjson,
            shape: Shape::Rows,
            int64: Int64Form::Number,
            max_rows: u64::MAX,
            may_truncate: false,
            max_bytes: usize::MAX,
            escapes_formulas: false,
        };
        let mut pieces = 0;
        let pause = Duration::from_millis(20);
        let answer = reader.stream(&statement, &form, |_| {
            pieces += 1;
            let since = Stopwatch::start();
            while since.elapsed() < pause {}
            Ok(())
        });
        let took = answer.unwrap().elapsed;
        let counted = all.statements().durations(StatementKind::Read);
        assert_eq!((pieces, counted.count()), (3, 1));
        assert!(Duration::from_nanos(counted.nanoseconds) <= took - 3 * pause);
    }
}
