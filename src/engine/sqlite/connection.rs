//! A connection under the profile that strangers' SQL runs in.
//!
//! The order of `SqliteConnection::fenced` matters. The authorizer comes last, after our own
//! PRAGMAs and before the first statement of a client.
use super::error::SqlError;
use super::files::MAIN_FILE;
use super::functions;
use super::functions::{additions, fts5};
use super::limits::{LARGE_CACHE_KIB, LIMITS, MAX_VALUE_BYTES, PAGE_CACHE_KIB, fits};
use super::sandbox::audit_role;
use super::sandbox::audit_role::TextOf;
use super::sandbox::authorizer::Recorder;
use super::sandbox::bounded_program;
use super::sandbox::bounded_program::Bounds;
use super::sandbox::c_calls::OwnValueLimit;
use super::sandbox::execution_limits::{ExecutionLimits, InterruptHandle};
use super::sandbox::vfs::{TempFilesIn, TempSpace};
use super::sandbox::{c_calls, vfs};
use super::statement::counters::Session;
use super::statement::first_word::begins_with;
use crate::domain::database::Durability;
use crate::engine::sql::{Counters, StatementCounter};
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags, Row};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use super::sandbox::role::Role;

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
    /// Opens the database in `folder`. It must be there: nothing is ever created.
    ///
    /// # Errors
    /// [`SqlError::DataMissing`] when there is no plain file with one name,
    /// [`SqlError::NotAllowed`] when a writer would find what ends the process, otherwise what
    /// SQLite says.
    pub fn open(folder: &Path, profile: Profile) -> Result<Self, SqlError> {
        super::process::set_up_process();
        let file = folder.join(MAIN_FILE);
        super::files::require_plain(&file).map_err(|error| SqlError::from_file(&error))?;
        let connection =
            Self::open_file(&file, profile).map_err(|error| SqlError::from_sqlite(&error, None))?;
        if profile.role == Role::Writer {
            // The file may have been made elsewhere.
            connection.look_for_ties_to_insides()?;
        }
        Ok(connection)
    }

    /// Opens a file of the forge's own for SQL that sees nothing of it but `views`, which are
    /// temporary ones of these names over tables of the same names. `text_of` answers the views'
    /// function of that name.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_views(
        file: &Path,
        views: &'static str,
        names: &'static [&'static str],
        text_of: TextOf,
    ) -> Result<Self, SqlError> {
        super::process::set_up_process();
        super::files::require_plain(file).map_err(|error| SqlError::from_file(&error))?;
        let profile = Profile {
            role: Role::Audit(names),
            durability: Durability::Full,
            size_bytes: 0,
            cached_statements: 0,
        };
        let open = move || {
            let connection = Self::open_plain(file, profile)?;
            // A connection that outlives its file must not touch the WAL of the next one.
            let no_checkpoint = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            connection.inner.set_db_config(no_checkpoint, true)?;
            // Views are made before the connection takes no more writes.
            connection.inner.busy_timeout(OPENING_TIMEOUT)?;
            connection
                .inner
                .pragma_update(None, "temp_store", "MEMORY")?;
            connection.inner.execute_batch(views)?;
            audit_role::add_texts(&connection.inner, text_of)?;
            connection.fenced(profile)
        };
        open().map_err(|error| SqlError::from_sqlite(&error, None))
    }

    fn open_file(file: &Path, profile: Profile) -> rusqlite::Result<Self> {
        Self::open_plain(file, profile)?.fenced(profile)
    }

    fn open_plain(file: &Path, profile: Profile) -> rusqlite::Result<Self> {
        let mode = if profile.role.reads_only() {
            OpenFlags::SQLITE_OPEN_READ_ONLY
        } else {
            OpenFlags::SQLITE_OPEN_READ_WRITE
        };
        let flags = mode
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let inner = Connection::open_with_flags_and_vfs(file, flags, vfs::NAME)?;
        inner.set_prepared_statement_cache_capacity(profile.cached_statements);
        let session = Session::install(&inner)?;
        Ok(Self {
            value_limit: OwnValueLimit::of(&inner),
            inner,
            role: profile.role,
            interrupts: Arc::default(),
            recorder: Arc::default(),
            session,
            temp_space: None,
            is_internal: Arc::default(),
            is_spoiled: false,
            bounds: None,
            counter: None,
        })
    }

    fn fenced(mut self, profile: Profile) -> rusqlite::Result<Self> {
        self.defend()?;
        self.configure(profile)?;
        self.limit()?;
        functions::replace_in(&self.inner)?;
        fts5::replace_in(&self.inner)?;
        additions::add_to(&self.inner, &self.interrupts)?;
        self.listen()?;
        self.authorize()?;
        Ok(self)
    }

    fn defend(&self) -> rusqlite::Result<()> {
        for (config, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
            (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
            (DbConfig::SQLITE_DBCONFIG_WRITABLE_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
            // Extension loading is off unless a program turns it on; ours never does.
        ] {
            self.inner.set_db_config(config, on)?;
        }
        Ok(())
    }

    fn configure(&self, profile: Profile) -> rusqlite::Result<()> {
        let sqlite = &self.inner;
        // Locks are waited for briefly while the profile is set up; later the busy handler decides.
        sqlite.busy_timeout(OPENING_TIMEOUT)?;
        sqlite.pragma_update(None, "temp_store", "MEMORY")?;
        sqlite.pragma_update(None, "mmap_size", 0)?;
        sqlite.pragma_update(None, "cell_size_check", true)?;
        sqlite.pragma_update(None, "cache_size", -PAGE_CACHE_KIB)?;
        sqlite.pragma_update(None, "foreign_keys", true)?;
        // A reader writes nothing, and answers with the writer's setting.
        let synchronous = match profile.durability {
            Durability::Full => "FULL",
            Durability::Relaxed => "NORMAL",
        };
        sqlite.pragma_update(None, "synchronous", synchronous)?;
        sqlite.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
        if matches!(profile.role, Role::Audit(_)) {
            return sqlite.pragma_update(None, "query_only", true);
        }
        let page_bytes: i64 = sqlite.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let size_bytes = i64::try_from(profile.size_bytes).unwrap_or(i64::MAX);
        let max_pages = (size_bytes / page_bytes).clamp(1, LARGEST_PAGE_COUNT);
        sqlite.pragma_update(None, "max_page_count", max_pages)?;
        match profile.role {
            Role::Writer => sqlite.pragma_update(None, "journal_mode", "WAL"),
            Role::Reader | Role::Audit(_) => sqlite.pragma_update(None, "query_only", true),
        }
    }

    fn limit(&self) -> rusqlite::Result<()> {
        for (limit, value) in LIMITS {
            self.inner.set_limit(*limit, *value)?;
        }
        Ok(())
    }

    /// Hears SQLite while it works and while it waits. None of this may panic: a progress handler
    /// that does lets the statement go on.
    fn listen(&mut self) -> rusqlite::Result<()> {
        self.look_every(STEPS_BETWEEN_LOOKS)?;
        let interrupts = Arc::clone(&self.interrupts);
        self.inner.busy_handler(Some(move |_tries| {
            let waits = interrupts.may_wait();
            if waits {
                std::thread::sleep(BUSY_PAUSE);
            }
            waits
        }))
    }

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

    fn authorize(&mut self) -> rusqlite::Result<()> {
        let (role, is_internal, recorder) = (
            self.role,
            Arc::clone(&self.is_internal),
            Arc::clone(&self.recorder),
        );
        let names_of_tables = match role {
            Role::Audit(_) => audit_role::names_of_tables(&self.inner)?,
            Role::Reader | Role::Writer => Vec::new(),
        };
        self.inner
            .authorizer(Some(move |context: rusqlite::hooks::AuthContext<'_>| {
                if is_internal.load(Ordering::Relaxed) {
                    rusqlite::hooks::Authorization::Allow
                } else {
                    recorder.judge(role, &names_of_tables, &context)
                }
            }))
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

    fn command_with_rows(
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

/// Opening waits this long for a lock: only another process that recovers the WAL holds one then.
const OPENING_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two tries for a lock: short against a deadline, long against a spin.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// SQLite's machine takes this many steps between two looks at the interrupt handle: some 20 µs, so
/// that looking costs little and a cut comes soon.
const STEPS_BETWEEN_LOOKS: i32 = 1_000;

/// A checkpointed WAL file is cut to this many bytes: it grew so far before, so it will again.
const WAL_KEPT_BYTES: i64 = 4 << 20;

/// SQLite's own bound.
const LARGEST_PAGE_COUNT: i64 = 0xffff_fffe;

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

    #[test]
    fn a_connection_has_a_large_page_cache_when_it_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        Sqlite.create_file(folder.path(), Durability::Full).unwrap();
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
        Sqlite.create_file(folder.path(), Durability::Full).unwrap();
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
        Sqlite.create_file(folder.path(), Durability::Full).unwrap();
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
