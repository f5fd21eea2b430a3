//! The hash chain: how new events are linked to the log's head, and whether old ones are.
use super::canonical::{canonical_json, chained_hash};
use super::{AppendError, codec};
use crate::domain::event::recorded::{Hash, Head, NO_HASH, NewCommit, RecordedEvent};
use crate::domain::ids::Sequence;
use std::fmt;
use std::sync::Arc;

/// Commits that are to be appended together, ready for it.
#[derive(Debug)]
pub(super) struct Group {
    /// Their events, in order.
    pub(super) events: Vec<RecordedEvent>,
    /// Per commit its body, its first sequence and the hash before it.
    pub(super) commits: Vec<(Vec<u8>, u64, Hash)>,
    /// The log's head behind them.
    pub(super) head: Head,
}

/// Links `commits` to a log that ends at `head`. A commit without events says nothing and is
/// left out.
///
/// # Errors
/// When `head` is not where the caller expects the log to end, or a commit is too large.
pub(super) fn record_group(
    head: Head,
    expected_end: Sequence,
    commits: Vec<NewCommit>,
) -> Result<Group, AppendError> {
    if head.sequence != expected_end {
        return Err(AppendError::Conflict {
            expected: expected_end,
            actual: head.sequence,
        });
    }
    let mut group = Group {
        events: Vec::new(),
        commits: Vec::new(),
        head,
    };
    for commit in commits {
        if commit.events.is_empty() {
            continue;
        }
        let before = group.head;
        let events = record(&mut group.head, commit);
        let body = codec::encode_commit(&events);
        if body.len() > codec::MAX_COMMIT_BYTES {
            return Err(AppendError::TooLarge {
                bytes: body.len(),
                limit: codec::MAX_COMMIT_BYTES,
            });
        }
        let first = before.sequence.next().0;
        group.commits.push((body, first, before.hash));
        group.events.extend(events);
    }
    Ok(group)
}

/// Gives the events of `commit` their places and hashes behind `head`, which moves on.
///
/// Time does not go back: a commit decided on a clock that was set back gets the head's time.
pub(super) fn record(head: &mut Head, commit: NewCommit) -> Vec<RecordedEvent> {
    let mut header = commit.header;
    header.time = header.time.max(head.time);
    let header = Arc::new(header);
    commit
        .events
        .into_iter()
        .map(|event| {
            let mut recorded = RecordedEvent {
                sequence: head.sequence.next(),
                commit: Arc::clone(&header),
                schema_version: codec::schema_version(event.kind()),
                event,
                data_before_upcast: None,
                previous_hash: head.hash,
                hash: NO_HASH,
            };
            recorded.hash = chained_hash(&head.hash, &canonical_json(&recorded));
            *head = head_at(&recorded);
            recorded
        })
        .collect()
}

/// Checks that `recorded` is the event behind `head`, which then moves on.
///
/// # Errors
/// Says which link is broken.
pub(super) fn follow(head: &mut Head, recorded: &RecordedEvent) -> Result<(), BrokenLink> {
    let expected = head.sequence.next();
    if recorded.sequence != expected {
        return Err(BrokenLink::Sequence {
            expected,
            found: recorded.sequence,
        });
    }
    if recorded.commit.time < head.time {
        return Err(BrokenLink::Time(expected));
    }
    let hash = chained_hash(&head.hash, &canonical_json(recorded));
    if recorded.previous_hash != head.hash || recorded.hash != hash {
        return Err(BrokenLink::Hash(expected));
    }
    *head = head_at(recorded);
    Ok(())
}

/// The head of a log that ends with this event.
pub(super) fn head_at(last: &RecordedEvent) -> Head {
    Head {
        sequence: last.sequence,
        hash: last.hash,
        time: last.commit.time,
    }
}

/// How an event fails to follow the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BrokenLink {
    /// An event is missing or there twice.
    Sequence { expected: Sequence, found: Sequence },
    /// It is older than the event before it.
    Time(Sequence),
    /// It, or what lies before it, was changed.
    Hash(Sequence),
}

impl fmt::Display for BrokenLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence { expected, found } => {
                write!(f, "event {expected} should come here, event {found} does")
            }
            Self::Time(sequence) => write!(f, "event {sequence} is older than the one before it"),
            Self::Hash(sequence) => write!(f, "the hash of event {sequence} does not match"),
        }
    }
}
