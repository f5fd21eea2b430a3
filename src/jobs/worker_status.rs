//! The last known status of the workers, which the API shows next to the state.
use super::drift::Drift;
use crate::domain::ids::DatabaseId;
use crate::locks::RwLock;
use crate::runtime::WorkerState;
use std::collections::HashMap;

/// The status that the reconciler and the steps of jobs saw last; empty before the first pass.
#[derive(Debug, Default)]
pub struct WorkerStatuses {
    workers: RwLock<HashMap<DatabaseId, WorkerState>>,
    /// Differences between the forge and its log.
    pub drift: Drift,
}

impl WorkerStatuses {
    /// The worker's last known state; `None` when it is unknown.
    #[must_use]
    pub fn get(&self, database: DatabaseId) -> Option<WorkerState> {
        self.workers.read().get(&database).copied()
    }

    /// The state of each worker that is known.
    #[must_use]
    pub fn states(&self) -> Vec<WorkerState> {
        let workers = self.workers.read();
        workers.values().copied().collect()
    }

    /// Notes one worker; `None` when it was removed.
    pub fn note(&self, database: DatabaseId, state: Option<WorkerState>) {
        let mut seen = self.workers.write();
        match state {
            Some(state) => seen.insert(database, state),
            None => seen.remove(&database),
        };
    }

    /// Replaces all entries after a complete inspection.
    pub fn replace(&self, all: impl IntoIterator<Item = (DatabaseId, WorkerState)>) {
        *self.workers.write() = all.into_iter().collect();
    }
}
