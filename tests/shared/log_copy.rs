//! What a gateway that dies leaves in its log.
use dbforge::domain::event::recorded::NewCommit;
use dbforge::domain::ids::Sequence;
use dbforge::event_log::EventLog;
use dbforge::event_log::memory::MemoryEventLog;
use std::sync::Arc;

/// The commits of a log up to an event, in a log of their own.
pub(crate) fn copy_of(log: &dyn EventLog, end: Sequence) -> Arc<dyn EventLog> {
    let copy = MemoryEventLog::default();
    let events = log.read_after(Sequence(0), usize::MAX).unwrap();
    let kept: Vec<_> = events.into_iter().filter(|it| it.sequence <= end).collect();
    let commits = kept
        .chunk_by(|a, b| a.commit.id == b.commit.id)
        .map(|commit| NewCommit {
            header: commit[0].commit.as_ref().clone(),
            events: commit.iter().map(|it| it.event.clone()).collect(),
        })
        .collect();
    copy.append(Sequence(0), commits).unwrap();
    Arc::new(copy)
}
