//! Runs SQL on SQLite's databases: finds the open database, and sends each statement where it
//! belongs.
//!
//! Reads run on any of a database's readers: a short one on the thread that serves the request,
//! others on a thread of their own. Results of any size are streamed, on threads that are for
//! streams alone. Writes wait in one queue a database and are kept in groups, one commit for each
//! group; a transaction of several requests leases the writer from that queue.
use super::config::SqliteConfig;
use super::open::circuit_breaker::CircuitBreaker;
use super::open::open_database::OpenDatabase;
use super::open::open_databases::OpenDatabases;
use super::readers::snapshot::CountedSnapshot;
use super::statement::first_word::{begins_like_a_write, optimizes};
use super::threads::concurrency_limiter::ConcurrencyLimiter;
use super::threads::pool::{Lateness, ThreadPool, WhenStuck};
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::{AccessLocks, SharedGuard};
use crate::engine::sql::executor::{Call, ExecutorHealth};
use crate::engine::sql::{Params, QueryAnswer, QueryError, SqlStatistics, Statement, Target};
use crate::engine::{DataFileError, DatabasesFolder};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Questions about the history at once: what people ask of a history reads much of it, and the
/// machine is there for their databases.
const AUDITS: usize = 2;
/// What a statement works past its deadline before a worker ends for it. An interrupt takes far less
/// where it works at all, and the worker's share of a processor may be small.
const STUCK_IN_A_WORKER: Duration = Duration::from_millis(10);
/// Questions that wait for their turn.
const WAITING_AUDITS: usize = 32;

/// Serves SQL on the databases below one folder.
#[derive(Debug)]
pub struct SqliteExecutor {
    pub(super) config: SqliteConfig,
    pub(super) databases: DatabasesFolder,
    pub(super) open: Arc<OpenDatabases>,
    pub(super) threads: Arc<ThreadPool>,
    pub(super) stream_threads: Arc<ThreadPool>,
    /// Questions about the history that run, and whether one of them does not end.
    pub(super) audit_turns: ConcurrencyLimiter,
    pub(super) audit_breaker: Arc<CircuitBreaker>,
    /// Runs the writes.
    pub(super) tokio: Handle,
}

impl SqliteExecutor {
    /// On the databases below `databases`, whose access locks are `locks`. Made in the runtime that
    /// is to run its writes.
    pub fn new(config: SqliteConfig, databases: DatabasesFolder, locks: Arc<AccessLocks>) -> Self {
        Self::telling(None, config, databases, locks)
    }

    /// The same. `when_stuck` is told when a statement is stuck, in a process that then ends; without
    /// it, its thread is written off.
    pub(super) fn telling(
        when_stuck: Option<WhenStuck>,
        config: SqliteConfig,
        databases: DatabasesFolder,
        locks: Arc<AccessLocks>,
    ) -> Self {
        if !super::process::set_up_process() {
            tracing::warn!("SQLite was in use before: a statement's memory is not bounded");
        }
        let lateness = Lateness {
            grace: config.stuck_grace,
            worked: match when_stuck {
                Some(_) => STUCK_IN_A_WORKER,
                None => config.stuck_grace / 2,
            },
            blocked: config.blocked_grace,
            when_stuck,
        };
        Self {
            threads: ThreadPool::new(config.threads, config.max_stuck, lateness.clone()),
            stream_threads: ThreadPool::new(config.streams, config.max_stuck, lateness),
            open: OpenDatabases::new(&config, locks),
            config,
            databases,
            audit_turns: ConcurrencyLimiter::new(
                "answers about the history",
                AUDITS,
                WAITING_AUDITS,
            ),
            audit_breaker: Arc::default(),
            tokio: Handle::current(),
        }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// What [`QueryError`] lists; nothing of the statement is kept then, but for
    /// [`QueryError::OutcomeUnknown`].
    pub async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let open = self.open_behind(guard, target)?;
        self.one(guard, &open, call, statement).await
    }

