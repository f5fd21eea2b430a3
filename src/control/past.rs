//! Rebuilds a past state, as at a start, but only up to an earlier event.
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use crate::event_log::{EventLog, ReadError};

/// Events read at a time while a state is rebuilt.
const FOLD_CHUNK: usize = 10_000;

/// A point in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// After the event with this sequence.
    Sequence(Sequence),
    /// After the last event up to this time.
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

/// Advances `state` to `moment`. Returns false if the state is already past it. Reads the log in
/// pieces, and blocks.
///
/// # Errors
/// When events cannot be read.
pub fn fold_on(log: &dyn EventLog, state: &mut State, moment: Moment) -> Result<bool, ReadError> {
    if let Some(before) = state.sequence.0.checked_sub(1) {
        let last = log.read_after(Sequence(before), 1)?;
        if last.iter().any(|event| moment.is_before(event)) {
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
