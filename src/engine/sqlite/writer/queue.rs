//! The one queue of a database's writes.
use super::lease::LeaseRequest;
use crate::clock::Deadline;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{BatchError, QueryError};
use crate::engine::sql::{Cancellation, Form, Keep, Statement};
use crate::engine::sqlite::threads::pool::{Overdue, PoolSlot};
use crate::engine::sqlite::{Answer, InterruptHandle, SqlError};
use crate::locks::Mutex;
use crate::shares::{ALONE, Pass};
use std::collections::VecDeque;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// What becomes of a write.
pub(crate) type WriteResult = Result<Vec<Answer>, BatchError>;

/// One request that may change the database: all of its statements are kept, or none.
#[derive(Debug)]
pub(crate) struct WriteRequest {
    pub(crate) statements: Vec<Statement>,
    /// What its first statement is remembered by.
    pub(crate) key: Arc<str>,
    pub(crate) form: Form,
    pub(crate) deadline: Deadline,
    pub(crate) timeout: Duration,
    pub(crate) cancellation: Arc<Cancellation>,
    pub(crate) sharing: Sharing,
    /// What becomes of what it changes.
    pub(crate) keep: Keep,
    pub(crate) answer: oneshot::Sender<WriteResult>,
    /// Of the request that it is of.
    pub(crate) pass: Option<Pass>,
    /// Where the answer is waited for.
    pub(crate) home: Handle,
    /// The files are not moved while it waits or runs.
    pub(crate) _guard: SharedGuard,
}

/// How a write shares a commit with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// In a savepoint of its own, so that its failure touches no other.
    InSavepoint,
    /// Without one: it is one statement that ended well the last time. Its failure undoes the whole
    /// transaction, and all run again in savepoints.
    Proven,
    /// It is known to be long and has an exclusive commit.
    Exclusive,
}

/// Writes that wait, and the thread that drains them.
#[derive(Debug)]
pub(crate) struct WriteQueue {
    most: usize,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: VecDeque<WriteRequest>,
    /// Transactions that want the writer; they are as many as a database may have.
    leases: VecDeque<LeaseRequest>,
    /// Whether a thread drains it, or is on its way, or the writer is lent.
    is_running: bool,
    /// Whether a transaction has the writer.
    is_leased: bool,
    /// What runs on that thread.
    running: Option<Running>,
    /// Whether a task watches it.
    is_watched: bool,
}

impl Inside {
    /// Whether a request may wait, too. Each caller has a share of the places.
    fn has_room_for(&self, request: &WriteRequest, most: usize) -> bool {
        let free = most.saturating_sub(self.waiting.len());
        // Checked only when many wait: before, no caller can have more than its share.
        if free * ALONE > self.waiting.len() {
            return true;
        }
        let Some(pass) = &request.pass else {
            return free > 0;
        };
        let is_own = |it: &&WriteRequest| {
            let account = it.pass.as_ref().map(Pass::account);
            account.is_some_and(|it| Arc::ptr_eq(it, pass.account()))
        };
        self.waiting.iter().filter(is_own).count() < ALONE * free
    }
}

/// The thread that drains, seen from outside.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) interrupts: Arc<InterruptHandle>,
    pub(crate) slot: Arc<PoolSlot>,
    /// Of the statement whose deadline that was.
    late: Option<(Deadline, Overdue)>,
}

impl Running {
    /// Statements under this interrupt handle, on the thread of this slot.
    pub(crate) fn new(interrupts: &Arc<InterruptHandle>, slot: &Arc<PoolSlot>) -> Self {
        Self {
            interrupts: Arc::clone(interrupts),
            slot: Arc::clone(slot),
            late: None,
        }
    }

    /// Whether a statement is past its deadline, and whether its thread was written off for that
    /// by now, `grace` later.
    fn look(&mut self, grace: Duration) -> Late {
        let Some(deadline) = self.interrupts.passed_deadline() else {
            return Late::No;
        };
        let late = self.late.take().filter(|(of, _)| *of == deadline);
        let (_, overdue) = self
            .late
            .insert(late.unwrap_or_else(|| (deadline, self.slot.overdue())));
        if deadline.has_passed_by(grace) && overdue.look() {
            Late::Stuck
        } else {
            Late::Yes
        }
    }
}

/// How a statement stands to its deadline.
enum Late {
    No,
    Yes,
    Stuck,
}

impl WriteRequest {
    /// Answers that it failed. A caller that has gone is not told.
    pub(crate) fn fail(self, statement: usize, error: SqlError) {
        let error = error.for_caller(self.timeout);
        let _ = self.answer.send(Err(BatchError { statement, error }));
    }

