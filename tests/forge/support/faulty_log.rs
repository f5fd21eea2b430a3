//! A log whose disk fails when told.
use dbforge::domain::event::Stream;
use dbforge::domain::event::recorded::{Head, KeyOwner, NewCommit, RecordedEvent};
use dbforge::domain::ids::Sequence;
use dbforge::event_log::memory::MemoryEventLog;
use dbforge::event_log::{AppendError, EventLog, ReadError};
use std::sync::Mutex;

/// Keeps events in memory until a fault is set; takes none then, and goes on telling what it has.
#[derive(Default)]
pub(crate) struct FaultyLog {
    kept: MemoryEventLog,
    fault: Mutex<Option<AppendError>>,
    loss: Mutex<Option<Loss>>,
    late: Mutex<Vec<NewCommit>>,
}

/// What becomes of a group whose answer is lost.
#[derive(Clone, Copy)]
pub(crate) enum Loss {
    /// It is kept.
    Kept,
    /// It is kept when [`FaultyLog::arrive`] is called.
    Late,
}

impl FaultyLog {
    pub(crate) fn set(&self, fault: AppendError) {
        *self.fault.lock().unwrap() = Some(fault);
    }

    /// Loses the answer of the next append.
    pub(crate) fn lose_answer(&self, loss: Loss) {
        *self.loss.lock().unwrap() = Some(loss);
    }

    /// Keeps what comes late.
    pub(crate) fn arrive(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        self.kept.append(self.kept.head().sequence, late).unwrap();
    }

    pub(crate) fn clear(&self) {
        *self.fault.lock().unwrap() = None;
    }
}

impl EventLog for FaultyLog {
    fn append(
        &self,
        expected_end: Sequence,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<RecordedEvent>, AppendError> {
        if let Some(fault) = self.fault.lock().unwrap().clone() {
            return Err(fault);
        }
        match self.loss.lock().unwrap().take() {
            None => return self.kept.append(expected_end, commits),
            Some(Loss::Kept) => drop(self.kept.append(expected_end, commits)?),
            Some(Loss::Late) => self.late.lock().unwrap().extend(commits),
        }
        let reason = "the connection broke off".to_owned();
        Err(AppendError::Unknown { reason })
    }

    fn read_after(&self, after: Sequence, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.kept.read_after(after, limit)
    }

    fn read_stream(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.kept.read_stream(stream, after, limit)
    }

    fn find_idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
    ) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        self.kept.find_idempotent(owner, key)
    }

    fn keep_reserve(&self) -> bool {
        true
    }

    fn open_reserve(&self) {}

    fn head(&self) -> Head {
        self.kept.head()
    }

    fn read_only(&self) -> Option<String> {
        match self.fault.lock().unwrap().clone() {
            Some(AppendError::ReadOnly { reason }) => Some(reason),
            _ => None,
        }
    }

    fn close(&self) {}
}
