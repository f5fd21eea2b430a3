//! Opens connections, and sets up the profile that strangers' SQL runs in.
//!
//! The order of `SqliteConnection::fenced` matters. The authorizer comes last, after our own
//! PRAGMAs and before the first statement of a client.
use super::{Profile, Role, STEPS_BETWEEN_LOOKS, SqliteConnection};
use crate::domain::database::Durability;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::files::{MAIN_FILE, require_plain};
use crate::engine::sqlite::functions::{self, additions, fts5};
use crate::engine::sqlite::limits::{LIMITS, PAGE_CACHE_KIB};
use crate::engine::sqlite::process::set_up_process;
use crate::engine::sqlite::sandbox::audit_role::{self, TextOf};
use crate::engine::sqlite::sandbox::c_calls::OwnValueLimit;
use crate::engine::sqlite::sandbox::vfs;
use crate::engine::sqlite::statement::counters::Session;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Opening waits this long for a lock: only another process that recovers the WAL holds one then.
const OPENING_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two tries for a lock: short against a deadline, long against a spin.
const BUSY_PAUSE: Duration = Duration::from_millis(1);

/// A checkpointed WAL file is cut to this many bytes: it grew so far before, so it will again.
const WAL_KEPT_BYTES: i64 = 4 << 20;

/// SQLite's own bound.
const LARGEST_PAGE_COUNT: i64 = 0xffff_fffe;

impl SqliteConnection {
    /// Opens the database in `folder`. It must be there: nothing is ever created.
    ///
    /// # Errors
    /// [`SqlError::DataMissing`] when there is no plain file with one name,
    /// [`SqlError::NotAllowed`] when a writer would find what ends the process, otherwise what
    /// SQLite says.
    pub fn open(folder: &Path, profile: Profile) -> Result<Self, SqlError> {
        set_up_process();
        let file = folder.join(MAIN_FILE);
        require_plain(&file).map_err(|error| SqlError::from_file(&error))?;
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
        set_up_process();
        require_plain(file).map_err(|error| SqlError::from_file(&error))?;
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

    /// Opens a database of its own in memory, which is gone with it.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn open_in_memory(profile: Profile) -> Result<Self, SqlError> {
        set_up_process();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_MEMORY
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let opened = Connection::open_in_memory_with_flags(flags)
            .and_then(|inner| Self::unfenced(inner, profile)?.fenced(profile));
        opened.map_err(|error| SqlError::from_sqlite(&error, None))
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
        Self::unfenced(inner, profile)
    }

    fn unfenced(inner: Connection, profile: Profile) -> rusqlite::Result<Self> {
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
}
