//! The one writer of a database, lent to a transaction of several requests.
//!
//! Who wants it stands in the database's line like a write. While it is lent, the line stands
//! still and needs no thread: whoever waits in it past its time is told that the database is
//! locked. Between two loans every write that waits gets its turn.
use super::writer_loop::Drain;
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::Call;
use crate::engine::sql::QueryError;
use crate::engine::sql::{Counters, Ticket};
use crate::engine::sqlite::executor::SqliteExecutor;
use crate::engine::sqlite::open::open_database::{OpenDatabase, Writer};
use crate::engine::sqlite::statement::savepoint::roll_back;
use crate::engine::sqlite::{Hold, SqlError, SqliteConnection};
use crate::shares::waiting;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The writer with a transaction begun on it. Dropped, it rolls back what was not committed and
/// goes back to its place, and the line goes on.
#[derive(Debug)]
pub(crate) struct LentWriter {
    /// With the line's next thread; there until dropped.
    inside: Option<(Writer, Drain)>,
}

/// A wish for the writer.
#[derive(Debug)]
pub(crate) struct Loan {
    deadline: Deadline,
    timeout: Duration,
    ticket: Arc<Ticket>,
    answer: oneshot::Sender<Result<LentWriter, QueryError>>,
}

impl SqliteExecutor {
    /// Waits in line for the writer and begins a transaction on it.
    ///
    /// # Errors
    /// [`QueryError::Locked`] when others have it until the deadline; else what SQLite says.
    pub(crate) async fn borrow_writer(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
    ) -> Result<LentWriter, QueryError> {
        let (answer, answered) = oneshot::channel();
        let ticket = Arc::new(Ticket::default());
        let is_first = open.writes.push_loan(Loan {
            deadline: call.deadline,
            timeout: call.timeout,
            ticket: Arc::clone(&ticket),
            answer,
        });
        let _waiting = Waiting(ticket);
        if is_first {
            self.send_a_thread(guard, open, self.tokio.clone());
        }
        let last = call.deadline.extended(self.config.stuck_grace).instant();
        match waiting(tokio::time::timeout_at(last, answered)).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(QueryError::Broken {
                reason: "the thread of this database's writes ended".to_owned(),
            }),
            Err(_) => Err(QueryError::Locked),
        }
    }
}

/// Who waits for the writer. When it goes away, nothing is begun for it.
struct Waiting(Arc<Ticket>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Loan {
    /// Whether somebody waits for it and has time left; who has none is told so.
    pub(crate) fn if_wanted(self) -> Option<Self> {
        if self.ticket.is_abandoned() {
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
        writer.hold(Hold {
            deadline: self.deadline,
            ticket: Some(Arc::clone(&self.ticket)),
            slice: None,
            may_wait: true,
        });
        let begun = writer.command("BEGIN IMMEDIATE;");
        writer.release();
        writer.begin_session(Counters::default());
        begun
    }

    /// Hands the writer over. Where nobody waits any more, it goes back at once.
    pub(crate) fn hand_over(self, writer: Writer, drain: Drain) {
        let _ = self.answer.send(Ok(LentWriter {
            inside: Some((writer, drain)),
        }));
    }

    /// Answers that there is none.
    pub(crate) fn fail(self, error: SqlError) {
        let _ = self.answer.send(Err(error.for_caller(self.timeout)));
    }
}

impl LentWriter {
    /// The connection, in its transaction.
    pub(crate) fn sqlite(&mut self) -> &mut SqliteConnection {
        let (writer, _) = self.inside.as_mut().expect("it is there until dropped");
        &mut writer.handle
    }

    /// Brings a WAL that has grown too large into the main file.
    pub(crate) fn keep_wal_short(&mut self) {
        let (writer, drain) = self.inside.as_mut().expect("it is there until dropped");
        drain.keep_wal_short(&mut writer.handle);
    }
}

impl Drop for LentWriter {
    fn drop(&mut self) {
        let Some((mut writer, drain)) = self.inside.take() else {
            return;
        };
        roll_back(&mut writer.handle);
        drain.go_on_with(writer);
    }
}
