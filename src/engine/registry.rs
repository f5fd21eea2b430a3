//! The engines that a gateway serves, and the one place that tells SQLite from the others.
use super::access_lock::{AccessLocks, SharedGuard};
use super::postgres::{Postgres, PostgresConfig};
use super::sql::changes::{TableChanged, TableCommand, TableError};
use super::sql::executor::{Call, ExecutorHealth, ReaderHold, SqlExecutor, SqlTransaction};
use super::sql::{
    BatchError, BatchMode, Form, MigrateError, Migrated, NewMigration, QueryAnswer, QueryError,
    Schema, SqlStatistics, Statement, Streamed, Target, TransactionBatchError, TransactionEnd,
    TransactionError, TransactionMode, TransactionPlace, ValuePart,
};
use super::sqlite::{CountedSnapshot, Sqlite, SqliteExecutor, SqliteInWorker, SqliteTransaction};
use super::{DataFileError, DatabasesFolder, Engine, ServedEngine};
use crate::clock::Deadline;
use crate::config::FenceMode;
use crate::domain::database::Isolation;
use crate::domain::ids::DatabaseId;
use crate::runtime::Runtime;
use futures_util::future::join_all;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

pub use super::sqlite::{
    LARGEST_VALUE_BYTES, LentWriter, MAX_VALUE_BYTES, RUN_FOLDER, ServeConfig, SqliteConfig, Views,
    WorkerListener, ask_worker, serve,
};

/// While it lives, a reader of a database that is in another process is known to its writer.
#[derive(Debug)]
pub enum SnapshotHold {
    /// The writer is in this process.
    Sqlite(CountedSnapshot),
    /// It is in the database's worker, which is told unless it knows its readers itself.
    Served(Option<ReaderHold>),
}

impl SnapshotHold {
    /// Whether the reader has kept writes up for so long that it has to end.
    #[must_use]
    pub fn has_to_end(&self) -> bool {
        match self {
            Self::Sqlite(counted) => counted.has_to_end(),
            Self::Served(hold) => hold.as_ref().is_some_and(ReaderHold::has_to_end),
        }
    }
}

/// The engine of a database for which none is named.
pub const DEFAULT_ENGINE: &str = Sqlite::NAME;

/// The engines of a gateway: SQLite, and those that live in their workers.
#[derive(Clone)]
pub struct Engines {
    all: Vec<Arc<dyn Engine>>,
    served: Vec<Arc<dyn ServedEngine>>,
    pub(super) isolation: Isolation,
}

impl Engines {
    /// SQLite, and `served`.
    #[must_use]
    pub fn new(served: Vec<Arc<dyn ServedEngine>>) -> Self {
        let mut all: Vec<Arc<dyn Engine>> = vec![Arc::new(Sqlite::default())];
        all.extend(
            served
                .iter()
                .map(|engine| Arc::clone(engine) as Arc<dyn Engine>),
        );
        Self {
            all,
            served,
            isolation: Isolation::default(),
        }
    }

    /// The same, where new databases have this isolation unless the caller says otherwise or their
    /// engine has another one alone. `fence`: what happens where the kernel lacks a part of the
    /// fence around a worker that serves.
    #[must_use]
    pub fn isolated_by(mut self, isolation: Isolation, fence: FenceMode) -> Self {
        self.isolation = isolation;
        let sqlite: Arc<dyn Engine> = Arc::new(Sqlite { fence });
        for engine in &mut self.all {
            if engine.name() == Sqlite::NAME {
                *engine = Arc::clone(&sqlite);
            }
        }
        self
    }

    /// Those that this build serves, outside of a gateway: they make nothing.
    #[must_use]
    pub fn standard() -> Self {
        Self::new(vec![Arc::new(Postgres::elsewhere())])
    }

    /// Those that this build serves, in a gateway.
    #[must_use]
    pub fn of_gateway(postgres: PostgresConfig) -> Self {
        Self::new(vec![Arc::new(Postgres::new(postgres))])
    }

    /// Looks for what runs their databases' workers.
    pub async fn look_around(&self, runtime: &Arc<dyn Runtime>) {
        let looks = self.all.iter().map(|engine| engine.look_around(runtime));
        join_all(looks).await;
    }

    /// Every engine.
    #[must_use]
    pub fn all(&self) -> &[Arc<dyn Engine>] {
        &self.all
    }

    /// The engine that callers call `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<dyn Engine>> {
        self.all.iter().find(|engine| engine.name() == name)
    }

    /// What runs SQL on databases below `databases`, whose access locks are `locks`. Made in the
    /// tokio runtime that is to run writes.
    #[must_use]
    pub fn executors(
        &self,
        config: SqliteConfig,
        databases: &DatabasesFolder,
        locks: &Arc<AccessLocks>,
    ) -> Executors {
        let served = self.served.iter();
        let served = served.filter_map(|engine| Some((engine.name(), engine.sql(databases)?)));
        let most_connections = config.max_connections;
        let sqlite = SqliteExecutor::new(config, databases.clone(), Arc::clone(locks));
        let statistics = Arc::clone(sqlite.statistics());
        Executors {
            sqlite_in_worker: Box::new(SqliteInWorker::new(
                databases.clone(),
                statistics,
                most_connections,
            )),
            sqlite: Arc::new(sqlite),
            served: served.collect(),
        }
    }
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.all.iter().map(|engine| engine.name());
        f.debug_list().entries(names).finish()
    }
}

