//! Turns: how many of one database's requests of a sort work at a time, and how many may wait.
use super::query::QueryError;
use crate::clock::Deadline;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The turns of one sort of request.
#[derive(Debug)]
pub(super) struct Turns {
    /// What they are turns of, for who gets none.
    what: &'static str,
    at_a_time: usize,
    free: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Turns {
    pub(super) fn new(what: &'static str, at_a_time: usize, most_waiting: usize) -> Self {
        Self {
            what,
            at_a_time,
            free: Arc::new(Semaphore::new(at_a_time)),
            waiting: AtomicUsize::new(0),
            most_waiting,
        }
    }

    /// Whether somebody has a turn.
    pub(super) fn are_taken(&self) -> bool {
        self.free.available_permits() < self.at_a_time
    }

    /// A turn. Waits for it until `deadline`, in a queue that is bounded.
    pub(super) async fn take(
        &self,
        deadline: Deadline,
    ) -> Result<OwnedSemaphorePermit, QueryError> {
        struct Waiting<'w>(&'w AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let overloaded = || QueryError::Overloaded { what: self.what };
        if let Ok(turn) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(turn);
        }
        let others = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        if others >= self.most_waiting {
            return Err(overloaded());
        }
        let waiting = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout_at(deadline.instant(), waiting).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(overloaded()),
        }
    }
}
