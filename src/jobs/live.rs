//! How far the running step of a job is: in memory alone, since the log hears of steps, not of
//! seconds.
use crate::domain::ids::JobId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// So many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is done.
    pub done: u64,
    /// Of how many.
    pub total: u64,
    /// What is counted: `seconds`.
    pub unit: &'static str,
}

/// What the running steps say of themselves; a step that says nothing is not here.
#[derive(Debug, Default)]
pub struct LiveJobs(Mutex<HashMap<JobId, Progress>>);

impl LiveJobs {
    /// How far the job's step is, where it says so.
    #[must_use]
    pub fn of(&self, job: JobId) -> Option<Progress> {
        self.lock().get(&job).copied()
    }

    pub(super) fn report(&self, job: JobId, progress: Progress) {
        self.lock().insert(job, progress);
    }

    /// Behind the end of a step.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().remove(&job);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
