//! The one writer of the read model: follows events, a whole group or nothing of it.
use super::listing::{reached, stored};
use super::storage::{self, StorageError};
use super::tables::databases;
use super::tables::databases::DatabaseRow;
use super::tables::events;
use super::tables::jobs;
use super::tables::tokens;
use crate::domain::event::recorded::{Hash, NO_HASH, RecordedEvent};
use crate::domain::ids::{DatabaseId, JobId, Sequence};
use crate::domain::job::Job;
use crate::event_log::{EventLog, ReadError};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::Path;

/// Holds the connection that writes.
pub(super) struct Projector {
    connection: Connection,
    reached: Sequence,
}

/// What was found where the file should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// Nothing: a new file was made.
    Created,
    /// A file that belongs to the log and has followed it this far.
    Continued(Sequence),
    /// A file that could not be used, for this reason: a new one was made. What was damaged is set
    /// aside, what an older program wrote is removed.
    Replaced(String),
}

impl Projector {
    /// Opens the file, or makes a new one where there is none that belongs to `log`.
    pub(super) fn open(path: &Path, log: &dyn EventLog) -> Result<(Self, Opening), StorageError> {
        if !path.try_exists()? {
            let projector = Self::create(path)?;
            return Ok((projector, Opening::Created));
        }
        match Self::open_trusted(path, log) {
            Ok(projector) => {
                let reached = projector.reached;
                Ok((projector, Opening::Continued(reached)))
            }
            // Migrating it would give none of its room back.
            Err(error @ StorageError::Older { .. }) => {
                storage::remove(path)?;
                Ok((Self::create(path)?, Opening::Replaced(error.to_string())))
            }
            Err(error) if error.is_damage() => {
                let projector = Self::replace(path)?;
                Ok((projector, Opening::Replaced(error.to_string())))
            }
            Err(error) => Err(error),
        }
    }

    /// Sets the file aside and begins a new one.
    pub(super) fn replace(path: &Path) -> Result<Self, StorageError> {
        storage::set_aside(path)?;
        Self::create(path)
    }

    /// The last event it has followed.
    pub(super) fn reached(&self) -> Sequence {
        self.reached
    }

    /// Follows events in one transaction; those it has followed before change nothing.
    ///
    /// # Errors
    /// When events between are missing, or the file cannot be written; nothing is followed then.
    pub(super) fn follow<'a>(
        &mut self,
        events: impl IntoIterator<Item = &'a RecordedEvent>,
    ) -> Result<(), StorageError> {
        let transaction = self.connection.unchecked_transaction()?;
        let mut group = Group::new(&transaction);
        let mut reached = self.reached;
        let mut last = None;
        for recorded in events
            .into_iter()
            .filter(|event| event.sequence > self.reached)
        {
            if recorded.sequence != reached.next() {
                return Err(StorageError::Gap {
                    reached: reached.0,
                    found: recorded.sequence.0,
                });
            }
            group.follow(recorded)?;
            reached = recorded.sequence;
            last = Some(recorded);
        }
        let Some(last) = last else { return Ok(()) };
        group.store()?;
        transaction
            .prepare_cached("UPDATE progress SET sequence = ?1, hash = ?2")?
            .execute((stored(reached.0), hex::encode(last.hash)))?;
        transaction.commit()?;
        self.reached = reached;
        Ok(())
    }

    /// Lets go of the pages that it has in memory.
    ///
    /// # Errors
    /// When SQLite says no; nothing is worse for it.
    pub(super) fn rest(&self) -> Result<(), StorageError> {
        Ok(self.connection.execute_batch("PRAGMA shrink_memory")?)
    }

    fn create(path: &Path) -> Result<Self, StorageError> {
        Ok(Self {
            connection: storage::create(path)?,
            reached: Sequence(0),
        })
    }

    fn open_trusted(path: &Path, log: &dyn EventLog) -> Result<Self, StorageError> {
        let connection = storage::open_writer(path)?;
        let reached = reached(&connection)?;
        check_belongs(&connection, reached, log)?;
        Ok(Self {
            connection,
            reached,
        })
    }
}

