//! What every engine that speaks SQL does for a database whose access lock is held.
use super::changes::{
    MigrateError, Migrated, NewMigration, TableChanged, TableCommand, TableError,
};
use super::error::{BatchError, QueryError};
use super::form::Form;
use super::query::{BatchMode, Keep, QueryAnswer, Statement, Target};
use super::row_stream::Streamed;
use super::schema::Schema;
use super::transaction::{
    TransactionBatchError, TransactionEnd, TransactionError, TransactionMode, TransactionPlace,
};
use super::values::ValuePart;
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::SharedGuard;
use crate::engine::data_file::DataFileError;
use crate::telemetry::Durations;
use async_trait::async_trait;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::AbortHandle;

/// What holds for one request, whatever its statements are.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// When it must be done.
    pub deadline: Deadline,
    /// The time it was given.
    pub timeout: Duration,
    /// How its answers are written.
    pub form: Form,
    /// Whether it may change something.
    pub may_write: bool,
    /// Whether it reads for long, and ends rather than have writes refused for it.
    pub yields_to_writes: bool,
    /// What becomes of what it changes.
    pub keep: Keep,
}

/// How an executor is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExecutorHealth {
    /// Connections that are open.
    pub connections: usize,
    /// Bytes of the temporary files of statements.
    pub temp_bytes: u64,
    /// Rows that are being streamed.
    pub streams: usize,
    /// Threads that are held by a statement that nothing stops.
    pub stuck_threads: usize,
    /// Threads that run SQL.
    pub threads: usize,
    /// How long requests have waited for a thread, those that got one at once left out.
    pub thread_waits: Durations,
    /// Writes that wait, of all databases.
    pub queued_writes: usize,
    /// Writes that wait for the database for which most do.
    pub longest_write_queue: usize,
    /// Bytes of the WALs of open databases.
    pub wal_bytes: u64,
    /// Bytes of the largest one.
    pub largest_wal_bytes: u64,
}

/// While it lives, a worker knows of a reader of its database in another process.
#[derive(Debug)]
pub struct ReaderHold {
    has_to_end: Arc<AtomicBool>,
    held: AbortHandle,
}

impl ReaderHold {
    /// Held by a task, which sets the flag when the reader has to end, and which ends with this.
    pub(crate) fn new(has_to_end: Arc<AtomicBool>, held: AbortHandle) -> Self {
        Self { has_to_end, held }
    }

    /// Whether so much was written meanwhile that the reader has to end.
    #[must_use]
    pub fn has_to_end(&self) -> bool {
        self.has_to_end.load(Ordering::Acquire)
    }
}

impl Drop for ReaderHold {
    fn drop(&mut self) {
        self.held.abort();
    }
}

/// Runs SQL on the databases of one engine that lives in its workers.
///
/// Answers are finished bytes. A request that is dropped before it is answered is cancelled.
#[async_trait]
pub trait SqlExecutor: Debug + Send + Sync {
    /// Runs one statement.
    ///
    /// # Errors
    /// What [`QueryError`] lists; nothing of the statement is kept then, but for
    /// [`QueryError::OutcomeUnknown`].
    async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError>;

    /// Runs statements in order, kept together as `mode` says.
    ///
    /// # Errors
    /// The first failure, with the place of its statement.
    async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        mode: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError>;

    /// The places of the first `most` statements of a script.
    ///
    /// # Errors
    /// When the script cannot be split.
    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError>;

    /// Runs one statement like [`Self::query`], but streams the rows of one that only reads, written
    /// as `rows` says.
    ///
    /// # Errors
    /// As [`Self::query`].
    async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError>;

    /// Reads bytes of a value, in pieces.
    ///
    /// # Errors
    /// [`QueryError::NotSupported`] where the engine does not do it; else as [`Self::stream`].
    async fn read_value(
        &self,
        _guard: &SharedGuard,
        target: &Target,
        _call: &Call,
        _part: ValuePart,
    ) -> Result<Streamed, QueryError> {
        Err(no_raw_values(target))
    }

    /// What is in a database, as it is committed now.
    ///
    /// # Errors
    /// [`QueryError::NotSupported`] where the engine does not tell; else as [`Self::query`].
    async fn schema(
        &self,
        _guard: &SharedGuard,
        target: &Target,
        _call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        Err(QueryError::NotSupported {
            engine: target.engine.to_owned(),
            what: "telling its schema",
        })
    }

