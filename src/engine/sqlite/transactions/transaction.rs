//! A transaction of several requests on SQLite: begin, statements, commit, roll back.
use super::inside::{Held, InnerRequest, Inside};
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::executor::Call;
use crate::engine::sql::{
    QueryAnswer, QueryError, Statement, Target, TransactionBatchError, TransactionEnd,
    TransactionError, TransactionMode, TransactionPlace,
};
use crate::engine::sqlite::SqlError;
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::readers::snapshot::Snapshot;
use crate::engine::sqlite::sandbox::execution_limits::ExecutionLimits;
use crate::engine::sqlite::statement::client_savepoints::Savepoints;
use crate::engine::sqlite::statement::first_word::begins_like_a_write;
use crate::engine::sqlite::threads::on_thread::limits_of;
use crate::engine::sqlite::writer::lease::LeaseSetup;
use crate::shares;
use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;

/// A commit that takes longer than this has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// One transaction. Its requests run one after another.
#[derive(Debug)]
pub struct SqliteTransaction {
    executor: Arc<SqliteExecutor>,
    mode: TransactionMode,
    /// Whether snapshots of its database have to end.
    wal_is_long: Arc<AtomicBool>,
    end: OnceLock<TransactionEnd>,
    inside: Arc<tokio::sync::Mutex<Option<Inside>>>,
}

/// A transaction with whose connection one request is alone.
struct Entered {
    lock: Option<OwnedMutexGuard<Option<Inside>>>,
    transaction: Arc<SqliteTransaction>,
}

impl SqliteExecutor {
    /// Begins a transaction, which keeps `place` for as long as it is open.
    ///
    /// # Errors
    /// As for a statement; nothing is held then.
    pub async fn begin(
        self: &Arc<Self>,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Arc<SqliteTransaction>, TransactionError> {
        let open = self.open_behind(guard, target)?;
        let held = match mode {
            TransactionMode::Immediate => {
                let setup = LeaseSetup::default();
                Held::Writer(self.lease_writer(guard, &open, call, setup).await?)
            }
            TransactionMode::Deferred => Held::Nothing,
            TransactionMode::ReadOnly => {
                let (reads, guard) = (Arc::clone(&open), guard.clone());
                let call_of_it = *call;
                let begun = self.on_thread(&open.breaker, call, move |cancellation| {
                    let snapshot = Snapshot::begin(&reads, limits_of(&call_of_it, cancellation));
                    drop(reads);
                    snapshot.map(|snapshot| (snapshot, guard))
                });
                let (snapshot, _) = begun
                    .await?
                    .map_err(|error| error.for_caller(call.timeout))?;
                Held::Snapshot(snapshot)
            }
        };
        Ok(Arc::new(SqliteTransaction {
            executor: Arc::clone(self),
            mode,
            wal_is_long: Arc::clone(&open.wal_is_long),
            end: OnceLock::new(),
            inside: Arc::new(tokio::sync::Mutex::new(Some(Inside {
                held,
                open,
                changes_schema: false,
                savepoints: Savepoints::default(),
                place,
                guard: guard.clone(),
            }))),
        }))
    }
}

impl SqliteTransaction {
    /// Runs the statements of one request. `together`: all of them are kept in the transaction, or
    /// none; else those before the first failure are.
    ///
    /// # Errors
    /// The first failure, with the place of its statement. Only some errors end the transaction.
    pub async fn run(
        self: &Arc<Self>,
        call: &Call,
        statements: Vec<Statement>,
        together: bool,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let may_grow = call.may_write && self.mode == TransactionMode::Deferred;
        let begins_like_a_write = |it: &Statement| begins_like_a_write(&it.sql);
        if may_grow && statements.iter().any(begins_like_a_write) {
            self.ensure_writer(call).await?;
        }
        let request = InnerRequest {
            statements,
            form: call.form,
            together,
            may_write: call.may_write,
        };
        let run = || self.run_on_what_it_holds(call, &request);
        match run().await {
            Err(failure) if failure.error == READ_ONLY && may_grow => {
                self.ensure_writer(call).await?;
                run().await
            }
            other => other,
        }
    }

