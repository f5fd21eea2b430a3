//! The one writer of a database, leased to a transaction of several requests.
//!
//! Requests for the writer use the same queue as writes. While it is leased, the queue stands still
//! and needs no thread: a request that waits in it past its time is told that the database is
//! locked. Between two leases every write that waits gets its turn.
use crate::clock::Deadline;
use crate::engine::sql::{Cancellation, Counters, QueryError};
use crate::engine::sqlite::open::handle::Writer;
use crate::engine::sqlite::statement::savepoint::roll_back;
use crate::engine::sqlite::{ExecutionLimits, SqlError, SqliteConnection};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The writer with a transaction begun on it. Dropped, it rolls back what was not committed and
/// sends the writer back.
#[derive(Debug)]
pub(crate) struct WriterLease {
    /// There until dropped.
    writer: Option<Writer>,
    setup: LeaseSetup,
    /// Takes the writer, or nothing in place of one that must not be used again.
    back: Option<oneshot::Sender<Option<Writer>>>,
}

/// What is set up on the writer before its transaction begins, where it can be set up at all, and
/// set back when the lease ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LeaseSetup {
    /// Foreign keys do not hold.
    pub(crate) foreign_keys_off: bool,
    /// ALTER TABLE RENAME leaves triggers and views as they are.
    pub(crate) legacy_alter_table: bool,
    /// No transaction is begun: another process writes meanwhile.
    pub(crate) rests: bool,
}

impl LeaseSetup {
    fn set(self, writer: &mut SqliteConnection) -> Result<(), SqlError> {
        if self.foreign_keys_off {
            writer.command("PRAGMA foreign_keys = OFF;")?;
        }
        if self.legacy_alter_table {
            writer.command("PRAGMA legacy_alter_table = ON;")?;
        }
        Ok(())
    }

    /// A writer that cannot be set back is not used again.
    fn set_back(self, writer: &mut SqliteConnection) {
        let foreign_keys = match self.foreign_keys_off {
            true => writer.command("PRAGMA foreign_keys = ON;"),
            false => Ok(()),
        };
        let alter_table = match self.legacy_alter_table {
            true => writer.command("PRAGMA legacy_alter_table = OFF;"),
            false => Ok(()),
        };
        // In a transaction the PRAGMA would do nothing, and not say so.
        if foreign_keys.and(alter_table).is_err() || !writer.is_autocommit() {
            writer.spoil();
        }
    }
}

/// A request for the writer.
#[derive(Debug)]
pub(crate) struct LeaseRequest {
    pub(crate) setup: LeaseSetup,
    pub(crate) deadline: Deadline,
    pub(crate) timeout: Duration,
    pub(crate) cancellation: Arc<Cancellation>,
    pub(crate) answer: oneshot::Sender<Result<WriterLease, QueryError>>,
}

impl LeaseRequest {
    /// Whether it was not cancelled and has time left; one without time is answered.
    pub(crate) fn if_wanted(self) -> Option<Self> {
        if self.cancellation.is_cancelled() {
            return None;
        }
        if self.deadline.has_passed() {
            let _ = self.answer.send(Err(QueryError::Locked));
            return None;
        }
        Some(self)
    }

    /// Begins a transaction, unless the writer is to rest. The caller lets go of the writer's place before it hands it over.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn begin(&self, writer: &mut SqliteConnection) -> Result<(), SqlError> {
        writer.set_limits(ExecutionLimits {
            deadline: self.deadline,
            cancellation: Some(Arc::clone(&self.cancellation)),
            slice: None,
            may_wait: true,
        });
        let set_up = self.setup.set(writer);
        let begun = set_up.and_then(|()| match self.setup.rests {
            true => Ok(()),
            false => writer.command("BEGIN IMMEDIATE;"),
        });
        writer.clear_limits();
        if begun.is_err() {
            self.setup.set_back(writer);
        }
        writer.begin_session(Counters::default());
        begun
    }

    /// Hands the writer over, which comes back by the channel. If its request was dropped,
    /// it comes back at once.
    pub(crate) fn grant(self, writer: Writer) -> oneshot::Receiver<Option<Writer>> {
        let (back, comes_back) = oneshot::channel();
        let _ = self.answer.send(Ok(WriterLease {
            writer: Some(writer),
            setup: self.setup,
            back: Some(back),
        }));
        comes_back
    }

    /// Answers that there is none.
    pub(crate) fn fail(self, error: SqlError) {
        let _ = self.answer.send(Err(error.for_caller(self.timeout)));
    }
}

impl WriterLease {
    /// The connection, in its transaction.
    pub(crate) fn sqlite(&mut self) -> &mut SqliteConnection {
        let writer = self.writer.as_mut().expect("it is there until dropped");
        &mut writer.handle
    }
}

impl Drop for WriterLease {
    fn drop(&mut self) {
        let (Some(mut writer), Some(back)) = (self.writer.take(), self.back.take()) else {
            return;
        };
        roll_back(&mut writer.handle);
        self.setup.set_back(&mut writer.handle);
        // One that must not be used again is closed here, on a thread that may block.
        let writer = (!writer.handle.is_spoiled()).then_some(writer);
        let _ = back.send(writer);
    }
}