/// What runs SQL, by engine.
#[derive(Debug)]
pub struct Executors {
    sqlite: Arc<SqliteExecutor>,
    sqlite_in_worker: Box<dyn SqlExecutor>,
    served: Vec<(&'static str, Box<dyn SqlExecutor>)>,
}

/// What runs SQL on one database.
#[derive(Debug, Clone, Copy)]
pub enum Executor<'e> {
    /// In this process.
    Sqlite(&'e Arc<SqliteExecutor>),
    /// In the database's worker.
    Served(&'e dyn SqlExecutor),
}

/// An open transaction of several requests.
#[derive(Debug)]
pub enum Session {
    /// In this process.
    Sqlite(Arc<SqliteTransaction>),
    /// In the database's worker.
    Served(Box<dyn SqlTransaction>),
}

impl Executors {
    /// What runs SQL on this database.
    ///
    /// # Errors
    /// [`QueryError::NotSupported`] when nothing does.
    pub fn of(&self, target: &Target) -> Result<Executor<'_>, QueryError> {
        if target.engine == Sqlite::NAME {
            return Ok(match target.isolation {
                Isolation::Gateway => Executor::Sqlite(&self.sqlite),
                Isolation::Worker => Executor::Served(self.sqlite_in_worker.as_ref()),
            });
        }
        let served = self.served.iter().find(|(name, _)| *name == target.engine);
        let (_, served) = served.ok_or(QueryError::NotSupported {
            engine: target.engine.to_owned(),
            what: "SQL",
        })?;
        Ok(Executor::Served(served.as_ref()))
    }

    /// Runs one statement that sees nothing but views of a file of the gateway's own.
    ///
    /// # Errors
    /// As [`Executor::query`]; a statement that changes something is [`QueryError::ReadOnly`].
    pub async fn query_views(
        &self,
        views: Views,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        self.sqlite.query_views(views, call, statement).await
    }

    /// Closes half of the idle connections, where file descriptors run short. Returns
    /// whether there were any. Blocks.
    #[must_use]
    pub fn close_idle(&self) -> bool {
        let mut remote = self.remote();
        self.sqlite.close_idle() | remote.any(SqlExecutor::close_idle)
    }

    /// Whether the worker of a database may be at work on something that it was asked for.
    #[must_use]
    pub fn have_asked_worker(&self, target: &Target) -> bool {
        if target.engine == Sqlite::NAME {
            // Also one whose isolation has just become another.
            return self.sqlite_in_worker.has_asked(target.database);
        }
        match self.of(target) {
            Ok(Executor::Served(served)) => served.has_asked(target.database),
            Ok(Executor::Sqlite(_)) | Err(_) => false,
        }
    }

    /// Those that ask workers.
    fn remote(&self) -> impl Iterator<Item = &dyn SqlExecutor> {
        let served = self.served.iter().map(|(_, served)| served.as_ref());
        served.chain([self.sqlite_in_worker.as_ref()])
    }

    /// Lets go of a database, whose access lock is held exclusively: also of what another isolation
    /// of it has left open.
    ///
    /// # Errors
    /// When it cannot be closed now.
    pub async fn close(&self, target: &Target) -> Result<(), DataFileError> {
        if target.engine == Sqlite::NAME {
            self.sqlite.close(target.database).await?;
            if target.isolation == Isolation::Gateway && !self.have_asked_worker(target) {
                return Ok(());
            }
            return self.sqlite_in_worker.close(target.database).await;
        }
        match self.of(target) {
            Ok(executor) => executor.close(target.database).await,
            Err(_) => Ok(()),
        }
    }

    /// Counts of the statements that run in this process.
    #[must_use]
    pub fn statistics(&self) -> &Arc<SqlStatistics> {
        self.sqlite.statistics()
    }

    /// Lets go of every database.
    pub async fn close_all(&self) {
        self.sqlite.close_all().await;
        for remote in self.remote() {
            remote.close_all().await;
        }
    }

    /// How all of them are doing.
    #[must_use]
    pub fn health(&self) -> ExecutorHealth {
        let remote = self.remote().map(SqlExecutor::health);
        remote.fold(self.sqlite.health(), |all, one| ExecutorHealth {
            connections: all.connections + one.connections,
            temp_bytes: all.temp_bytes + one.temp_bytes,
            streams: all.streams + one.streams,
            stuck_threads: all.stuck_threads + one.stuck_threads,
            threads: all.threads + one.threads,
            thread_waits: all.thread_waits.plus(&one.thread_waits),
            queued_writes: all.queued_writes + one.queued_writes,
            longest_write_queue: all.longest_write_queue.max(one.longest_write_queue),
            wal_bytes: all.wal_bytes + one.wal_bytes,
            largest_wal_bytes: all.largest_wal_bytes.max(one.largest_wal_bytes),
        })
    }
}

/// Each call on SQLite is a direct one, without a future on the heap. What it does and how it fails
/// stands at [`SqlExecutor`].
#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "they stand at the trait"
)]
impl Executor<'_> {
    pub async fn query(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.query(guard, target, call, statement).await,
            Self::Served(served) => served.query(guard, target, call, statement).await,
        }
    }

    pub async fn batch(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        mode: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.batch(guard, target, call, statements, mode).await,
            Self::Served(served) => served.batch(guard, target, call, statements, mode).await,
        }
    }

    pub async fn split(self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.split(script, most).await,
            Self::Served(served) => served.split(script, most).await,
        }
    }

    pub async fn stream(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.stream(guard, target, call, rows, statement).await,
            Self::Served(served) => served.stream(guard, target, call, rows, statement).await,
        }
    }

    pub fn hold_snapshot(
        self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<SnapshotHold, QueryError> {
        match self {
            Self::Sqlite(sqlite) => Ok(SnapshotHold::Sqlite(sqlite.hold_snapshot(guard, target)?)),
            Self::Served(served) => Ok(SnapshotHold::Served(served.hold_snapshot(guard, target))),
        }
    }

    pub async fn schema(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.schema(guard, target, call).await,
            Self::Served(served) => served.schema(guard, target, call).await,
        }
    }

    pub async fn migrate(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        migration: NewMigration,
    ) -> Result<Migrated, MigrateError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.migrate(guard, target, call, migration).await,
            Self::Served(served) => served.migrate(guard, target, call, migration).await,
        }
    }

    pub async fn read_value(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        part: ValuePart,
    ) -> Result<Streamed, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.read_value(guard, target, call, part).await,
            Self::Served(served) => served.read_value(guard, target, call, part).await,
        }
    }

    pub async fn lend_writer(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<LentWriter, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.lend_writer(guard, target, call).await,
            Self::Served(_) => Err(QueryError::NotSupported {
                engine: target.engine.to_owned(),
                what: "writing values as raw bytes where its worker answers",
            }),
        }
    }

    pub async fn change_table(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        command: TableCommand,
    ) -> Result<TableChanged, TableError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.change_table(guard, target, call, command).await,
            Self::Served(served) => served.change_table(guard, target, call, command).await,
        }
    }

    pub async fn suggest_indexes(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        schema: Arc<Schema>,
        sql: Arc<str>,
    ) -> Result<Vec<String>, QueryError> {
        match self {
            Self::Sqlite(sqlite) => {
                sqlite
                    .suggest_indexes(guard, target, call, schema, sql)
                    .await
            }
            Self::Served(served) => {
                served
                    .suggest_indexes(guard, target, call, schema, sql)
                    .await
            }
        }
    }

    pub async fn begin(
        self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Session, TransactionError> {
        match self {
            Self::Sqlite(sqlite) => {
                let begun = sqlite.begin(guard, target, call, mode, place).await?;
                Ok(Session::Sqlite(begun))
            }
            Self::Served(served) => {
                let begun = served.begin(guard, target, call, mode, place).await?;
                Ok(Session::Served(begun))
            }
        }
    }

    pub async fn close(self, database: DatabaseId) -> Result<(), DataFileError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.close(database).await,
            Self::Served(served) => served.close(database).await,
        }
    }
}

