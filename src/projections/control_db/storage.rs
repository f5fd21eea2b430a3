//! The file of the read model: created, opened, migrated, and set aside when it is damaged.
use crate::event_log::ReadError;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Forward only: the number of those that a file has seen is its `user_version`.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/control/0001_events.sql"),
    include_str!("../../../migrations/control/0002_jobs.sql"),
    include_str!("../../../migrations/control/0003_databases.sql"),
    include_str!("../../../migrations/control/0004_tokens.sql"),
    include_str!("../../../migrations/control/0005_texts_stay_in_the_log.sql"),
];
/// The last migration that empties all tables. A file that has not seen it holds nothing that
/// would be kept.
const EMPTIED_BY: u32 = 5;

/// How long a statement waits for a lock. There is one writer, and in WAL mode readers do not
/// wait for it; what remains are the moments when a file is opened or its WAL starts over.
const LOCK_WAIT: Duration = Duration::from_secs(1);
/// Pages that the writer keeps, in KiB: the upper levels of eleven indexes over a million events.
const WRITER_CACHE_KIB: i64 = 32 << 10;
/// Prepared statements kept per connection: more than there are forms of lists in common use.
const STATEMENTS: usize = 64;
/// Bytes that the WAL keeps once it was written back: a rebuild lets it grow, work does not.
const WAL_BYTES: i64 = 16 << 20;

/// Why the file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum StorageError {
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A document is not what was stored.
    #[error("a stored document cannot be read: {0}")]
    Document(#[from] serde_json::Error),
    /// The file system said no.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A newer program wrote it.
    #[error("it has {found} migrations, but this program has {}", MIGRATIONS.len())]
    Newer {
        /// How many it has seen.
        found: u32,
    },
    /// An older program wrote it.
    #[error("it has {found} migrations, and migration {EMPTIED_BY} rebuilds it")]
    Older {
        /// How many it has seen.
        found: u32,
    },
    /// Texts could not be read from the log.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// Its parts do not belong together, or not to this log.
    #[error("{0}")]
    Untrue(String),
    /// Events between were not given.
    #[error("event {found} cannot follow event {reached}")]
    Gap {
        /// The last event followed.
        reached: u64,
        /// The one that was given.
        found: u64,
    },
}

impl StorageError {
    /// Whether only building the file again helps, rather than waiting.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::File(_) | Self::Gap { .. } | Self::Log(_) => false,
            Self::Document(_) | Self::Newer { .. } | Self::Older { .. } | Self::Untrue(_) => true,
            // A truncated file answers with an I/O failure, so that counts as damage too.
            Self::Sqlite(error) => !matches!(
                error.sqlite_error_code(),
                Some(
                    ErrorCode::DatabaseBusy
                        | ErrorCode::DatabaseLocked
                        | ErrorCode::DiskFull
                        | ErrorCode::OutOfMemory
                        | ErrorCode::OperationInterrupted
                        | ErrorCode::CannotOpen
                        | ErrorCode::PermissionDenied
                        | ErrorCode::ReadOnly
                )
            ),
        }
    }

    /// Whether a statement was ended by its deadline.
    pub(super) fn is_interruption(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
    }
}

/// Creates the file: readable by its owner alone, empty but for its tables.
pub(super) fn create(path: &Path) -> Result<Connection, StorageError> {
    // What a file that is gone left behind belongs to nothing.
    unless_missing(fs::remove_file(with_suffix(path, "-wal")))?;
    unless_missing(fs::remove_file(with_suffix(path, "-shm")))?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    open_writer(path)
}

/// Opens an existing file for the one writer and brings its tables up to today's.
pub(super) fn open_writer(path: &Path) -> Result<Connection, StorageError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Commits are not synced, only what is written back from the WAL is: a loss of power leaves
    // an older read model, never a broken one, and what it lacks is in the log.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens a file that the writer has open, to read it.
pub(super) fn open_reader(path: &Path) -> Result<Connection, StorageError> {
    if !path.try_exists()? {
        return Err(StorageError::Untrue("it was deleted while in use".into()));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A reader that outlives its file must not touch the WAL of the next one.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(connection)
}

/// Renames the file to `control.db.set-aside`, so that an operator can inspect it; one is kept.
pub(super) fn set_aside(path: &Path) -> io::Result<()> {
    unless_missing(fs::rename(path, with_suffix(path, ".set-aside")))
}

/// Removes the file; what lies beside it goes when the next one is created.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(path))
}

/// Brings the tables up to today's.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StorageError> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found as usize > MIGRATIONS.len() {
        return Err(StorageError::Newer { found });
    }
    // At 0 nothing was made yet.
    if (1..EMPTIED_BY).contains(&found) {
        return Err(StorageError::Older { found });
    }
    for (number, migration) in (1_u32..).zip(MIGRATIONS) {
        if number > found {
            let transaction = connection.transaction()?;
            transaction.execute_batch(migration)?;
            transaction.pragma_update(None, "user_version", number)?;
            transaction.commit()?;
        }
    }
    Ok(())
}

fn unless_missing(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
