//! The workers as they were last seen: what the API shows beside the state.
use super::drift::Drift;
use crate::domain::ids::DatabaseId;
use crate::runtime::WorkerState;
use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

/// What the reconciler and the steps of jobs last saw; empty until the first look.
#[derive(Debug, Default)]
pub struct ObservedWorkers {
    workers: RwLock<HashMap<DatabaseId, WorkerState>>,
    /// How the forge differs from what its log says.
    pub drift: Drift,
}

impl ObservedWorkers {
    /// The worker's last seen state; `None` when it has not been seen.
    #[must_use]
    pub fn get(&self, database: DatabaseId) -> Option<WorkerState> {
        self.workers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&database)
            .copied()
    }

    /// Notes one worker; `None` when it is gone.
    pub fn note(&self, database: DatabaseId, state: Option<WorkerState>) {
        let mut seen = self.workers.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => seen.insert(database, state),
            None => seen.remove(&database),
        };
    }

    /// Notes a complete look at all workers.
    pub fn replace(&self, all: impl IntoIterator<Item = (DatabaseId, WorkerState)>) {
        *self.workers.write().unwrap_or_else(PoisonError::into_inner) = all.into_iter().collect();
    }
}
