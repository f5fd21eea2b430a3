//! What `control.db` does not keep: the texts of events, which the log has by their sequences.
use crate::domain::ids::{DatabaseId, Sequence};
use crate::domain::recorded::RecordedEvent;
use crate::event_log::canonical::data_json;
use crate::event_log::{EventLog, ReadError};
use serde_json::value::RawValue;
use std::fmt;
use std::sync::Arc;

/// Makes an event's line of an export: JSON.
pub type ExportLine = fn(&RecordedEvent) -> String;

/// An event as it is shown.
#[derive(Debug, Clone)]
pub struct ShownEvent {
    /// Its place in the log.
    pub sequence: Sequence,
    /// Which thing happened: `database_ready`.
    pub kind: String,
    /// The database it is about.
    pub database: Option<DatabaseId>,
    /// Its line of an export.
    pub json: Box<RawValue>,
}

/// Events that lie this close are read at once: passing over three costs less than looking again.
const NEIGHBOURS: u64 = 4;

/// Events that are read at once after two neighbours: a page of them.
const FIRST_AHEAD: usize = 64;

/// And from then on: the log takes that for a walk through the history, and keeps none of it in
/// memory.
const SCANNED_AT_ONCE: usize = 1_000;

/// The events with these sequences, in the order given, which rises or falls all along.
pub(super) fn shown(
    log: &dyn EventLog,
    export_line: ExportLine,
    sequences: &[Sequence],
) -> Result<Vec<ShownEvent>, ReadError> {
    let mut rising = sequences.to_vec();
    rising.sort_unstable();
    let mut found = Vec::with_capacity(rising.len());
    for near in rising.chunk_by(|one, next| next.0 - one.0 <= NEIGHBOURS) {
        let (Some(first), Some(last)) = (near.first(), near.last()) else {
            continue;
        };
        let mut wanted = near.iter().peekable();
        for recorded in read(log, *first, *last)? {
            if wanted.next_if_eq(&&recorded.sequence).is_some() {
                found.push(show(&recorded, export_line)?);
            }
        }
    }
    if sequences.first() > sequences.last() {
        found.reverse();
    }
    Ok(found)
}

fn show(recorded: &RecordedEvent, export_line: ExportLine) -> Result<ShownEvent, ReadError> {
    let json = RawValue::from_string(export_line(recorded)).map_err(|error| ReadError {
        after: before(recorded.sequence),
        reason: error.to_string(),
    })?;
    Ok(ShownEvent {
        sequence: recorded.sequence,
        kind: recorded.event.kind().as_str().to_owned(),
        database: recorded.event.database(),
        json,
    })
}

/// All events from `first` to `last`.
fn read(
    log: &dyn EventLog,
    first: Sequence,
    last: Sequence,
) -> Result<Vec<RecordedEvent>, ReadError> {
    let after = before(first);
    let wanted = usize::try_from(last.0 - after.0).unwrap_or(usize::MAX);
    let events = log.read_after(after, wanted)?;
    if events.len() != wanted {
        let reason = format!("it has {} of {wanted} events", events.len());
        return Err(ReadError { after, reason });
    }
    Ok(events)
}

fn before(sequence: Sequence) -> Sequence {
    Sequence(sequence.0.saturating_sub(1))
}

/// The texts of one event after the other, as a statement asks for them. It reads ahead once it is
/// asked for neighbours, in either direction.
pub struct EventTexts {
    log: Arc<dyn EventLog>,
    /// Events in a row: those that were read last.
    read: Vec<RecordedEvent>,
}

impl fmt::Debug for EventTexts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventTexts").finish_non_exhaustive()
    }
}

impl EventTexts {
    pub(super) fn of(log: Arc<dyn EventLog>) -> Self {
        Self {
            log,
            read: Vec::new(),
        }
    }

    /// One field of the event with this sequence: `data` (JSON), `commit` (an id), `hash` or
    /// `previous_hash` (hex). `None` where there is no such event or field.
    ///
    /// # Errors
    /// When the log cannot be read there.
    pub fn field(&mut self, sequence: i64, field: &str) -> Result<Option<String>, ReadError> {
        let Ok(sequence @ 1..) = u64::try_from(sequence) else {
            return Ok(None);
        };
        if sequence > self.log.head().sequence.0 {
            return Ok(None);
        }
        let recorded = self.event(sequence)?;
        Ok(match field {
            "data" => Some(data_json(recorded)),
            "commit" => Some(recorded.commit.id.to_string()),
            "hash" => Some(hex::encode(recorded.hash)),
            "previous_hash" => Some(hex::encode(recorded.previous_hash)),
            _ => None,
        })
    }

    fn event(&mut self, sequence: u64) -> Result<&RecordedEvent, ReadError> {
        let place = match self.place_of(sequence) {
            Some(place) => place,
            None => {
                let (after, limit) = self.next_read(sequence);
                self.read = self.log.read_after(after, limit)?;
                self.place_of(sequence).ok_or_else(|| ReadError {
                    after,
                    reason: format!("event {sequence} is missing"),
                })?
            }
        };
        Ok(&self.read[place])
    }

    fn place_of(&self, sequence: u64) -> Option<usize> {
        let first = self.read.first()?.sequence.0;
        let place = usize::try_from(sequence.checked_sub(first)?).ok()?;
        (place < self.read.len()).then_some(place)
    }

    /// Behind which event to read, and how many: one, unless this is a neighbour of the last ones.
    fn next_read(&self, sequence: u64) -> (Sequence, usize) {
        let alone = (Sequence(sequence - 1), 1);
        let (Some(first), Some(last)) = (self.read.first(), self.read.last()) else {
            return alone;
        };
        let ahead = if self.read.len() < FIRST_AHEAD {
            FIRST_AHEAD
        } else {
            SCANNED_AT_ONCE
        };
        if (1..=NEIGHBOURS).contains(&sequence.saturating_sub(last.sequence.0)) {
            return (alone.0, ahead);
        }
        if (1..=NEIGHBOURS).contains(&first.sequence.0.saturating_sub(sequence)) {
            return (Sequence(sequence.saturating_sub(ahead as u64)), ahead);
        }
        alone
    }
}