    /// Applies a migration, unless it was applied before.
    ///
    /// # Errors
    /// What [`MigrateError`] lists; [`QueryError::NotSupported`] where the engine does not do it.
    async fn migrate(
        &self,
        _guard: &SharedGuard,
        target: &Target,
        _call: &Call,
        _migration: NewMigration,
    ) -> Result<Migrated, MigrateError> {
        let not_supported = QueryError::NotSupported {
            engine: target.engine.to_owned(),
            what: "migrations",
        };
        Err(not_supported.into())
    }

    /// Changes a table, all at once or not at all.
    ///
    /// # Errors
    /// What [`TableError`] lists; [`QueryError::NotSupported`] where the engine does not do it.
    async fn change_table(
        &self,
        _guard: &SharedGuard,
        target: &Target,
        _call: &Call,
        _command: TableCommand,
    ) -> Result<TableChanged, TableError> {
        let not_supported = QueryError::NotSupported {
            engine: target.engine.to_owned(),
            what: "changes of tables",
        };
        Err(not_supported.into())
    }

    /// Statements that make indexes which would help a statement; none where the engine cannot
    /// tell.
    ///
    /// # Errors
    /// As [`Self::query`].
    async fn suggest_indexes(
        &self,
        _guard: &SharedGuard,
        _target: &Target,
        _call: &Call,
        _schema: Arc<Schema>,
        _sql: Arc<str>,
    ) -> Result<Vec<String>, QueryError> {
        Ok(Vec::new())
    }

    /// Begins a transaction of several requests, and keeps `place` for as long as it is open.
    ///
    /// # Errors
    /// As [`Self::query`]; nothing is held then.
    async fn begin(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Box<dyn SqlTransaction>, TransactionError>;

    /// Lets go of a database, whose access lock is held exclusively.
    ///
    /// # Errors
    /// When it cannot be closed now.
    async fn close(&self, database: DatabaseId) -> Result<(), DataFileError>;

    /// Tells the worker that another process reads the database for long; `None` where the server
    /// knows its readers itself.
    fn hold_snapshot(&self, _guard: &SharedGuard, _target: &Target) -> Option<ReaderHold> {
        None
    }

    /// Whether a database's worker may be at work on something that it was asked for.
    fn has_asked(&self, _database: DatabaseId) -> bool {
        true
    }

    /// Closes connections on which nothing is under way, where file descriptors run short. Returns
    /// whether there were any.
    fn close_idle(&self) -> bool {
        false
    }

    /// Lets go of every database. Called once, at shutdown.
    async fn close_all(&self);

    /// How it is doing.
    fn health(&self) -> ExecutorHealth {
        ExecutorHealth::default()
    }
}

fn no_raw_values(target: &Target) -> QueryError {
    QueryError::NotSupported {
        engine: target.engine.to_owned(),
        what: "values as raw bytes",
    }
}

/// An open transaction of several requests. Its requests come one after another.
#[async_trait]
pub trait SqlTransaction: Debug + Send + Sync {
    /// Runs the statements of one request. `together`: all of them are kept in the transaction, or
    /// none; else those before the first failure are.
    ///
    /// # Errors
    /// The first failure, with the place of its statement.
    async fn run(
        &self,
        call: &Call,
        statements: Vec<Statement>,
        together: bool,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError>;

    /// As [`SqlExecutor::split`].
    ///
    /// # Errors
    /// As there.
    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError>;

    /// Makes everything lasting, and ends the transaction.
    ///
    /// # Errors
    /// [`TransactionError::Query`] when it goes on; all others say that it is over.
    async fn commit(&self) -> Result<(), TransactionError>;

    /// Takes everything back, and ends the transaction.
    ///
    /// # Errors
    /// When a request of it does not end before `deadline`.
    async fn roll_back(&self, deadline: Deadline) -> Result<(), TransactionError>;

    /// It has ended so: rolls back what was not committed, when no request is at work on it.
    fn end(&self, end: TransactionEnd);

    /// Rolls back a transaction that was never registered.
    fn discard(&self);

    /// Whether it holds others up for so long that it has to end.
    fn is_too_old(&self) -> bool {
        false
    }
}
