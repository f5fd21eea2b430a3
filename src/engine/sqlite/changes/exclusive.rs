//! Work that has the writer alone, in one transaction, outside of group commit.
//!
//! What has to be set up before a transaction begins, such as foreign keys that do not hold, is set
//! when the writer is leased, and set back when the lease ends, however it does: a panic, a deadline
//! and a caller that has gone all drop it.
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{Call, Cancellation, QueryError};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::threads::on_thread::limits_of;
use crate::engine::sqlite::writer::lease::{LeaseSetup, WriterLease};
use crate::engine::sqlite::{ExecutionLimits, SqlError, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A commit that takes longer than this has a disk that does not answer.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);

/// What becomes of what was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Keep,
    TakeBack,
}

/// What a piece of work needs to commit.
struct Uncommitted {
    lease: WriterLease,
    open: Arc<OpenDatabase>,
    cancellation: Arc<Cancellation>,
    /// Last: dropped after all handles.
    _guard: SharedGuard,
}

impl SqliteExecutor {
    /// Does `work` on the writer, in a transaction, on a thread that may block. What it did is kept
    /// when it says so.
    ///
    /// # Errors
    /// Those of `work`; [`QueryError::Locked`] when others have the writer until the deadline;
    /// [`QueryError::OutcomeUnknown`] when the commit does not end.
    pub(crate) async fn exclusively<T, E>(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        setup: LeaseSetup,
        work: impl FnOnce(&mut SqliteConnection) -> Result<(T, Outcome), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<QueryError> + Send + 'static,
    {
        let lease = self.lease_writer(guard, open, call, setup).await?;
        let mut uncommitted = Uncommitted {
            lease,
            open: Arc::clone(open),
            cancellation: Arc::default(),
            _guard: guard.clone(),
        };
        let call_of_it = *call;
        let done = self.on_thread(&open.breaker, call, move |cancellation| {
            uncommitted.cancellation = Arc::clone(&cancellation);
            let sqlite = uncommitted.lease.sqlite();
            sqlite.set_limits(limits_of(&call_of_it, cancellation));
            let done = work(sqlite);
            sqlite.clear_limits();
            match done {
                Ok((done, Outcome::Keep)) => Ok((done, Some(uncommitted))),
                // Rolled back here, where that may take a while.
                Ok((done, Outcome::TakeBack)) => Ok((done, None)),
                Err(error) => Err(error),
            }
        });
        let (done, uncommitted) = done.await??;
        if let Some(uncommitted) = uncommitted {
            // Not interrupted: a caller that goes away now can look what was kept.
            let commit = tokio::task::spawn_blocking(move || uncommitted.commit());
            match tokio::time::timeout(COMMIT_PATIENCE, commit).await {
                Ok(Ok(committed)) => {
                    committed.map_err(|error| error.for_caller(call.timeout))?;
                }
                Ok(Err(_)) | Err(_) => return Err(QueryError::OutcomeUnknown.into()),
            }
        }
        Ok(done)
    }
}

impl Uncommitted {
    /// Makes everything lasting. Blocks.
    fn commit(mut self) -> Result<(), SqlError> {
        if !self.cancellation.begin_commit() {
            return Err(SqlError::Cancelled);
        }
        let open = Arc::clone(&self.open);
        let sqlite = self.lease.sqlite();
        // Before as well: nothing runs by what was learned of the schema that is going.
        open.classifier.forget_all();
        sqlite.set_limits(ExecutionLimits {
            deadline: crate::clock::Deadline::after(COMMIT_PATIENCE),
            cancellation: None,
            slice: None,
            may_wait: true,
        });
        let committed = sqlite.command("COMMIT;");
        sqlite.clear_limits();
        if committed.is_ok() {
            open.commits.fetch_add(1, Ordering::Release);
            open.keep_wal_short(sqlite);
        }
        open.classifier.forget_all();
        if committed == Err(SqlError::OutcomeUnknown) {
            open.breaker.disk_failed();
        }
        committed
    }
}
