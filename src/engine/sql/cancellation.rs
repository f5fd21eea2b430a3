//! Cancels a request whose caller has gone, unless it is being committed.
use crate::locks::Mutex;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, MutexGuard};

/// Cancels a request whose caller has gone, unless it is being committed.
///
/// Both ends may let go at the same time, so each of them has to win a step: a request that was
/// cancelled is never committed, and one that is being committed is not called a failure.
#[derive(Default)]
pub struct Cancellation {
    step: AtomicU8,
    /// What ends the statement where nothing asks whether it has to end, while it runs.
    on_abandon: Mutex<Option<OnAbandon>>,
}

type OnAbandon = Arc<dyn Fn() + Send + Sync>;

impl fmt::Debug for Cancellation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cancellation").field(&self.step).finish()
    }
}

const WAITING: u8 = 0;

const CANCELLED: u8 = 1;

const COMMITTING: u8 = 2;

impl Cancellation {
    /// Cancels the request. `false` when it is being committed: its outcome will come.
    pub fn cancel(&self) -> bool {
        let is_cancelled = self.step_to(CANCELLED);
        if is_cancelled && let Some(end) = &*self.on_abandon() {
            end();
        }
        is_cancelled
    }

    /// What is called when it is cancelled, from whatever thread. Once this returns, what was set
    /// before is not called any more.
    pub fn when_cancelled(&self, end: Option<&OnAbandon>) {
        *self.on_abandon() = end.cloned();
    }

    fn on_abandon(&self) -> MutexGuard<'_, Option<OnAbandon>> {
        self.on_abandon.lock()
    }

    /// Begins to commit. `false` when the request was cancelled.
    pub fn begin_commit(&self) -> bool {
        self.step_to(COMMITTING)
    }

    /// Gives a claim back after a commit that kept nothing.
    pub fn undo_commit(&self) {
        let _ =
            self.step
                .compare_exchange(COMMITTING, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether the request was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.step.load(Ordering::Acquire) == CANCELLED
    }

    fn step_to(&self, next: u8) -> bool {
        match self
            .step
            .compare_exchange(WAITING, next, Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => true,
            Err(now) => now == next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_request_cannot_be_claimed_and_a_claimed_one_not_abandoned() {
        let abandoned = Cancellation::default();
        assert!(abandoned.cancel());
        assert!(!abandoned.begin_commit());
        assert!(abandoned.is_cancelled());

        let claimed = Cancellation::default();
        assert!(claimed.begin_commit());
        assert!(!claimed.cancel());
        claimed.undo_commit();
        assert!(claimed.cancel(), "a claim given back can be abandoned");
    }
}