    /// Answers that it was not run.
    pub(crate) fn turn_away(self, error: QueryError) {
        let statement = 0;
        let _ = self.answer.send(Err(BatchError { statement, error }));
    }
}

/// On the thread that drains a queue.
#[derive(Debug)]
pub(crate) struct LoopGuard<'q>(&'q WriteQueue);

impl Drop for LoopGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut inside = self.0.lock();
            inside.is_running = false;
            inside.running = None;
        }
    }
}

impl WriteQueue {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            inside: Mutex::default(),
        }
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Queues a request. `true` when the caller has to start the writer loop.
    pub(crate) fn push(&self, request: WriteRequest) -> Result<bool, QueryError> {
        let mut inside = self.lock();
        if !inside.has_room_for(&request, self.most) {
            return Err(QueryError::Overloaded {
                what: "writes of this database",
            });
        }
        inside.waiting.push_back(request);
        Ok(!std::mem::replace(&mut inside.is_running, true))
    }

    /// Queues a request for the writer. `true` when the caller has to start the writer loop.
    pub(crate) fn push_lease(&self, lease: LeaseRequest) -> bool {
        let mut inside = self.lock();
        inside.leases.push_back(lease);
        !std::mem::replace(&mut inside.is_running, true)
    }

    /// The next transaction that wants the writer.
    pub(crate) fn next_lease(&self) -> Option<LeaseRequest> {
        let mut inside = self.lock();
        while let Some(lease) = inside.leases.pop_front() {
            if let Some(lease) = lease.if_wanted() {
                return Some(lease);
            }
        }
        None
    }

    /// The writer is leased from now on: no writer loop runs.
    pub(crate) fn mark_leased(&self) {
        self.lock().is_leased = true;
    }

    /// The writer is back. `true` when the caller has to start the writer loop.
    pub(crate) fn writer_is_back(&self) -> bool {
        let mut inside = self.lock();
        inside.is_leased = false;
        inside.is_running = !inside.waiting.is_empty() || !inside.leases.is_empty();
        inside.is_running
    }

    /// While a transaction has leased the writer, drops requests that were cancelled. Returns
    /// whether the writer is leased.
    pub(crate) fn forget_cancelled(&self) -> bool {
        let mut inside = self.lock();
        if inside.is_leased {
            inside.waiting.retain(|it| !it.cancellation.is_cancelled());
        }
        inside.is_leased
    }

    /// Fills `group` up to `most` requests. `false` when the queue is empty: the loop ends
    /// then, and the next request starts it again.
    pub(crate) fn fill(&self, group: &mut VecDeque<WriteRequest>, most: usize) -> bool {
        let mut inside = self.lock();
        let room = most.saturating_sub(group.len()).min(inside.waiting.len());
        group.extend(inside.waiting.drain(..room));
        let is_empty = group.is_empty() && inside.leases.is_empty();
        if is_empty {
            inside.is_running = false;
        }
        !is_empty
    }

    /// Puts requests back in front, for the next writer loop.
    pub(crate) fn put_back(&self, group: VecDeque<WriteRequest>) {
        let mut inside = self.lock();
        for request in group.into_iter().rev() {
            inside.waiting.push_front(request);
        }
    }

    /// A loop that panics leaves the queue to the next one.
    pub(crate) fn loop_guard(&self) -> LoopGuard<'_> {
        LoopGuard(self)
    }

    /// Records what runs, for watchers.
    pub(crate) fn set_running(&self, running: Option<Running>) {
        self.lock().running = running;
    }

    /// Whether a statement that runs is past its deadline.
    pub(crate) fn is_late(&self) -> bool {
        let inside = self.lock();
        inside.running.as_ref().is_some_and(|it| it.late.is_some())
    }

    /// Marks the thread stuck if a statement on it still runs `grace` after its deadline, and
    /// answers all requests that wait behind it. `true` while a statement is late and has to be
    /// watched.
    pub(crate) fn look_for_late(&self, grace: Duration) -> bool {
        let behind = {
            let mut inside = self.lock();
            let running = inside.running.as_mut();
            match running.map_or(Late::No, |it| it.look(grace)) {
                Late::No => return false,
                Late::Yes => return true,
                Late::Stuck => std::mem::take(&mut inside.waiting),
            }
        };
        for request in behind {
            request.turn_away(QueryError::Unavailable {
                reason: "an earlier statement does not stop; this one was not run",
            });
        }
        false
    }

    /// Watches for as long as a statement is late, unless another task does already.
    pub(crate) async fn watch_late(self: Arc<Self>, grace: Duration) {
        if std::mem::replace(&mut self.lock().is_watched, true) {
            return;
        }
        while self.look_for_late(grace) {
            tokio::time::sleep(grace).await;
        }
        self.lock().is_watched = false;
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock()
    }
}