    /// As [`SqliteExecutor::split`].
    ///
    /// # Errors
    /// As there.
    pub async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        self.executor.split(script, most).await
    }

    /// Makes what it did lasting, and ends it.
    ///
    /// # Errors
    /// [`TransactionError::Query`] when it cannot be kept as it is, and goes on; all others say
    /// that it is over.
    pub async fn commit(self: &Arc<Self>) -> Result<(), TransactionError> {
        let patience = Deadline::after(COMMIT_PATIENCE);
        let mut inside = self.enter(patience).await?;
        Self::refuse_moved(&inside)?;
        // A commit is not interrupted: a client that goes away now can read the rows to find out.
        let commit = tokio::task::spawn_blocking(move || {
            let committed = inside.commit(ExecutionLimits {
                deadline: patience,
                cancellation: None,
                slice: None,
                may_wait: true,
            });
            let end = match committed {
                Ok(()) => Some(TransactionEnd::Committed),
                Err(_) if inside.is_over() => Some(TransactionEnd::Broken),
                Err(_) => None,
            };
            if let Some(end) = end {
                inside.end(end);
            }
            (committed, end)
        });
        let (committed, end) = match tokio::time::timeout_at(patience.instant(), commit).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => {
                return Err(TransactionError::RolledBack(QueryError::OutcomeUnknown));
            }
        };
        committed.map_err(|error| failed(error, COMMIT_PATIENCE, end.is_some()))
    }

    /// Takes back what it did, and ends it.
    ///
    /// # Errors
    /// When it is over, or a statement of it does not end before `deadline`.
    pub async fn roll_back(self: &Arc<Self>, deadline: Deadline) -> Result<(), TransactionError> {
        let mut inside = self.enter(deadline).await?;
        // First: a request that waits behind this one finds that the transaction is over.
        inside.place.end(TransactionEnd::RolledBack);
        let rolled_back = tokio::task::spawn_blocking(move || inside.empty());
        // A thread that panicked has let go of it, too.
        let _ = rolled_back.await;
        Ok(())
    }

    /// Says how it ended, and lets go of what it holds, unless a request has it: that one does
    /// then.
    pub fn end(self: &Arc<Self>, end: TransactionEnd) {
        let _ = self.end.set(end);
        self.let_go();
    }

    /// Lets go of what it holds, rolling back what was not committed, unless a request has it:
    /// that one does then. On a thread that may block, where there is one.
    pub fn let_go(&self) {
        let Ok(mut lock) = Arc::clone(&self.inside).try_lock_owned() else {
            return;
        };
        let inside = lock.take();
        if inside.is_none() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(tokio) => drop(tokio.spawn_blocking(move || drop(inside))),
            Err(_) => drop(inside),
        }
    }

    /// Whether others have written so much since the moment that it reads that it has to end.
    #[must_use]
    pub fn is_too_old(&self) -> bool {
        self.mode != TransactionMode::Immediate && self.wal_is_long.load(Ordering::Acquire)
    }

    /// Waits until no other request has its connection.
    async fn enter(self: &Arc<Self>, deadline: Deadline) -> Result<Entered, TransactionError> {
        let waiting = Arc::clone(&self.inside).lock_owned();
        let lock = shares::waiting(tokio::time::timeout_at(deadline.instant(), waiting)).await;
        let lock = lock.map_err(|_| TransactionError::Query(QueryError::Locked))?;
        let end = match self.end.get() {
            None if lock.is_some() => None,
            end => Some(end.copied().unwrap_or(TransactionEnd::Broken)),
        };
        let entered = Entered {
            transaction: Arc::clone(self),
            lock: Some(lock),
        };
        match end {
            None => Ok(entered),
            Some(end) => Err(TransactionError::Ended(end)),
        }
    }

    async fn run_on_what_it_holds(
        self: &Arc<Self>,
        call: &Call,
        request: &InnerRequest,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let mut inside = self.enter(call.deadline).await?;
        Self::refuse_moved(&inside)?;
        let open = Arc::clone(&inside.open);
        let turn = match inside.held {
            Held::Writer(_) => None,
            // The threads for a database's reads are limited, and this one takes one of them.
            Held::Nothing | Held::Snapshot(_) => Some(open.turn(call.deadline).await?),
        };
        let place = Arc::clone(&inside.place);
        let (request, call_of_it) = (request.clone(), *call);
        let together = request.together;
        let run = self
            .executor
            .on_thread(&open.breaker, call, move |cancellation| {
                let limits = limits_of(&call_of_it, Arc::clone(&cancellation));
                let result = inside.run(&request, limits);
                let is_over = inside.is_over() || cancellation.is_cancelled();
                if is_over {
                    inside.end(TransactionEnd::Broken);
                }
                drop(inside);
                drop(turn);
                (result, is_over)
            });
        match run.await {
            Ok((Ok(answers), _)) => Ok(answers.into_iter().map(Into::into).collect()),
            Ok((Err((statement, error)), is_over)) => Err(TransactionBatchError {
                statement: Some(statement),
                kept: if together || is_over { 0 } else { statement },
                error: failed(error, call.timeout, is_over),
            }),
            Err(error @ QueryError::Overloaded { .. }) => Err(error.into()),
            Err(error) => {
                // Its thread does not come back; the transaction ends when it does.
                place.end(TransactionEnd::Broken);
                Err(TransactionError::RolledBack(error).into())
            }
        }
    }

    /// Sees to it that the transaction has the writer.
    async fn ensure_writer(self: &Arc<Self>, call: &Call) -> Result<(), TransactionError> {
        let mut inside = self.enter(call.deadline).await?;
        if let Held::Writer(_) = inside.held {
            return Ok(());
        }
        let executor = &self.executor;
        let writer = executor
            .lease_writer(&inside.guard, &inside.open, call, LeaseSetup::default())
            .await?;
        if let Held::Snapshot(it) = &inside.held
            && !it.is_current()
        {
            tokio::task::spawn_blocking(move || drop(writer));
            return Err(TransactionError::Outdated);
        }
        let mut writer = writer;
        let made = writer.sqlite().make_savepoints(&inside.savepoints);
        made.map_err(|error| failed(error, call.timeout, false))?;
        let before = std::mem::replace(&mut inside.held, Held::Writer(writer));
        tokio::task::spawn_blocking(move || drop(before));
        Ok(())
    }

    /// Ends a transaction whose file was moved away, or whose database rests for good.
    fn refuse_moved(inside: &Entered) -> Result<(), TransactionError> {
        if let Some(reason) = inside.open.breaker.reason() {
            return Err(QueryError::Unavailable { reason }.into());
        }
        if inside.open.is_in_place() {
            return Ok(());
        }
        inside.place.end(TransactionEnd::Broken);
        Err(TransactionError::RolledBack(QueryError::DataMissing))
    }
}