    /// Runs one statement where it belongs.
    pub(super) async fn one(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let sql = &statement.sql;
        let writes = begins_like_a_write(sql) || call.may_write && optimizes(sql);
        if !writes && matches!(statement.params, Params::List(_)) {
            // All of its rows see one moment.
            let read = self.read_together(guard, open, call, vec![statement.clone()]);
            match Box::pin(read).await.map_err(|failure| failure.error) {
                Err(QueryError::ReadOnly) if call.may_write => {}
                other => {
                    let mut answers = other?;
                    let answer = answers.pop().expect("one answer for one statement");
                    return Ok(answer.into());
                }
            }
        } else if !writes {
            match self.read(guard, open, call, &statement).await {
                Err(QueryError::ReadOnly) if call.may_write => {}
                other => return other,
            }
        } else if !call.may_write {
            return Err(QueryError::ReadOnly);
        }
        let mut answers = self
            .write(guard, open, call, vec![statement])
            .await
            .map_err(|failure| failure.error)?;
        Ok(answers.pop().expect("one answer for one statement").into())
    }

    /// Counts a snapshot of the database that is read in another process.
    ///
    /// # Errors
    /// When the database is unavailable.
    pub fn hold_snapshot(
        &self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<CountedSnapshot, QueryError> {
        let open = self.open_behind(guard, target)?;
        Ok(CountedSnapshot::of(&open))
    }

    /// Closes a database whose access lock is held exclusively.
    ///
    /// # Errors
    /// When that panics.
    pub async fn close(&self, database: DatabaseId) -> Result<(), DataFileError> {
        let Some(open) = self.open.take(database) else {
            return Ok(());
        };
        let closed = tokio::task::spawn_blocking(move || open.close()).await;
        closed.map_err(|error| DataFileError::Io {
            action: "close the database",
            reason: error.to_string(),
        })
    }

    /// Closes half of the idle connections. Returns whether there were any. Blocks.
    #[must_use]
    pub fn close_idle(&self) -> bool {
        self.open.close_idle(self.open.connections() / 2)
    }

    /// Closes what is open and idle. What still runs closes when it ends.
    pub async fn close_all(&self) {
        let open = self.open.take_all();
        // Closing brings the WAL into the main file, which syncs; a failure there loses nothing,
        // since what was answered is in the WAL.
        let _ = tokio::task::spawn_blocking(move || drop(open)).await;
    }

    /// Counts of its statements.
    #[must_use]
    pub fn statistics(&self) -> &Arc<SqlStatistics> {
        &self.open.statistics
    }

    /// How it is doing. Looks at a file of each open database.
    #[must_use]
    pub fn health(&self) -> ExecutorHealth {
        let open = self.open.all();
        let queues = || open.iter().map(|it| it.writes.waiting());
        let wals = || open.iter().map(|it| it.wal_length());
        ExecutorHealth {
            threads: self.threads.taken(),
            thread_waits: self.threads.waits().plus(&self.stream_threads.waits()),
            queued_writes: queues().sum(),
            longest_write_queue: queues().max().unwrap_or(0),
            wal_bytes: wals().sum(),
            largest_wal_bytes: wals().max().unwrap_or(0),
            connections: self.open.connections(),
            temp_bytes: self.open.temp_bytes(),
            streams: self.stream_threads.taken(),
            stuck_threads: self.threads.stuck() + self.stream_threads.stuck(),
        }
    }

    /// Lets no write begin any more, in a process that is about to end. Returns whether none is
    /// being kept: one that is stuck is not kept either.
    pub(super) async fn stop_writing(&self, until: Deadline) -> bool {
        let mut is_still = true;
        for open in self.open.all() {
            if open.writes.is_late() {
                continue;
            }
            let (stopped, is_stopped) = oneshot::channel();
            tokio::task::spawn_blocking(move || {
                let _writer = open.writer();
                let _ = stopped.send(());
                loop {
                    std::thread::park();
                }
            });
            let stopped = tokio::time::timeout_at(until.instant(), is_stopped).await;
            is_still &= matches!(stopped, Ok(Ok(())));
        }
        is_still
    }

    pub(super) fn open_behind(
        &self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<Arc<OpenDatabase>, QueryError> {
        assert_eq!(
            guard.database(),
            target.database,
            "SQL runs behind the access lock of its own database"
        );
        let get = || self.open.get(guard, target, &self.databases, &self.config);
        let mut open = get();
        if !open.is_in_place_for_reads() {
            // What lies there now is opened, or said to be missing. The handles on what is gone
            // close under the access lock, as all do; SQLite leaves the WAL of a file that was
            // moved.
            self.open.forget(target.database, &open);
            let closing = (std::mem::replace(&mut open, get()), guard.clone());
            tokio::task::spawn_blocking(move || drop(closing));
        }
        if let Some(reason) = open.breaker.reason() {
            return Err(QueryError::Unavailable { reason });
        }
        Ok(open)
    }
}
