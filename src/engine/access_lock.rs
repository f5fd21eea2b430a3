//! The access lock of each database: SQL goes through together, a step that moves files alone.
//!
//! All work on a database's files holds a guard of its access lock, operations in a worker too. The
//! epoch tells handles that were opened before a step from those opened after it.
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::locks::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The access locks of all databases that were ever worked on.
#[derive(Debug, Default)]
pub struct AccessLocks(Mutex<HashMap<DatabaseId, Arc<RwLock<u64>>>>);

/// A shared hold on a database. Clones hold it too.
#[derive(Debug, Clone)]
pub struct SharedGuard {
    database: DatabaseId,
    epoch: Arc<OwnedRwLockReadGuard<u64>>,
}

/// The exclusive hold of a step that moves, replaces or removes a database's files.
#[derive(Debug)]
pub struct ExclusiveGuard {
    database: DatabaseId,
    epoch: OwnedRwLockWriteGuard<u64>,
}

/// Why the access lock did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// A step on the database's files took longer than the caller would wait.
    #[error("a job is working on the database's files")]
    Closed,
    /// SQL that runs did not end in time. Nothing was done.
    #[error("SQL on the database did not end in time")]
    NotDrained,
    /// No file descriptor is left to open it with. Nothing was done.
    #[error("the database could not be checkpointed: no file descriptor is left")]
    NoFiles,
    /// The disk has no room to bring what was written into the main file. Nothing was done.
    #[error("the database could not be checkpointed: the disk is full")]
    DiskFull,
    /// What was written could not be brought into the main file. Nothing was done.
    #[error("the database could not be checkpointed: {reason}")]
    NotCheckpointed {
        /// What was seen.
        reason: String,
    },
}

impl AccessLocks {
    /// Acquires the shared lock.
    pub(crate) async fn enter(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<SharedGuard, AccessError> {
        let lock = self.of(database);
        let epoch = match Arc::clone(&lock).try_read_owned() {
            Ok(open) => open,
            Err(_) => tokio::time::timeout_at(deadline.instant(), lock.read_owned())
                .await
                .map_err(|_| AccessError::Closed)?,
        };
        Ok(SharedGuard {
            database,
            epoch: Arc::new(epoch),
        })
    }

    /// Acquires the shared lock if that is possible at once.
    pub(crate) fn try_enter(&self, database: DatabaseId) -> Option<SharedGuard> {
        let epoch = self.of(database).try_read_owned().ok()?;
        Some(SharedGuard {
            database,
            epoch: Arc::new(epoch),
        })
    }

    /// Acquires the exclusive lock; later callers queue.
    pub(crate) async fn take(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, AccessError> {
        let waiting = self.of(database).write_owned();
        let mut epoch = tokio::time::timeout_at(deadline.instant(), waiting)
            .await
            .map_err(|_| AccessError::NotDrained)?;
        *epoch += 1;
        Ok(ExclusiveGuard { database, epoch })
    }

    fn of(&self, database: DatabaseId) -> Arc<RwLock<u64>> {
        let mut locks = self.0.lock();
        Arc::clone(locks.entry(database).or_default())
    }
}

impl SharedGuard {
    /// Which database it is on.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }

    /// How often its files have been taken.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        **self.epoch
    }
}

impl ExclusiveGuard {
    /// Which database it is on.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }

    /// How often its files have been taken, this time included.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        *self.epoch
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::access_lock::*;
    use std::time::Duration;
    use uuid::Uuid;

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(30))
    }

    #[tokio::test]
    async fn nobody_is_in_with_the_one_that_is_alone() {
        let (locks, database) = (AccessLocks::default(), DatabaseId(Uuid::nil()));
        let first = locks.enter(database, soon()).await.unwrap();
        let second = first.clone();
        drop(first);
        let refused = locks.take(database, soon()).await.unwrap_err();
        assert_eq!(refused, AccessError::NotDrained, "a clone holds it too");
        locks
            .enter(database, soon())
            .await
            .expect("one that gave up does not stay in the way");

        drop(second);
        let alone = locks.take(database, soon()).await.unwrap();
        let refused = locks.enter(database, soon()).await.unwrap_err();
        assert_eq!(refused, AccessError::Closed);
        assert!(locks.try_enter(database).is_none());

        drop(alone);
        assert!(locks.try_enter(database).is_some());
    }

    #[tokio::test]
    async fn every_taking_raises_the_generation_of_its_database_alone() {
        let locks = AccessLocks::default();
        let (one, other) = (DatabaseId(Uuid::nil()), DatabaseId(Uuid::max()));
        for expected in 1..=3 {
            let taken = locks.take(one, soon()).await.unwrap();
            assert_eq!(taken.epoch(), expected);
        }
        let epoch = |it: SharedGuard| it.epoch();
        assert_eq!(locks.enter(one, soon()).await.map(epoch), Ok(3));
        assert_eq!(locks.enter(other, soon()).await.map(epoch), Ok(0));
    }
}
