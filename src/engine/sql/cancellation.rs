//! Ties a request to whoever waits for its answer.
use std::sync::atomic::{AtomicU8, Ordering};

/// Ties a request to whoever waits for its answer.
///
/// Both ends may let go at the same time, so each of them has to win a step: a request that was
/// abandoned is never committed, and one that is being committed is not called a failure.
#[derive(Debug, Default)]
pub struct Ticket(AtomicU8);

const WAITING: u8 = 0;

const ABANDONED: u8 = 1;

const CLAIMED: u8 = 2;

impl Ticket {
    /// Nobody waits any more. `false` when the request is being committed: its outcome will come.
    pub fn abandon(&self) -> bool {
        self.step_to(ABANDONED)
    }

    /// Its outcome is about to become lasting. `false` when nobody waits for it.
    pub fn claim(&self) -> bool {
        self.step_to(CLAIMED)
    }

    /// Gives a claim back after a commit that kept nothing.
    pub fn unclaim(&self) {
        let _ = self
            .0
            .compare_exchange(CLAIMED, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Whether nobody waits for it.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.0.load(Ordering::Acquire) == ABANDONED
    }

    fn step_to(&self, next: u8) -> bool {
        match self
            .0
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
        let abandoned = Ticket::default();
        assert!(abandoned.abandon());
        assert!(!abandoned.claim());
        assert!(abandoned.is_abandoned());

        let claimed = Ticket::default();
        assert!(claimed.claim());
        assert!(!claimed.abandon());
        claimed.unclaim();
        assert!(claimed.abandon(), "a claim given back can be abandoned");
    }
}