/// Checks what is cheap to check: that the parts agree on how far they are, and that the log has
/// the same event there. Damage further inside shows itself when it is read.
fn check_belongs(
    connection: &Connection,
    reached: Sequence,
    log: &dyn EventLog,
) -> Result<(), StorageError> {
    let last: i64 =
        connection.query_row("SELECT coalesce(max(sequence), 0) FROM events", [], |row| {
            row.get(0)
        })?;
    if stored(reached.0) != last.into() {
        return Err(StorageError::Untrue(format!(
            "its events end at {last}, but it says to have followed {reached}"
        )));
    }
    let head = log.head();
    if reached > head.sequence {
        return Err(StorageError::Untrue(format!(
            "it has followed event {reached}, but the log ends at {}",
            head.sequence
        )));
    }
    let hash: String = connection.query_row("SELECT hash FROM progress", [], |row| row.get(0))?;
    match hash_at(log, reached) {
        Ok(Some(expected)) if hex::encode(expected) == hash => Ok(()),
        Ok(_) => Err(StorageError::Untrue(format!(
            "its event {reached} is not the log's"
        ))),
        // A log that cannot be read there cannot be followed again either: what is here stays.
        Err(error) => {
            tracing::warn!(error = %error, "failed to compare control.db with the event log");
            Ok(())
        }
    }
}

fn hash_at(log: &dyn EventLog, sequence: Sequence) -> Result<Option<Hash>, ReadError> {
    if sequence == Sequence(0) {
        return Ok(Some(NO_HASH));
    }
    let found = log.read_after(Sequence(sequence.0 - 1), 1)?;
    Ok(found.first().map(|it| it.hash))
}

/// What a group of events touches: read once, stored once, however many of the events it has.
struct Group<'a> {
    connection: &'a Connection,
    jobs: BTreeMap<JobId, Job>,
    databases: BTreeMap<DatabaseId, DatabaseRow>,
}

impl<'a> Group<'a> {
    fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            jobs: BTreeMap::new(),
            databases: BTreeMap::new(),
        }
    }

    fn follow(&mut self, recorded: &RecordedEvent) -> Result<(), StorageError> {
        events::insert(self.connection, recorded)?;
        tokens::follow(self.connection, recorded)?;
        if let Some(job) = Job::begun_by(recorded) {
            self.jobs.insert(job.id, job);
        } else if let Some(id) = recorded.event.job() {
            self.evolve_job(id, recorded)?;
        }
        if let Some(database) = DatabaseRow::begun_by(recorded) {
            self.databases.insert(database.id(), database);
        } else if let Some(id) = recorded.event.database() {
            self.evolve_database(id, recorded)?;
        }
        Ok(())
    }

    fn evolve_job(&mut self, id: JobId, recorded: &RecordedEvent) -> Result<(), StorageError> {
        if !self.jobs.contains_key(&id)
            && let Some(job) = jobs::load(self.connection, id)?
        {
            self.jobs.insert(id, job);
        }
        if let Some(job) = self.jobs.get_mut(&id) {
            job.evolve(recorded);
        }
        Ok(())
    }

    fn evolve_database(
        &mut self,
        id: DatabaseId,
        recorded: &RecordedEvent,
    ) -> Result<(), StorageError> {
        if !self.databases.contains_key(&id)
            && let Some(database) = databases::load(self.connection, id)?
        {
            self.databases.insert(id, database);
        }
        if let Some(database) = self.databases.get_mut(&id) {
            database.evolve(recorded);
        }
        Ok(())
    }

    fn store(&self) -> Result<(), StorageError> {
        for job in self.jobs.values() {
            jobs::store(self.connection, job)?;
        }
        for database in self.databases.values() {
            databases::store(self.connection, database)?;
        }
        Ok(())
    }
}
