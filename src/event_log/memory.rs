//! An event log that forgets when it is dropped: for tests and simulations.
use super::chain;
use super::{AppendError, EventLog, ReadError};
use crate::domain::event::Stream;
use crate::domain::event::recorded::{Head, KeyOwner, NewCommit, RecordedEvent};
use crate::domain::ids::Sequence;
use crate::locks::RwLock;
use std::sync::{Arc, RwLockReadGuard};

/// Keeps events in a vector.
#[derive(Debug, Default)]
pub struct MemoryEventLog(RwLock<Vec<RecordedEvent>>);

impl MemoryEventLog {
    fn events(&self) -> RwLockReadGuard<'_, Vec<RecordedEvent>> {
        self.0.read()
    }
}

impl EventLog for MemoryEventLog {
    fn append(
        &self,
        expected_end: Sequence,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<RecordedEvent>, AppendError> {
        let mut log = self.0.write();
        let group = chain::record_group(head_of(&log), expected_end, commits)?;
        log.extend_from_slice(&group.events);
        Ok(group.events)
    }

    fn read_after(&self, after: Sequence, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.events();
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        Ok(log.iter().skip(start).take(limit).cloned().collect())
    }

    fn read_stream(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let log = self.events();
        let start = usize::try_from(after.0).unwrap_or(usize::MAX);
        let of_stream = log
            .iter()
            .skip(start)
            .filter(|it| it.event.stream() == stream);
        Ok(of_stream.take(limit).cloned().collect())
    }

    fn find_idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
    ) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        let log = self.events();
        let Some(last) = log.iter().rfind(|it| it.commit.uses_key(owner, key)) else {
            return Ok(None);
        };
        let of_commit = log
            .iter()
            .filter(|it| Arc::ptr_eq(&it.commit, &last.commit));
        Ok(Some(of_commit.cloned().collect()))
    }

    fn keep_reserve(&self) -> bool {
        true
    }

    fn open_reserve(&self) {}

    fn head(&self) -> Head {
        head_of(&self.events())
    }

    fn read_only(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}

fn head_of(log: &[RecordedEvent]) -> Head {
    log.last().map(chain::head_at).unwrap_or_default()
}