/// What each call does and how it fails stands at [`SqlTransaction`].
#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    reason = "they stand at the trait"
)]
impl Session {
    pub async fn run(
        &self,
        call: &Call,
        statements: Vec<Statement>,
        together: bool,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.run(call, statements, together).await,
            Self::Served(served) => served.run(call, statements, together).await,
        }
    }

    pub async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.split(script, most).await,
            Self::Served(served) => served.split(script, most).await,
        }
    }

    pub async fn commit(&self) -> Result<(), TransactionError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.commit().await,
            Self::Served(served) => served.commit().await,
        }
    }

    pub async fn roll_back(&self, deadline: Deadline) -> Result<(), TransactionError> {
        match self {
            Self::Sqlite(sqlite) => sqlite.roll_back(deadline).await,
            Self::Served(served) => served.roll_back(deadline).await,
        }
    }

    pub fn end(&self, end: TransactionEnd) {
        match self {
            Self::Sqlite(sqlite) => sqlite.end(end),
            Self::Served(served) => served.end(end),
        }
    }

    pub fn discard(&self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.let_go(),
            Self::Served(served) => served.discard(),
        }
    }

    #[must_use]
    pub fn is_too_old(&self) -> bool {
        match self {
            Self::Sqlite(sqlite) => sqlite.is_too_old(),
            Self::Served(served) => served.is_too_old(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_found_by_its_name_alone() {
        let engines = Engines::standard();
        for engine in engines.all() {
            assert!(engines.find(engine.name()).is_some(), "{}", engine.name());
        }
        assert!(engines.find("oracle").is_none());
        assert!(engines.find("").is_none());
    }
}
