//! Work on a thread of its own, awaited within its deadline.
use super::pool::Seat;
use crate::clock::Deadline;
use crate::data::{Call, DataPlane};
use crate::engine::query::QueryError;
use crate::engine::sqlite::open::circuit_breaker::Bench;
use crate::engine::sqlite::{Hold, Ticket};
use crate::shares;
use crate::shares::Pass;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

impl DataPlane {
    /// Runs `work` on a thread. What it runs in SQLite holds the ticket, which is abandoned when
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// When no thread is free before the deadline, or the work outlives it: then its thread is
    /// written off, and its database rests until it is back.
    pub(crate) async fn on_thread<T: Send + 'static>(
        &self,
        bench: &Arc<Bench>,
        call: &Call,
        work: impl FnOnce(Arc<Ticket>) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let seat = self.threads.take(bench, call.deadline).await;
        let seat = seat.ok_or(QueryError::Overloaded { what: "a thread" })?;
        let ticket = Arc::new(Ticket::default());
        let (answer, answered) = oneshot::channel();
        let sitting = seat.sit();
        let held = Arc::clone(&ticket);
        let pass = Pass::here();
        tokio::task::spawn_blocking(move || {
            let result = shares::on_thread(pass, || work(held));
            // Who waits may go on before the thread is free.
            drop(sitting);
            let _ = answer.send(result);
        });
        let grace = self.config.stuck_grace;
        let mut waiting = Waiting {
            ticket,
            seat,
            deadline: call.deadline,
            grace,
            is_over: false,
        };
        let last = call.deadline.extended(grace).instant();
        let result = shares::running(tokio::time::timeout_at(last, answered)).await;
        waiting.is_over = true;
        match result {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(_)) => Err(QueryError::Broken {
                reason: "the thread of this statement ended".to_owned(),
            }),
            Err(_) => {
                waiting.ticket.abandon();
                waiting.seat.write_off();
                Err(QueryError::timeout(call.timeout))
            }
        }
    }
}

/// What holds a statement of this call.
pub(crate) fn held(call: &Call, ticket: Arc<Ticket>) -> Hold {
    Hold {
        deadline: call.deadline,
        ticket: Some(ticket),
        slice: None,
        may_wait: true,
    }
}

/// Who waits for the work. When it goes away, the work is cut; should that not help, somebody
/// still has to see it.
struct Waiting {
    ticket: Arc<Ticket>,
    seat: Arc<Seat>,
    deadline: Deadline,
    grace: Duration,
    is_over: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        self.ticket.abandon();
        let (seat, last) = (
            Arc::clone(&self.seat),
            self.deadline.extended(self.grace).instant(),
        );
        if let Ok(tokio) = tokio::runtime::Handle::try_current() {
            tokio.spawn(async move {
                tokio::time::sleep_until(last).await;
                seat.write_off();
            });
        }
    }
}
