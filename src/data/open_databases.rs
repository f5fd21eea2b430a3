//! The databases that are open: opened when they are used, closed when others need the room.
use super::config::DataConfig;
use super::folders::Folders;
use super::gate::{Gates, SharedGuard};
use super::open_database::OpenDatabase;
use super::query::Target;
use crate::domain::ids::DatabaseId;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Every open database.
#[derive(Debug, Default)]
pub(super) struct OpenDatabases {
    by_id: Mutex<HashMap<DatabaseId, Arc<OpenDatabase>>>,
    uses: AtomicU64,
    connections: Arc<AtomicUsize>,
}

/// A database to be closed, with the guard under which that happens: nobody moves its files
/// meanwhile.
#[derive(Debug)]
pub(super) struct Closing {
    _database: Arc<OpenDatabase>,
    _guard: SharedGuard,
}

impl OpenDatabases {
    /// The open database behind `guard`.
    pub(super) fn get(
        &self,
        guard: &SharedGuard,
        target: &Target,
        folders: &Folders,
        config: &DataConfig,
    ) -> Arc<OpenDatabase> {
        let mut by_id = self.lock();
        let database = match by_id.get(&guard.database()) {
            Some(open) if open.generation == guard.generation() => Arc::clone(open),
            _ => {
                let open = Arc::new(OpenDatabase::new(
                    folders.living(guard.database()),
                    guard.generation(),
                    target,
                    config,
                    &self.connections,
                ));
                by_id.insert(guard.database(), Arc::clone(&open));
                open
            }
        };
        drop(by_id);
        database.may_grow_to(target.size_bytes);
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        database.last_used.store(now, Ordering::Relaxed);
        database
    }

    /// How many connections are open.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Takes out those that were not used for longest, an eighth of all at a time. Those in use
    /// stay, and those on the bench, which must not be forgotten.
    pub(super) fn take_oldest(&self, gates: &Gates) -> Vec<Closing> {
        let mut by_id = self.lock();
        let mut idle: Vec<(u64, DatabaseId)> = by_id
            .iter()
            .filter(|(_, it)| Arc::strong_count(it) == 1 && it.bench.reason().is_none())
            .map(|(id, it)| (it.last_used.load(Ordering::Relaxed), *id))
            .collect();
        idle.sort_unstable();
        idle.truncate(idle.len().div_ceil(8));
        idle.into_iter()
            .filter_map(|(_, id)| {
                // A step that owns the files closes the database itself.
                let guard = gates.try_enter(id)?;
                Some(Closing {
                    _database: by_id.remove(&id)?,
                    _guard: guard,
                })
            })
            .collect()
    }

    /// Takes out one database; whoever asks owns its files.
    pub(super) fn take(&self, database: DatabaseId) -> Option<Arc<OpenDatabase>> {
        self.lock().remove(&database)
    }

    /// Takes this one out, unless another stands in its place already.
    pub(super) fn forget(&self, database: DatabaseId, stale: &Arc<OpenDatabase>) {
        let mut by_id = self.lock();
        if by_id
            .get(&database)
            .is_some_and(|it| Arc::ptr_eq(it, stale))
        {
            by_id.remove(&database);
        }
    }

    /// Takes out all.
    pub(super) fn take_all(&self) -> Vec<Arc<OpenDatabase>> {
        self.lock().drain().map(|(_, it)| it).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DatabaseId, Arc<OpenDatabase>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
