//! Work on a thread of its own, awaited within its deadline.
use super::pool::PoolSlot;
use crate::clock::Deadline;
use crate::engine::sql::Call;
use crate::engine::sql::Cancellation;
use crate::engine::sql::QueryError;
use crate::engine::sqlite::ExecutionLimits;
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::circuit_breaker::CircuitBreaker;
use crate::shares;
use crate::shares::Pass;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl SqliteExecutor {
    /// Runs `work` on a thread. What it runs in SQLite holds the cancellation, which is cancelled
    /// when the request is dropped.
    ///
    /// # Errors
    /// When no thread is free before the deadline, or the work outlives it: then its thread is
    /// written off if it is stuck, and its database rests until it is back.
    pub(crate) async fn on_thread<T: Send + 'static>(
        &self,
        breaker: &Arc<CircuitBreaker>,
        call: &Call,
        work: impl FnOnce(Arc<Cancellation>) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let slot = self.threads.take(breaker, call.deadline).await;
        let slot = slot.ok_or(QueryError::Overloaded { what: "a thread" })?;
        let cancellation = Arc::new(Cancellation::default());
        let (answer, mut answered) = oneshot::channel();
        let in_use = slot.occupy();
        let held = Arc::clone(&cancellation);
        let pass = Pass::here();
        tokio::task::spawn_blocking(move || {
            in_use.begins();
            let result = shares::on_thread(pass, || work(held));
            // The caller may go on before the thread is free.
            drop(in_use);
            let _ = answer.send(result);
        });
        let grace = self.config.stuck_grace;
        let mut waiting = Waiting {
            cancellation,
            slot,
            deadline: call.deadline,
            grace,
            is_over: false,
        };
        let result = shares::running(async {
            let deadline = call.deadline.instant();
            if let Ok(result) = tokio::time::timeout_at(deadline, &mut answered).await {
                return Ok(result);
            }
            let overdue = waiting.slot.overdue();
            let last = call.deadline.extended(grace).instant();
            let result = tokio::time::timeout_at(last, &mut answered).await;
            result.map_err(|_| overdue)
        })
        .await;
        waiting.is_over = true;
        match result {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(QueryError::Broken {
                reason: "the thread of this statement ended".to_owned(),
            }),
            Err(mut overdue) => {
                waiting.cancellation.cancel();
                if !overdue.look() {
                    tokio::spawn(overdue.watch());
                }
                Err(QueryError::timeout(call.timeout))
            }
        }
    }
}

/// What holds a statement of this call.
pub(crate) fn limits_of(call: &Call, cancellation: Arc<Cancellation>) -> ExecutionLimits {
    ExecutionLimits {
        deadline: call.deadline,
        cancellation: Some(cancellation),
        slice: None,
        may_wait: true,
    }
}

/// Dropped when the request ends before its work: interrupts the work, and marks the thread stuck if
/// that does not help.
struct Waiting {
    cancellation: Arc<Cancellation>,
    slot: Arc<PoolSlot>,
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
        let (slot, deadline) = (Arc::clone(&self.slot), self.deadline);
        let last = deadline.extended(self.grace).instant();
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            tokio.spawn(async move {
                tokio::time::sleep_until(deadline.instant()).await;
                let overdue = slot.overdue();
                tokio::time::sleep_until(last).await;
                overdue.watch().await;
            });
        }
    }
}
