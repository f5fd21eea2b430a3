//! A reader that sees the database as it was when it began, however long it reads.
use crate::engine::sqlite::open::handle::Handle;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::{ExecutionLimits, SqlError, SqliteConnection};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// While it lives, something reads what was there when it began, and the WAL is not truncated.
#[derive(Debug)]
pub struct CountedSnapshot(Arc<OpenDatabase>);

impl CountedSnapshot {
    /// Counts one on this database.
    pub(crate) fn of(open: &Arc<OpenDatabase>) -> Self {
        open.snapshots.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(open))
    }

    /// Whether the WAL has grown so long that it has to end.
    #[must_use]
    pub fn has_to_end(&self) -> bool {
        self.0.wal_is_long.load(Ordering::Acquire)
    }
}

impl Drop for CountedSnapshot {
    fn drop(&mut self) {
        if self.0.snapshots.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.wal_is_long.store(false, Ordering::Release);
        }
    }
}

/// A reader in a transaction. Dropped, it ends the transaction and rests.
#[derive(Debug)]
pub(crate) struct Snapshot {
    open: Arc<OpenDatabase>,
    _counted: CountedSnapshot,
    /// There until dropped.
    reader: Option<Handle>,
    /// Commits before it began, at least those that it sees.
    commits: u64,
}

impl Snapshot {
    /// Begins one. Blocks.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn begin(
        open: &Arc<OpenDatabase>,
        limits: ExecutionLimits,
    ) -> Result<Self, SqlError> {
        let mut snapshot = Self {
            open: Arc::clone(open),
            reader: Some(open.reader()?),
            // Counted first: a commit in between makes it older than it is, never younger.
            commits: open.commits.load(Ordering::Acquire),
            _counted: CountedSnapshot::of(open),
        };
        let sqlite = snapshot.sqlite();
        sqlite.set_limits(limits);
        let begun = sqlite
            .command("BEGIN;")
            // SQLite begins to read with the first read.
            .and_then(|()| sqlite.command("SELECT count(*) FROM sqlite_schema;"));
        sqlite.clear_limits();
        begun.map(|()| snapshot)
    }

    /// The connection, in its transaction.
    pub(crate) fn sqlite(&mut self) -> &mut SqliteConnection {
        self.reader.as_mut().expect("it is there until dropped")
    }

    /// Whether nothing was committed since it began. Certain while no write runs.
    pub(crate) fn is_current(&self) -> bool {
        self.commits == self.open.commits.load(Ordering::Acquire)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        crate::engine::sqlite::statement::savepoint::roll_back(&mut reader);
        self.open.rest(reader);
    }
}
