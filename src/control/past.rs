//! What was true at an earlier moment: the same fold as at the start, ended sooner.
use super::FOLD_CHUNK;
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use crate::event_log::{EventLog, ReadError};

/// A place in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Behind the event with this sequence.
    Sequence(Sequence),
    /// Behind the last event of this time or before it.
    Time(Timestamp),
}

impl Moment {
    fn is_before(self, event: &RecordedEvent) -> bool {
        match self {
            Self::Sequence(it) => event.sequence > it,
            Self::Time(it) => event.commit.time > it,
        }
    }
}

/// Folds `state` on to `moment`, and says whether that could be done: not when its last event
/// lies behind the moment already. Reads the log in pieces, and blocks.
///
/// # Errors
/// When events cannot be read.
pub fn fold_on(log: &dyn EventLog, state: &mut State, moment: Moment) -> Result<bool, ReadError> {
    if let Some(before) = state.sequence.0.checked_sub(1) {
        let last = log.read_after(Sequence(before), 1)?;
        if last.iter().any(|it| moment.is_before(it)) {
            return Ok(false);
        }
    }
    loop {
        let events = log.read_after(state.sequence, FOLD_CHUNK)?;
        if events.is_empty() {
            return Ok(true);
        }
        for event in &events {
            if moment.is_before(event) {
                return Ok(true);
            }
            state.evolve(event);
        }
    }
}
