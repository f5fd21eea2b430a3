//! What `control.db` does not keep: the texts of events, which the log has by their sequences.
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::{DatabaseId, Sequence};
use crate::event_log::canonical::data_json;
use crate::event_log::{EventLog, ReadError};
use std::collections::VecDeque;
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
    pub kind: &'static str,
    /// The database it is about.
    pub database: Option<DatabaseId>,
    /// Its line of an export: JSON.
    pub json: String,
}

/// Events that lie this close are read at once: passing over three costs less than looking again.
const NEIGHBOURS: u64 = 4;

/// Events that are read at once after two neighbours: a page of them.
const FIRST_AHEAD: usize = 64;

/// And from then on: a statement walks through the history.
const SCANNED_AT_ONCE: usize = 256;

/// Stretches of events that are kept: a statement may walk through several tables of events at
/// once. Together some MiB at most, since the longest events are few.
const STRETCHES: usize = 4;

/// The events with these sequences, in the order given, which rises or falls all along.
pub(super) fn shown(
    log: &dyn EventLog,
    export_line: ExportLine,
    sequences: &[Sequence],
) -> Result<Vec<ShownEvent>, ReadError> {
    let falls = sequences.first() > sequences.last();
    let mut rising = sequences.to_vec();
    if falls {
        rising.reverse();
    }
    let events = log.read_each(&rising)?;
    let mut found: Vec<_> = events
        .iter()
        .map(|recorded| ShownEvent {
            sequence: recorded.sequence,
            kind: recorded.event.kind().as_str(),
            database: recorded.event.database(),
            json: export_line(recorded),
        })
        .collect();
    if falls {
        found.reverse();
    }
    Ok(found)
}

fn before(sequence: Sequence) -> Sequence {
    Sequence(sequence.0.saturating_sub(1))
}

/// The texts of one event after the other, as a statement asks for them. It reads ahead once it is
/// asked for neighbours, in either direction.
pub struct EventTexts {
    log: Arc<dyn EventLog>,
    /// Events in a row, each time; those that were asked for last come first.
    stretches: VecDeque<Vec<RecordedEvent>>,
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
            stretches: VecDeque::new(),
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
        let holds = |stretch: &Vec<RecordedEvent>| place_in(stretch, sequence).is_some();
        let near = match self.stretches.iter().position(holds) {
            Some(near) => near,
            None => self.read(sequence)?,
        };
        if near > 0 {
            let used = self.stretches.remove(near);
            self.stretches.extend(used);
            self.stretches.rotate_right(1);
        }
        let stretch = self.stretches.front();
        let found = stretch.and_then(|stretch| stretch.get(place_in(stretch, sequence)?));
        found.ok_or_else(|| ReadError {
            after: before(Sequence(sequence)),
            reason: format!("event {sequence} is missing"),
        })
    }

    /// Reads the event, and more of them beside a stretch that ends near it. Returns which stretch
    /// has it.
    fn read(&mut self, sequence: u64) -> Result<usize, ReadError> {
        let neighbour = self
            .stretches
            .iter()
            .position(|stretch| direction(stretch, sequence).is_some());
        let Some(near) = neighbour else {
            let alone = self.log.read_each(&[Sequence(sequence)])?;
            self.stretches.truncate(STRETCHES - 1);
            self.stretches.push_front(alone);
            return Ok(0);
        };
        let stretch = &mut self.stretches[near];
        let ahead = if stretch.len() < FIRST_AHEAD {
            FIRST_AHEAD
        } else {
            SCANNED_AT_ONCE
        };
        let after = match direction(stretch, sequence) {
            Some(Direction::Down) => sequence.saturating_sub(ahead as u64),
            _ => sequence - 1,
        };
        *stretch = self.log.read_after(Sequence(after), ahead)?;
        Ok(near)
    }
}

fn place_in(stretch: &[RecordedEvent], sequence: u64) -> Option<usize> {
    let first = stretch.first()?.sequence.0;
    let place = usize::try_from(sequence.checked_sub(first)?).ok()?;
    (place < stretch.len()).then_some(place)
}

enum Direction {
    Up,
    Down,
}

/// Which way a walk goes that comes from a stretch to an event near its end; none where it is not
/// near.
fn direction(stretch: &[RecordedEvent], sequence: u64) -> Option<Direction> {
    let (first, last) = (stretch.first()?.sequence.0, stretch.last()?.sequence.0);
    let is_near = |way: Option<u64>| way.is_some_and(|way| (1..=NEIGHBOURS).contains(&way));
    if is_near(sequence.checked_sub(last)) {
        Some(Direction::Up)
    } else {
        is_near(first.checked_sub(sequence)).then_some(Direction::Down)
    }
}
