//! How requests get to the writer: in the queue, and with a lease of it.
use super::lease::{LeaseRequest, LeaseSetup, WriterLease};
use super::queue::{Sharing, WriteQueue, WriteRequest};
use super::writer_loop::WriterLoop;
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{BatchError, Call, Cancellation, Keep, Params, QueryError, Statement};
use crate::engine::sqlite::Answer;
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::readers::latency_class::{LatencyClass, key_of};
use crate::shares::{Pass, waiting as waiting_for};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A commit that takes longer than this past its deadline has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(5);

/// Rows of parameters with which a request, of which nothing is known yet, is taken to be long. A
/// row takes about a microsecond, a group about 2 ms.
const SHARED_ROWS: usize = 2_000;

fn rows_of_parameters(statements: &[Statement]) -> usize {
    let rows = statements.iter().map(|statement| match &statement.params {
        Params::List(list) => list.rows(),
        _ => 0,
    });
    rows.sum()
}

impl SqliteExecutor {
    /// Runs statements on the writer, all or none.
    pub(crate) async fn write(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statements: Vec<Statement>,
    ) -> Result<Vec<Answer>, BatchError> {
        let failed = |error| BatchError {
            statement: 0,
            error,
        };
        let cancellation = Arc::new(Cancellation::default());
        let (answer, mut answered) = oneshot::channel();
        let here = Handle::current();
        let key = key_of(&statements[0]);
        let sharing = match open.classifier.of(&key) {
            Some(LatencyClass::Slow) => Sharing::Exclusive,
            Some(LatencyClass::Proven) if statements.len() == 1 && call.keep == Keep::default() => {
                Sharing::Proven
            }
            _ if rows_of_parameters(&statements) > SHARED_ROWS => Sharing::Exclusive,
            _ => Sharing::InSavepoint,
        };
        let is_long = sharing == Sharing::Exclusive;
        let is_first = open
            .writes
            .push(WriteRequest {
                sharing,
                key,
                keep: call.keep,
                statements,
                form: call.form,
                deadline: call.deadline,
                timeout: call.timeout,
                cancellation: Arc::clone(&cancellation),
                answer,
                pass: Pass::here(),
                home: here.clone(),
                _guard: guard.clone(),
            })
            .map_err(failed)?;
        if is_first {
            // Where the request is served, long work lets others go first.
            let tokio = if is_long { here } else { self.tokio.clone() };
            self.start_writer_loop(guard, open, tokio);
        }

        let grace = self.config.stuck_grace;
        let mut waiting = Waiting {
            cancellation,
            writes: Arc::clone(&open.writes),
            deadline: call.deadline,
            grace,
            is_over: false,
        };
        let last = call.deadline.extended(grace).instant();
        let in_time = {
            let in_time = pin!(async {
                let deadline = call.deadline.instant();
                if let Ok(answered) = tokio::time::timeout_at(deadline, &mut answered).await {
                    return Ok(answered);
                }
                open.writes.look_for_late(grace);
                tokio::time::timeout_at(last, &mut answered).await
            });
            waiting_for(in_time).await
        };
        let result = match in_time {
            Ok(answered) => answered,
            Err(_) if waiting.cancellation.cancel() => {
                waiting.is_over = true;
                if open.writes.look_for_late(grace) {
                    tokio::spawn(Arc::clone(&open.writes).watch_late(grace));
                }
                let is_locked = open.writes.forget_cancelled();
                return Err(failed(if is_locked {
                    QueryError::Locked
                } else {
                    QueryError::timeout(call.timeout)
                }));
            }
            // It is being made lasting at this moment: the answer is near, and it is the truth.
            Err(_) => match tokio::time::timeout(COMMIT_PATIENCE, &mut answered).await {
                Ok(answered) => answered,
                Err(_) => return Err(failed(QueryError::OutcomeUnknown)),
            },
        };
        waiting.is_over = true;
        result.unwrap_or_else(|_| {
            Err(failed(QueryError::Broken {
                reason: "the thread of this database's writes ended; nothing was kept".to_owned(),
            }))
        })
    }

    /// Sends a thread that drains the database's line.
    pub(crate) fn start_writer_loop(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        tokio: Handle,
    ) {
        let drain = WriterLoop {
            open: Arc::clone(open),
            _guard: guard.clone(),
            threads: Arc::clone(&self.threads),
            tokio,
            group_requests: self.config.group_requests,
            group_time: self.config.group_time,
            drain_time: self.config.drain_time,
        };
        drain.start();
    }

    /// Waits in line for the writer and begins a transaction on it.
    ///
    /// # Errors
    /// [`QueryError::Locked`] when others have it until the deadline; else what SQLite says.
    pub(crate) async fn lease_writer(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        setup: LeaseSetup,
    ) -> Result<WriterLease, QueryError> {
        let (answer, answered) = oneshot::channel();
        let cancellation = Arc::new(Cancellation::default());
        let is_first = open.writes.push_lease(LeaseRequest {
            setup,
            deadline: call.deadline,
            timeout: call.timeout,
            cancellation: Arc::clone(&cancellation),
            answer,
        });
        let _waiting = WaitingForLease(cancellation);
        if is_first {
            self.start_writer_loop(guard, open, self.tokio.clone());
        }
        let last = call.deadline.extended(self.config.stuck_grace).instant();
        match waiting_for(tokio::time::timeout_at(last, answered)).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(QueryError::Broken {
                reason: "the thread of this database's writes ended".to_owned(),
            }),
            Err(_) => Err(QueryError::Locked),
        }
    }
}

/// The caller of a write. When it is dropped, the write is interrupted or not begun.
struct Waiting {
    cancellation: Arc<Cancellation>,
    writes: Arc<WriteQueue>,
    deadline: Deadline,
    grace: Duration,
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.cancellation.cancel();
        self.writes.forget_cancelled();
        let (writes, grace) = (Arc::clone(&self.writes), self.grace);
        let deadline = self.deadline.instant();
        if let Ok(tokio) = Handle::try_current() {
            tokio.spawn(async move {
                tokio::time::sleep_until(deadline).await;
                writes.watch_late(grace).await;
            });
        }
    }
}

/// The caller that waits for the writer. When it is dropped, no transaction is begun for it.
struct WaitingForLease(Arc<Cancellation>);

impl Drop for WaitingForLease {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
