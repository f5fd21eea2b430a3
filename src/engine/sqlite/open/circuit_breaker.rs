//! The circuit breaker: a database on it takes no requests.
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Why a database is unavailable, if it is.
#[derive(Debug, Default)]
pub(crate) struct CircuitBreaker {
    stuck: AtomicUsize,
    broken: AtomicBool,
}

impl CircuitBreaker {
    /// Why the database is unavailable.
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

    /// After a failed sync the state on disk is unknown: the database stays unavailable until its
    /// files were taken exclusively.
    pub(crate) fn disk_failed(&self) {
        self.broken.store(true, Ordering::Release);
    }
}
