//! The gate of each database: SQL goes through together, a step that moves files alone.
//!
//! Everybody who works on a database's files holds a guard of its gate, operations in a worker
//! too. The generation tells handles that were opened before a step from those after it.
use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

/// The gates of all databases that were ever worked on.
#[derive(Debug, Default)]
pub struct Gates(Mutex<HashMap<DatabaseId, Arc<RwLock<u64>>>>);

/// Held by whoever works on a database together with others. Clones hold it too.
#[derive(Debug, Clone)]
pub struct SharedGuard {
    database: DatabaseId,
    generation: Arc<OwnedRwLockReadGuard<u64>>,
}

/// Held by the one that moves, replaces or removes a database's files.
#[derive(Debug)]
pub struct ExclusiveGuard {
    database: DatabaseId,
    generation: OwnedRwLockWriteGuard<u64>,
}

/// Why the gate did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
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
    NotSettled {
        /// What was seen.
        reason: String,
    },
}

impl Gates {
    /// Goes in together with others.
    pub(crate) async fn enter(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<SharedGuard, GateError> {
        let gate = self.of(database);
        let generation = match Arc::clone(&gate).try_read_owned() {
            Ok(open) => open,
            Err(_) => tokio::time::timeout_at(deadline.instant(), gate.read_owned())
                .await
                .map_err(|_| GateError::Closed)?,
        };
        Ok(SharedGuard {
            database,
            generation: Arc::new(generation),
        })
    }

    /// Goes in if nobody is alone in there.
    pub(crate) fn try_enter(&self, database: DatabaseId) -> Option<SharedGuard> {
        let generation = self.of(database).try_read_owned().ok()?;
        Some(SharedGuard {
            database,
            generation: Arc::new(generation),
        })
    }

    /// Waits until everybody is out, and goes in alone. Who comes meanwhile waits behind.
    pub(crate) async fn take(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, GateError> {
        let waiting = self.of(database).write_owned();
        let mut generation = tokio::time::timeout_at(deadline.instant(), waiting)
            .await
            .map_err(|_| GateError::NotDrained)?;
        *generation += 1;
        Ok(ExclusiveGuard {
            database,
            generation,
        })
    }

    fn of(&self, database: DatabaseId) -> Arc<RwLock<u64>> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(gates.entry(database).or_default())
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
    pub fn generation(&self) -> u64 {
        **self.generation
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
    pub fn generation(&self) -> u64 {
        *self.generation
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
        let (gates, database) = (Gates::default(), DatabaseId(Uuid::nil()));
        let first = gates.enter(database, soon()).await.unwrap();
        let second = first.clone();
        drop(first);
        let refused = gates.take(database, soon()).await.unwrap_err();
        assert_eq!(refused, GateError::NotDrained, "a clone holds it too");
        gates
            .enter(database, soon())
            .await
            .expect("one that gave up does not stay in the way");

        drop(second);
        let alone = gates.take(database, soon()).await.unwrap();
        let refused = gates.enter(database, soon()).await.unwrap_err();
        assert_eq!(refused, GateError::Closed);
        assert!(gates.try_enter(database).is_none());

        drop(alone);
        assert!(gates.try_enter(database).is_some());
    }

    #[tokio::test]
    async fn every_taking_raises_the_generation_of_its_database_alone() {
        let gates = Gates::default();
        let (one, other) = (DatabaseId(Uuid::nil()), DatabaseId(Uuid::max()));
        for expected in 1..=3 {
            let taken = gates.take(one, soon()).await.unwrap();
            assert_eq!(taken.generation(), expected);
        }
        let generation = |it: SharedGuard| it.generation();
        assert_eq!(gates.enter(one, soon()).await.map(generation), Ok(3));
        assert_eq!(gates.enter(other, soon()).await.map(generation), Ok(0));
    }
}
