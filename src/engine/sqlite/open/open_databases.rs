//! The databases that are open: opened when they are used, closed when others need the room.
use super::connections::{CloseIdle, Connections};
use super::handle::Handle;
use super::open_database::OpenDatabase;
use crate::domain::ids::DatabaseId;
use crate::engine::DatabasesFolder;
use crate::engine::access_lock::{AccessLocks, SharedGuard};
use crate::engine::sql::{SqlStatistics, Target};
use crate::engine::sqlite::TempBudget;
use crate::engine::sqlite::config::SqliteConfig;
use crate::locks::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Every open database.
#[derive(Debug)]
pub(crate) struct OpenDatabases {
    by_id: Mutex<HashMap<DatabaseId, Arc<OpenDatabase>>>,
    locks: Arc<AccessLocks>,
    uses: AtomicU64,
    connections: Arc<Connections>,
    temporary: Arc<TempBudget>,
    large_caches: Arc<Semaphore>,
    pub(crate) statistics: Arc<SqlStatistics>,
}

/// A database or a reader to be closed, under the guard of its access lock: its files are not moved
/// meanwhile.
#[derive(Debug)]
pub(crate) struct Closing<T> {
    _open: T,
    _guard: SharedGuard,
}

/// Uses of other databases after which an unused one has no need of a large page cache.
const LONG_UNUSED: u64 = 100_000;

impl OpenDatabases {
    /// None is open. At most `max_connections` are, as long as some of them are idle.
    pub(crate) fn new(config: &SqliteConfig, locks: Arc<AccessLocks>) -> Arc<Self> {
        Arc::new_cyclic(|all: &Weak<Self>| Self {
            by_id: Mutex::default(),
            locks,
            uses: AtomicU64::new(0),
            connections: Connections::new(config.max_connections, close_idle_of(all.clone())),
            temporary: TempBudget::new(config.temp_bytes),
            large_caches: Arc::new(Semaphore::new(config.large_caches)),
            statistics: SqlStatistics::new(config.slow_statement),
        })
    }

    /// The open database behind `guard`.
    pub(crate) fn get(
        &self,
        guard: &SharedGuard,
        target: &Target,
        databases: &DatabasesFolder,
        config: &SqliteConfig,
    ) -> Arc<OpenDatabase> {
        let mut by_id = self.lock();
        let database = match by_id.get(&guard.database()) {
            Some(open) if open.epoch == guard.epoch() => Arc::clone(open),
            _ => {
                let open = Arc::new(OpenDatabase::new(
                    databases.of(guard.database()),
                    guard.epoch(),
                    target,
                    config,
                    &self.connections,
                    &self.temporary,
                    &self.statistics,
                ));
                by_id.insert(guard.database(), Arc::clone(&open));
                open
            }
        };
        drop(by_id);
        database.set_size_limit(target.size_bytes);
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        database.last_used.store(now, Ordering::Relaxed);
        database
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Closes idle databases, those first that were not used for longest, so that at
    /// most `most` connections stay open. Those in use stay, and those behind an open circuit
    /// breaker, which must not be forgotten. Blocks. Returns whether anything was closed.
    pub(crate) fn close_idle(&self, most: usize) -> bool {
        let mut has_closed = false;
        while self.connections() > most {
            let Some(oldest) = self.take_oldest() else {
                break;
            };
            drop(oldest);
            has_closed = true;
        }
        has_closed
    }

    fn take_oldest(&self) -> Option<Closing<Arc<OpenDatabase>>> {
        let mut by_id = self.lock();
        let mut idle: Vec<(u64, DatabaseId)> = by_id
            .iter()
            .filter(|(_, it)| Arc::strong_count(it) == 1 && it.breaker.reason().is_none())
            .map(|(id, it)| (it.last_used.load(Ordering::Relaxed), *id))
            .collect();
        idle.sort_unstable();
        idle.into_iter().find_map(|(_, id)| {
            // A step that owns the files closes the database itself.
            let guard = self.locks.try_enter(id)?;
            Some(Closing {
                _open: by_id.remove(&id)?,
                _guard: guard,
            })
        })
    }

    /// Bytes of temporary files.
    pub(crate) fn temp_bytes(&self) -> u64 {
        self.temporary.used()
    }

    /// One of the large page caches, if one is free.
    pub(crate) fn large_cache(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.large_caches).try_acquire_owned().ok()
    }

