//! Stores events permanently.
//!
//! Two implementations pass one contract suite: the one on disk, whose truth is a journal with
//! sled behind it, and the one in memory. Calls block; the one writer and the readers call them
//! from threads that may.
pub mod archive;
pub mod canonical;
mod chain;
pub mod checkpoints;
pub mod codec;
pub mod disk;
pub mod import;
mod journal;
pub mod memory;
mod sled;
mod upcast;
pub mod verify;

use crate::domain::event::Stream;
use crate::domain::event::recorded::{Head, KeyOwner, NewCommit, RecordedEvent};
use crate::domain::ids::Sequence;

/// An append-only, totally ordered log of events.
pub trait EventLog: Send + Sync {
    /// Appends whole commits in the order given, as one group; returns their events.
    ///
    /// When it returns, the events survive SIGKILL and power loss.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when the log does not end at `expected_end`;
    /// [`AppendError::Unknown`] when it is unknown whether it was appended. Otherwise the log is
    /// read-only, from now on or since before, and nothing of the group is visible.
    fn append(
        &self,
        expected_end: Sequence,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<RecordedEvent>, AppendError>;

    /// At most `limit` events behind `after`, oldest first.
    ///
    /// # Errors
    /// When no copy of an event can be read.
    fn read_after(&self, after: Sequence, limit: usize) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The events with these sequences, which rise and are in the log. What lies between them is
    /// not read.
    ///
    /// # Errors
    /// When no copy of one can be read.
    fn read_each(&self, sequences: &[Sequence]) -> Result<Vec<RecordedEvent>, ReadError> {
        let mut found = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let after = Sequence(sequence.0.saturating_sub(1));
            found.append(&mut self.read_after(after, 1)?);
        }
        Ok(found)
    }

    /// At most `limit` events of one stream behind `after`, oldest first.
    ///
    /// # Errors
    /// When no copy of an event can be read.
    fn read_stream(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError>;

    /// The events of the last commit that used this owner's idempotency key.
    ///
    /// # Errors
    /// When no copy of them can be read.
    fn find_idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
    ) -> Result<Option<Vec<RecordedEvent>>, ReadError>;

    /// Makes sure that room is kept back for appends which make room, such as those of a delete.
    /// `false` while the disk has none for that.
    fn keep_reserve(&self) -> bool;

    /// Gives the room that was kept back to the appends that follow, until it is kept back again.
    fn open_reserve(&self);

    /// The last event, in short.
    fn head(&self) -> Head;

    /// Why nothing can be appended, where that is so.
    fn read_only(&self) -> Option<String>;

    /// Makes what was appended easy to open again; called once, at shutdown.
    fn close(&self);
}

/// Why an append failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Another append came first.
    #[error("the event log was expected to end at {expected}, but it ends at {actual}")]
    Conflict {
        /// What the caller believed.
        expected: Sequence,
        /// What is true.
        actual: Sequence,
    },
    /// The log took the group, and its answer was lost: the events are in the log, or will be, or
    /// never. Whatever is appended behind the same end meets a conflict if they are.
    #[error("the outcome of the append is unknown: {reason}")]
    Unknown {
        /// What happened to the answer.
        reason: String,
    },
    /// Nothing can be appended.
    #[error("the event log is read-only: {reason}")]
    ReadOnly {
        /// What happened to it.
        reason: String,
    },
    /// The disk has no room; nothing was kept, and a later append may work.
    #[error("the disk that holds the event log is full")]
    DiskFull,
    /// The process has no file descriptor left; nothing was kept, and a later append may work.
    #[error("the event log cannot open its next file: out of file descriptors")]
    NoFiles,
    /// The commit is larger than the log takes.
    #[error("a commit of {bytes} bytes exceeds the limit of {limit} bytes")]
    TooLarge {
        bytes: usize,
        /// The bound.
        limit: usize,
    },
}

/// Why events could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read events after sequence {after}: {reason}")]
pub struct ReadError {
    /// Where reading began.
    pub after: Sequence,
    /// What was found.
    pub reason: String,
}
