//! How much of everything exports may have.
use crate::domain::ids::DatabaseId;
use crate::engine::sql::QueryError;
use crate::locks::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The bounds of exports, each with its default and its reason.
#[derive(Debug, Clone)]
pub struct ExportBounds {
    /// Exports of rows at a time. 16: half of the threads for streams.
    pub rows_in_all: usize,
    /// The same of one database. 4: half of its streams.
    pub rows_per_database: usize,
    /// How long reading may take. 10 min: some hundred GB of rows, or one long query.
    pub read_time: Duration,
    /// How long an export may be on its way to its client. 1 h: 2 GiB at 600 kB/s.
    pub send_time: Duration,
    /// Bytes of one export of rows that may wait for its client on the disk. 4 GiB; past it, reading
    /// waits.
    pub spilled_bytes: u64,
    /// Files of whole databases that are made at a time. 2: each keeps a processor and the disk busy.
    pub files_in_all: usize,
    /// The same of one database. 1.
    pub files_per_database: usize,
    /// How long making a file may take. 1 h.
    pub file_time: Duration,
    /// Bytes of the largest file. 64 GiB.
    pub file_bytes: u64,
    /// How long a file is kept for downloads that go on where they were. 15 min after the last
    /// download began.
    pub file_kept: Duration,
    /// Most files that are kept. 16; past it the oldest go.
    pub files_kept: usize,
    /// Bytes of all kept files. 16 GiB; past it the oldest go, but for the last one.
    pub kept_bytes: u64,
    /// Bytes of the disk that exports leave free. 256 MiB: writes need them.
    pub disk_reserve: u64,
}

impl Default for ExportBounds {
    fn default() -> Self {
        Self {
            rows_in_all: 16,
            rows_per_database: 4,
            read_time: Duration::from_secs(10 * 60),
            send_time: Duration::from_secs(60 * 60),
            spilled_bytes: 4 << 30,
            files_in_all: 2,
            files_per_database: 1,
            file_time: Duration::from_secs(60 * 60),
            file_bytes: 64 << 30,
            file_kept: Duration::from_secs(15 * 60),
            files_kept: 16,
            kept_bytes: 16 << 30,
            disk_reserve: 256 << 20,
        }
    }
}

/// Whether the disk of `folder` has this much room beside the reserve. One that does not tell says
/// itself when it is full.
pub(super) fn disk_has(folder: &Path, bytes: u64, reserve: u64) -> bool {
    rustix::fs::statvfs(folder).map_or(true, |disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes.saturating_add(reserve)
    })
}

/// How many run at a time, in all and of one database. A request that finds none free is refused:
/// an export may take an hour.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    in_all: usize,
    per_database: usize,
    taken: Arc<Mutex<HashMap<DatabaseId, usize>>>,
}

/// One of them. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Turn {
    database: DatabaseId,
    taken: Arc<Mutex<HashMap<DatabaseId, usize>>>,
}

impl Turns {
    pub(super) fn new(in_all: usize, per_database: usize) -> Self {
        Self {
            in_all,
            per_database,
            taken: Arc::default(),
        }
    }

    /// # Errors
    /// [`QueryError::Overloaded`] when as many run as may.
    pub(super) fn take(&self, database: DatabaseId) -> Result<Turn, QueryError> {
        let mut taken = self.taken.lock();
        if taken.values().sum::<usize>() >= self.in_all {
            return Err(QueryError::Overloaded { what: "an export" });
        }
        let of_this = taken.entry(database).or_default();
        if *of_this >= self.per_database {
            return Err(QueryError::Overloaded {
                what: "an export of this database",
            });
        }
        *of_this += 1;
        Ok(Turn {
            database,
            taken: Arc::clone(&self.taken),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        if let Some(of_this) = taken.get_mut(&self.database) {
            *of_this -= 1;
            if *of_this == 0 {
                taken.remove(&self.database);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn exports_are_refused_past_their_number_and_taken_again_when_one_ends() {
        let (one, other) = (DatabaseId(Uuid::nil()), DatabaseId(Uuid::max()));
        let turns = Turns::new(3, 2);
        let _first = turns.take(one).unwrap();
        let second = turns.take(one).unwrap();
        assert!(turns.take(one).is_err(), "of this database");
        let _third = turns.take(other).unwrap();
        assert!(turns.take(other).is_err(), "in all");
        drop(second);
        assert!(turns.take(other).is_ok());
    }
}
