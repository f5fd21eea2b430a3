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
    /// Takes the writer, or nothing in place of one that must not be used again.
    back: Option<oneshot::Sender<Option<Writer>>>,
}

/// A request for the writer.
#[derive(Debug)]
pub(crate) struct LeaseRequest {
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

    /// Begins a transaction. The caller lets go of the writer's place before it hands it over.
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
        let begun = writer.command("BEGIN IMMEDIATE;");
        writer.clear_limits();
        writer.begin_session(Counters::default());
        begun
    }

    /// Hands the writer over, which comes back by the channel. If its request was dropped,
    /// it comes back at once.
    pub(crate) fn grant(self, writer: Writer) -> oneshot::Receiver<Option<Writer>> {
        let (back, comes_back) = oneshot::channel();
        let _ = self.answer.send(Ok(WriterLease {
            writer: Some(writer),
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
        // One that must not be used again is closed here, on a thread that may block.
        let writer = (!writer.handle.is_spoiled()).then_some(writer);
        let _ = back.send(writer);
    }
}
