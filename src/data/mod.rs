//! Access to ready databases, whatever their engine: locks, folders, transactions, limits. Writes
//! no events.
//!
//! A request goes through [`DataPlane::enter`], whose caller then looks at the state once more, to
//! [`DataPlane::query`], which has the executor of the database's engine run it. A step that moves
//! files [`DataPlane::take`]s the database alone.
mod config;
pub mod exports;
mod folders;
pub mod imports;
mod layout;
pub mod legacy_rows;
mod migrations;
mod open_transaction;
pub mod rows;
mod scripts;
mod tables;
mod transaction_requests;
mod transactions;
pub mod uploads;

pub use crate::engine::DataFile;
pub use crate::engine::access_lock::{AccessError, ExclusiveGuard, SharedGuard};
pub use crate::engine::registry::SqliteConfig;
pub use crate::engine::sql::changes::{
    Alteration, AppliedMigration, CheckDefinition, ColumnChange, ColumnDefinition,
    ForeignKeyDefinition, IndexDefinition, IndexPart, IndexedThing, MigrateError, Migrated,
    TableChange, TableChanged, TableCommand, TableDefinition, TableError, Violation,
    compare_migration_names,
};
pub use crate::engine::sql::{
    Access, Affinity, BareColumns, BatchError, BatchMode, BatchStatement, BegunTransaction, Column,
    Excess, ForeignKey, Format, Generated, Index, IndexColumn, IndexOrigin, Int64Form, Keep,
    KeyedRows, ListBuilder, MAX_LIST_VALUES, MAX_PARAMETER_ROWS, MAX_PARAMETERS, MAX_RUNS,
    NewTransaction, Param, ParamRef, Params, ParamsList, QueryAnswer, QueryError, QueryOptions,
    QueryRequest, RowStream, Run, Schema, ScriptError, Shape, SqlDialect, SqlStatistics,
    StatementKind, StatementOutcome, StreamStopper, Streamed, Table, TableKind, Target,
    TransactionBatchError, TransactionEnd, TransactionError, TransactionKey, TransactionMode,
    Trigger, nearest, quoted,
};
pub use config::DataConfig;
pub use folders::{FolderError, FolderPlace, Folders};
pub use layout::{LayoutError, check_layout};
pub use migrations::{MAX_MIGRATION_NAME, MAX_MIGRATION_STATEMENTS, MigrationRequest};

use crate::clock::Deadline;
use crate::domain::database::Database;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::AccessLocks;
use crate::engine::registry::{Engines, Executor, Executors, Views};
use crate::engine::sql::executor::ExecutorHealth;
use crate::engine::sql::{Call, Form, Statement};
use crate::engine::{DataFileError, Engine};
use crate::projections::control_db::{AUDIT_TABLES, AUDIT_VIEWS, ControlDb};
use exports::Exports;
use std::path::Path;
use std::sync::Arc;
use transactions::Transactions;
use uploads::Uploads;

/// Serves SQL on the databases under one data folder. Clones are the same plane.
#[derive(Debug, Clone)]
pub struct DataPlane {
    config: Arc<DataConfig>,
    folders: Arc<Folders>,
    locks: Arc<AccessLocks>,
    engines: Arc<Engines>,
    executors: Arc<Executors>,
    transactions: Arc<Transactions>,
    uploads: Uploads,
    exports: Exports,
}

impl DataPlane {
    /// A data plane on `data_dir`, which must exist, for databases of `engines`. Opened in the
    /// runtime that is to run its writes.
    ///
    /// # Errors
    /// When the folders of databases cannot be made or reached.
    pub fn open(
        data_dir: &Path,
        config: DataConfig,
        engines: Engines,
    ) -> Result<Self, FolderError> {
        let folders = Folders::open(data_dir, config.owner)?;
        let uploads = Uploads::open(data_dir, config.owner, config.uploads);
        let uploads = uploads.map_err(|source| FolderError::Io {
            action: "open the folder of uploads",
            source,
        })?;
        let exports = Exports::open(data_dir, config.exports.clone(), config.owner);
        let exports = exports.map_err(|source| FolderError::Io {
            action: "open the folder of exports",
            source,
        })?;
        let transactions = Transactions::new(
            config.max_transactions,
            config.max_transactions_per_database,
        );
        let locks = Arc::default();
        let executors = engines.executors(config.sqlite.clone(), folders.databases(), &locks);
        Ok(Self {
            config: Arc::new(config),
            folders: Arc::new(folders),
            locks,
            engines: Arc::new(engines),
            executors: Arc::new(executors),
            transactions: Arc::new(transactions),
            uploads,
            exports,
        })
    }