    /// Takes out a reader whose large page cache was not used for long.
    pub(crate) fn take_unused_large_reader(&self) -> Option<Closing<Handle>> {
        let now = self.uses.load(Ordering::Relaxed);
        self.lock().iter().find_map(|(id, it)| {
            let unused = now.saturating_sub(it.last_used.load(Ordering::Relaxed));
            if unused < LONG_UNUSED {
                return None;
            }
            // A step that owns the files closes the reader itself.
            let guard = self.locks.try_enter(*id)?;
            Some(Closing {
                _open: it.resting_large_reader()?,
                _guard: guard,
            })
        })
    }

    /// Takes out one database, whose exclusive lock the caller holds.
    pub(crate) fn take(&self, database: DatabaseId) -> Option<Arc<OpenDatabase>> {
        self.statistics.forget(database);
        self.lock().remove(&database)
    }

    /// Takes this one out, unless another stands in its place already.
    pub(crate) fn forget(&self, database: DatabaseId, stale: &Arc<OpenDatabase>) {
        let mut by_id = self.lock();
        if by_id
            .get(&database)
            .is_some_and(|database| Arc::ptr_eq(database, stale))
        {
            by_id.remove(&database);
        }
    }

    /// Those that are open.
    pub(crate) fn all(&self) -> Vec<Arc<OpenDatabase>> {
        self.lock().values().map(Arc::clone).collect()
    }

    /// Takes out all.
    pub(crate) fn take_all(&self) -> Vec<Arc<OpenDatabase>> {
        self.lock().drain().map(|(_, it)| it).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DatabaseId, Arc<OpenDatabase>>> {
        self.by_id.lock()
    }
}

fn close_idle_of(all: Weak<OpenDatabases>) -> CloseIdle {
    Box::new(move |most| all.upgrade().is_some_and(|all| all.close_idle(most)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::database::{Durability, Isolation};
    use crate::engine::Engine as _;
    use crate::engine::sqlite::Sqlite;
    use uuid::Uuid;

    #[tokio::test]
    async fn a_large_page_cache_is_taken_from_who_did_not_use_it_for_long() {
        let home = tempfile::tempdir().unwrap();
        let databases = DatabasesFolder::new(home.path().to_owned());
        let locks = Arc::new(AccessLocks::default());
        let config = SqliteConfig {
            large_caches: 1,
            ..SqliteConfig::default()
        };
        let all = OpenDatabases::new(&config, Arc::clone(&locks));
        let target = Target {
            database: DatabaseId(Uuid::nil()),
            engine: Sqlite::NAME,
            isolation: Isolation::Gateway,
            durability: Durability::Full,
            size_bytes: 1 << 20,
        };
        let folder = databases.of(target.database);
        std::fs::create_dir(&folder).unwrap();
        Sqlite::default()
            .create_file(&folder, Durability::Full)
            .unwrap();
        let guard = locks.try_enter(target.database).unwrap();
        let open = all.get(&guard, &target, &databases, &config);
        let mut reader = open.reader().unwrap();
        reader.widen(all.large_cache().unwrap());
        assert!(all.large_cache().is_none(), "there is one");

        all.uses.store(LONG_UNUSED, Ordering::Relaxed);
        assert!(all.take_unused_large_reader().is_none(), "it is used");
        open.rest(reader);
        open.last_used.store(1, Ordering::Relaxed);
        assert!(all.take_unused_large_reader().is_none(), "it was used");
        open.last_used.store(0, Ordering::Relaxed);
        drop(all.take_unused_large_reader().unwrap());
        assert!(all.large_cache().is_some());
        assert_eq!(all.connections(), 0, "it was closed");
    }
}