/// What a reader says to a statement that needs the writer.
const READ_ONLY: TransactionError = TransactionError::Query(QueryError::ReadOnly);

fn failed(error: SqlError, timeout: Duration, is_over: bool) -> TransactionError {
    let error = error.for_caller(timeout);
    if is_over {
        TransactionError::RolledBack(error)
    } else {
        TransactionError::Query(error)
    }
}

impl Entered {
    /// Drops what the transaction holds: what was not committed is rolled back. Blocks.
    fn empty(&mut self) {
        if let Some(inside) = &mut self.lock {
            drop(inside.take());
        }
    }

    /// Drops what the transaction holds, and tells that it is over. Blocks.
    fn end(&mut self, end: TransactionEnd) {
        let place = Arc::clone(&self.place);
        self.empty();
        place.end(end);
    }
}

impl Deref for Entered {
    type Target = Inside;
    fn deref(&self) -> &Inside {
        let inside = self.lock.as_ref().expect("it is there until dropped");
        inside.as_ref().expect("who was let in finds it whole")
    }
}

impl DerefMut for Entered {
    fn deref_mut(&mut self) -> &mut Inside {
        let inside = self.lock.as_mut().expect("it is there until dropped");
        inside.as_mut().expect("who was let in finds it whole")
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        drop(self.lock.take());
        // Another request ended the transaction while this one held it.
        if self.transaction.end.get().is_some() {
            self.transaction.let_go();
        }
    }
}