    /// Files that were uploaded to be imported.
    #[must_use]
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    /// The engines that it serves.
    #[must_use]
    pub fn engines(&self) -> &Engines {
        &self.engines
    }

    /// What SQL on `database` is for.
    ///
    /// # Errors
    /// [`QueryError::NotSupported`] when this gateway does not have its engine.
    pub fn target(&self, database: &Database) -> Result<Target, QueryError> {
        Ok(Target {
            database: database.id,
            engine: self.engine_of(database)?.name(),
            isolation: self.engines.isolation_of(database),
            durability: database.durability,
            size_bytes: database.limits.size_bytes,
        })
    }

    /// The engine of a database.
    ///
    /// # Errors
    /// [`QueryError::NotSupported`] when this gateway does not have it.
    pub fn engine_of(&self, database: &Database) -> Result<&Arc<dyn Engine>, QueryError> {
        let engine = self.engines.find(&database.engine.0);
        engine.ok_or_else(|| QueryError::NotSupported {
            engine: database.engine.0.clone(),
            what: "SQL on this gateway",
        })
    }

    /// Goes into a database together with others. Who entered looks at the state again: what it
    /// saw before may have changed while it waited.
    ///
    /// # Errors
    /// [`AccessError::Closed`] when a step on its files takes longer than `deadline`.
    pub async fn enter(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<SharedGuard, AccessError> {
        self.locks.enter(database, deadline).await
    }

    /// Takes a database's files alone: rolls its transactions back, waits until all SQL on it has
    /// ended, closes it, and brings everything into its main file.
    ///
    /// # Errors
    /// When SQL does not end before `deadline`, or the file cannot be settled. The caller has to
    /// let the files be, and may try again.
    pub async fn take(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, AccessError> {
        let guard = self.exclusive_without_checkpoint(target, deadline).await?;
        let Some(engine) = self.engines.find(target.engine).cloned() else {
            return Ok(guard);
        };
        let folder = self.folders.living(target.database);
        let executors = Arc::clone(&self.executors);
        let settled = tokio::task::spawn_blocking(move || {
            let mut settled = engine.checkpoint_and_close(&folder);
            while settled == Err(DataFileError::NoFiles) && executors.close_idle() {
                settled = engine.checkpoint_and_close(&folder);
            }
            settled
        });
        match settled.await {
            Ok(Ok(())) => Ok(guard),
            Ok(Err(DataFileError::NoFiles)) => Err(AccessError::NoFiles),
            Ok(Err(DataFileError::DiskFull)) => Err(AccessError::DiskFull),
            Ok(Err(error)) => Err(AccessError::NotCheckpointed {
                reason: error.to_string(),
            }),
            Err(error) => Err(AccessError::NotCheckpointed {
                reason: error.to_string(),
            }),
        }
    }

    /// The same, but what was written last stays in the WAL, as after a crash. That takes no room
    /// on a disk, and is enough for files that are on their way out.
    ///
    /// # Errors
    /// When SQL does not end before `deadline`.
    pub async fn exclusive_without_checkpoint(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, AccessError> {
        let database = target.database;
        let draining = self.transactions.drain(database);
        let guard = self.locks.take(database, deadline).await?;
        drop(draining);
        let closed = self.executors.close(target).await;
        closed.map_err(|error| AccessError::NotCheckpointed {
            reason: error.to_string(),
        })?;
        Ok(guard)
    }

    /// Takes a database's files alone, and leaves them open in its worker, which is about to go.
    ///
    /// # Errors
    /// When SQL does not end before `deadline`.
    pub async fn exclusive_before_removal(
        &self,
        target: &Target,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, AccessError> {
        let draining = self.transactions.drain(target.database);
        let guard = self.locks.take(target.database, deadline).await?;
        drop(draining);
        Ok(guard)
    }

    /// Forgets what was known of a worker that is gone.
    pub async fn forget_worker(&self, target: &Target) {
        let closed = self.executors.close(target).await;
        if let Err(error) = closed {
            tracing::warn!(%error, "a database of a removed worker is not closed");
        }
    }

    /// Whether the worker of a database may be at work on something that it was asked for.
    #[must_use]
    pub fn has_asked_worker(&self, target: &Target) -> bool {
        self.executors.have_asked_worker(target)
    }

    /// Runs one statement on the database behind `guard`.
    ///
    /// # Errors
    /// What [`QueryError`] lists; nothing of the statement is kept then, but for
    /// [`QueryError::OutcomeUnknown`].
    pub async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        request: QueryRequest,
    ) -> Result<QueryAnswer, QueryError> {
        let call = self.call(&request.options);
        self.refuse_early(&request.sql, &request.params)?;
        if call.form.shape == Shape::Original {
            self.require_legacy_api(target)?;
        }
        let executor = self.executor_of(target)?;
        let statement = statement_of(request);
        executor.query(guard, target, &call, statement).await
    }

    /// Runs one statement like [`Self::query`], but streams the rows of one that only reads:
    /// without a bound on rows and bytes where the request names none.
    ///
    /// # Errors
    /// Before the first piece, as [`Self::query`]; also when there are too many streams.
    pub async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        request: QueryRequest,
    ) -> Result<Streamed, QueryError> {
        let options = &request.options;
        let call = self.call(options);
        let rows = Form {
            max_rows: options.max_rows.unwrap_or(u64::MAX),
            max_bytes: options.max_bytes.unwrap_or(usize::MAX),
            ..call.form
        };
        self.refuse_early(&request.sql, &request.params)?;
        let executor = self.executor_of(target)?;
        let statement = statement_of(request);
        executor
            .stream(guard, target, &call, &rows, statement)
            .await
    }

    /// Runs statements in order. In a transaction all of them are kept, or none; without one,
    /// those before the first failure.
    ///
    /// # Errors
    /// The first failure, with the place of its statement.
    pub async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        statements: Vec<BatchStatement>,
        mode: BatchMode,
        options: QueryOptions,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let statements = self.looked_at_batch(statements)?;
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let executor = self.executor_of(target)?;
        let call = self.call(&options);
        executor.batch(guard, target, &call, statements, mode).await
    }

    /// Runs statements of a job as [`Self::batch`] does, for as long as it says.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub async fn batch_of_job(
        &self,
        guard: &SharedGuard,
        target: &Target,
        statements: Vec<BatchStatement>,
        mode: BatchMode,
        options: QueryOptions,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let statements = self.looked_at_batch(statements)?;
        let executor = self.executor_of(target)?;
        let mut call = self.call(&options);
        if let Some(timeout) = options.timeout {
            call.timeout = timeout;
            call.deadline = Deadline::after(timeout);
        }
        executor.batch(guard, target, &call, statements, mode).await
    }

