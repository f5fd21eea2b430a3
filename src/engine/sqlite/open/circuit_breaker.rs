//! The circuit breaker: a database on it takes no requests.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Why one database rests, if it does.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    stuck: AtomicUsize,
    broken: AtomicBool,
}

impl CircuitBreaker {
    /// Why it rests.
    pub(crate) fn reason(&self) -> Option<&'static str> {
        if self.broken.load(Ordering::Acquire) {
            Some("its disk failed during a write; check the disk, then restart the database")
        } else if self.stuck.load(Ordering::Acquire) > 0 {
            Some("a statement does not stop; requests are accepted again when it has ended")
        } else {
            None
        }
    }

    pub(crate) fn thread_stuck(&self) {
        self.stuck.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn thread_back(&self) {
        self.stuck.fetch_sub(1, Ordering::AcqRel);
    }

    /// After a failed sync nobody knows what is on the disk: it rests until its files were taken.
    pub(crate) fn disk_failed(&self) {
        self.broken.store(true, Ordering::Release);
    }
}
