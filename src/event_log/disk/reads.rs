//! Answering questions from commits in their order, wherever those come from.
use crate::domain::event::Stream;
use crate::domain::event::recorded::{KeyOwner, RecordedEvent};
use crate::domain::ids::Sequence;

/// The events of one commit, or why they cannot be read.
pub(super) type Commit = Result<Vec<RecordedEvent>, String>;

/// A span of the log: events behind `after` up to `end`, at most `limit` of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) after: u64,
    pub(super) end: u64,
    pub(super) limit: usize,
}

impl Span {
    pub(super) fn is_empty(&self) -> bool {
        self.events() == 0
    }

    /// How many there are.
    pub(super) fn events(&self) -> usize {
        usize::try_from(self.end.saturating_sub(self.after))
            .unwrap_or(usize::MAX)
            .min(self.limit)
    }
}

/// The events of a span that is not empty; `commits` begin at or before its first one.
///
/// # Errors
/// When a commit cannot be read, or one is missing.
pub(super) fn all(
    commits: impl Iterator<Item = Commit>,
    span: Span,
) -> Result<Vec<RecordedEvent>, String> {
    let wanted = span.events();
    let mut found = Vec::new();
    let mut next = span.after.saturating_add(1);
    for commit in commits {
        for recorded in commit? {
            if recorded.sequence.0 < next {
                continue;
            }
            if recorded.sequence.0 != next {
                return Err(format!("event {next} is missing"));
            }
            next += 1;
            found.push(recorded);
            if found.len() == wanted {
                return Ok(found);
            }
        }
    }
    Err(format!("event {next} is missing"))
}

/// The events with these sequences, each by a read of its own.
///
/// # Errors
/// When one cannot be read.
pub(super) fn each(
    sequences: &[Sequence],
    read: impl Fn(Span) -> Result<Vec<RecordedEvent>, String>,
) -> Result<Vec<RecordedEvent>, String> {
    let mut found = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        found.append(&mut read(Span {
            after: sequence.0.saturating_sub(1),
            end: sequence.0,
            limit: 1,
        })?);
    }
    Ok(found)
}

/// The events of a span that belong to one stream; `commits` begin at or before its first one.
///
/// # Errors
/// When a commit cannot be read.
pub(super) fn of_stream(
    commits: impl Iterator<Item = Commit>,
    stream: Stream,
    span: Span,
) -> Result<Vec<RecordedEvent>, String> {
    let mut found = Vec::new();
    for commit in commits {
        for recorded in commit? {
            if recorded.sequence.0 > span.end || found.len() == span.limit {
                return Ok(found);
            }
            if recorded.sequence.0 > span.after && recorded.event.stream() == stream {
                found.push(recorded);
            }
        }
    }
    Ok(found)
}

/// The last commit up to event `end` that used this owner's idempotency key.
///
/// # Errors
/// When a commit cannot be read.
pub(super) fn with_key(
    commits: impl Iterator<Item = Commit>,
    owner: &KeyOwner,
    key: &str,
    end: u64,
) -> Result<Option<Vec<RecordedEvent>>, String> {
    let mut found = None;
    for commit in commits {
        let events = commit?;
        if events.iter().any(|event| event.sequence.0 > end) {
            break;
        }
        if uses_key(&events, owner, key) {
            found = Some(events);
        }
    }
    Ok(found)
}

/// Whether a commit used this owner's idempotency key.
pub(super) fn uses_key(events: &[RecordedEvent], owner: &KeyOwner, key: &str) -> bool {
    let first = events.first();
    first.is_some_and(|first| first.commit.uses_key(owner, key))
}
