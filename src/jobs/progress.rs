//! The progress of running steps. It is kept in memory only, because the log records steps, not
//! seconds.
use crate::domain::ids::JobId;
use crate::locks::Mutex;
use std::collections::HashMap;

/// Progress within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    pub total: u64,
    /// The unit: `seconds` or `bytes`.
    pub unit: &'static str,
    /// Rows so far, of a step that counts them.
    pub rows: Option<u64>,
}

/// The progress of each running step that reports it.
#[derive(Debug, Default)]
pub struct ProgressMap(Mutex<HashMap<JobId, Progress>>);

impl ProgressMap {
    /// The progress of the job's step, if it reports it.
    #[must_use]
    pub fn of(&self, job: JobId) -> Option<Progress> {
        self.lock().get(&job).copied()
    }

    pub(super) fn report(&self, job: JobId, progress: Progress) {
        self.lock().insert(job, progress);
    }

    /// Called at the end of a step.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().remove(&job);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<JobId, Progress>> {
        self.0.lock()
    }
}