    /// What is in the database behind `guard`, as it is committed now. Kept in memory until it
    /// changes.
    ///
    /// # Errors
    /// As [`Self::query`]; [`QueryError::NotSupported`] when its engine does not tell.
    pub async fn schema(
        &self,
        guard: &SharedGuard,
        target: &Target,
        options: &QueryOptions,
    ) -> Result<Arc<Schema>, QueryError> {
        let executor = self.executor_of(target)?;
        executor.schema(guard, target, &self.call(options)).await
    }

    /// Statements that make indexes which would help `sql` on the database behind `guard`.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn suggest_indexes(
        &self,
        guard: &SharedGuard,
        target: &Target,
        schema: Arc<Schema>,
        sql: &str,
        options: &QueryOptions,
    ) -> Result<Vec<String>, QueryError> {
        let executor = self.executor_of(target)?;
        let call = self.call(options);
        let suggested = executor.suggest_indexes(guard, target, &call, schema, sql.into());
        suggested.await
    }

    /// Runs one statement on the history in `control_db`.
    ///
    /// # Errors
    /// As [`Self::query`]; whatever changes something is [`QueryError::ReadOnly`].
    pub async fn query_history(
        &self,
        control_db: &ControlDb,
        request: QueryRequest,
    ) -> Result<QueryAnswer, QueryError> {
        let call = self.call(&request.options);
        self.refuse_early(&request.sql, &request.params)?;
        let mut texts = control_db.event_texts();
        let views = Views {
            file: control_db.path().to_owned(),
            views: AUDIT_VIEWS,
            tables: AUDIT_TABLES,
            text_of: Box::new(move |sequence, field| {
                let text = texts.field(sequence, field);
                text.map_err(|error| error.to_string())
            }),
        };
        let statement = statement_of(request);
        self.executors.query_views(views, &call, statement).await
    }

    /// The folders of databases, for the steps that move them.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Bytes of a database's files, living or in the trash; 0 when it has none.
    #[must_use]
    pub fn size_bytes(&self, database: &Database) -> u64 {
        let Ok(engine) = self.engine_of(database) else {
            return 0;
        };
        let folders = [
            self.folders.living(database.id),
            self.folders.trashed(database.id),
        ];
        folders.iter().map(|folder| engine.size_bytes(folder)).sum()
    }

    /// How the database's data stands in its folder. One whose engine this gateway does not have is
    /// taken to be in its place.
    ///
    /// # Errors
    /// When the disk refuses to tell.
    pub fn data_file(
        &self,
        database: &Database,
        place: FolderPlace,
    ) -> Result<DataFile, FolderError> {
        let folder = match place {
            FolderPlace::Living => self.folders.living(database.id),
            FolderPlace::Trash => self.folders.trashed(database.id),
            FolderPlace::Nowhere => return Ok(DataFile::Missing),
        };
        let Ok(engine) = self.engine_of(database) else {
            return Ok(DataFile::InPlace);
        };
        let seen = engine.data_file(&folder);
        seen.map_err(|source| FolderError::Io {
            action: "look for a database's file",
            source,
        })
    }

    /// Closes half of the idle connections, where file descriptors run short. Returns
    /// whether there were any. Blocks.
    #[must_use]
    pub fn close_idle(&self) -> bool {
        self.executors.close_idle()
    }

    /// The bounds it works within.
    #[must_use]
    pub fn config(&self) -> &DataConfig {
        &self.config
    }

    /// Most bytes of a value that SQL may handle.
    #[must_use]
    pub fn largest_value_bytes() -> usize {
        crate::engine::registry::MAX_VALUE_BYTES
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> ExecutorHealth {
        self.executors.health()
    }

    /// Transactions of several requests that are open.
    #[must_use]
    pub fn open_transactions(&self) -> usize {
        self.transactions.count()
    }

    /// Counts of statements.
    #[must_use]
    pub fn statistics(&self) -> &Arc<SqlStatistics> {
        self.executors.statistics()
    }

    /// How many transactions of several requests have ended so, since the start.
    #[must_use]
    pub fn ended_transactions(&self, end: TransactionEnd) -> u64 {
        self.transactions.ended(end)
    }

    /// Closes what is open and idle; called once, at shutdown, when requests have ended. What
    /// still runs closes when it ends.
    pub async fn close(&self) {
        self.end_transactions();
        self.executors.close_all().await;
    }

    /// Refuses a database of an engine that the legacy API does not know.
    fn require_legacy_api(&self, target: &Target) -> Result<(), QueryError> {
        let engine = self.engines.find(target.engine);
        if engine.is_some_and(|engine| engine.capabilities().legacy_api) {
            return Ok(());
        }
        Err(QueryError::NotSupported {
            engine: target.engine.to_owned(),
            what: "the legacy API; use the routes below /v1/databases",
        })
    }

    /// What runs SQL on this database.
    fn executor_of(&self, target: &Target) -> Result<Executor<'_>, QueryError> {
        self.executors.of(target)
    }

    fn refuse_early(&self, sql: &str, params: &Params) -> Result<(), QueryError> {
        if sql.len() > self.config.max_statement_bytes {
            return Err(QueryError::PayloadTooLarge {
                what: "the statement",
                limit: format!("{} bytes", self.config.max_statement_bytes),
            });
        }
        if sql.contains('\0') {
            return Err(QueryError::InvalidRequest {
                message: "the statement holds a NUL byte".to_owned(),
            });
        }
        match params {
            Params::List(list) => list.fault().map_or(Ok(()), |fault| Err(fault.into())),
            _ => Ok(()),
        }
    }

    fn call(&self, options: &QueryOptions) -> Call {
        let config = &self.config;
        let timeout = options
            .timeout
            .unwrap_or(config.default_timeout)
            .min(config.largest_timeout);
        Call {
            deadline: Deadline::after(timeout),
            timeout,
            may_write: options.may_write(),
            yields_to_writes: false,
            keep: options.keep,
            form: Form {
                format: options.format,
                shape: options.shape,
                int64: options.int64,
                max_rows: options
                    .max_rows
                    .unwrap_or(config.default_max_rows)
                    .min(config.largest_max_rows),
                may_truncate: options.max_rows.is_some(),
                max_bytes: options
                    .max_bytes
                    .unwrap_or(config.default_max_bytes)
                    .min(config.largest_max_bytes),
                escapes_formulas: false,
            },
        }
    }
}

fn statement_of(request: QueryRequest) -> Statement {
    Statement {
        sql: request.sql.into(),
        params: request.params,
        ..Statement::default()
    }
}
