//! How many of one database's requests of a sort run at a time, and how many may wait.
use crate::clock::Deadline;
use crate::engine::sql::QueryError;
use crate::shares::{FairLimiter, Permit};
use std::sync::Arc;

/// The turns of one sort of request. Each caller has a share of them, and of the places in line.
#[derive(Debug)]
pub(crate) struct ConcurrencyLimiter {
    /// What is limited, for the error of requests that are refused.
    what: &'static str,
    line: Arc<FairLimiter>,
}

impl ConcurrencyLimiter {
    pub(crate) fn new(what: &'static str, at_a_time: usize, most_waiting: usize) -> Self {
        Self {
            what,
            line: FairLimiter::new(at_a_time, most_waiting),
        }
    }

    /// Whether a permit is in use.
    pub(crate) fn are_taken(&self) -> bool {
        self.line.taken() > 0
    }

    /// A turn. Waits for it until `deadline`, in a line that is bounded.
    pub(crate) async fn take(&self, deadline: Deadline) -> Result<Permit, QueryError> {
        match tokio::time::timeout_at(deadline.instant(), self.line.take()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(QueryError::Overloaded { what: self.what }),
        }
    }
}
