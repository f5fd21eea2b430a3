//! Events of older schema versions, read as today's.
//!
//! A stored event is never rewritten: its hash covers the form in which it was written. So every
//! form that was ever written stays here, with what makes today's event of it.
mod before_isolation;

use self::before_isolation as v1;
use super::canonical::sorted_json;
use crate::domain::event::{Event, EventKind, RuntimeChosen};
use serde::{Deserialize, Deserializer, Serialize};

/// An old event as today's, and the canonical JSON of its fields as they were stored.
pub(super) struct Upcast {
    pub(super) event: Event,
    pub(super) data_as_stored: Box<str>,
}

/// `runtime_chosen` before it said why.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuntimeChosenV1 {
    runtime: String,
}

impl From<RuntimeChosenV1> for Event {
    fn from(it: RuntimeChosenV1) -> Self {
        RuntimeChosen {
            runtime: it.runtime,
            reason: None,
        }
        .into()
    }
}

/// Reads the fields of an older version; `None` where there was no such version.
pub(super) fn read<'de, D: Deserializer<'de>>(
    kind: EventKind,
    version: u16,
    data: D,
) -> Option<Result<Upcast, D::Error>> {
    match (kind, version) {
        (EventKind::RuntimeChosen, 1) => Some(read_as::<RuntimeChosenV1, D>(data)),
        (EventKind::DatabaseRequested, 1) => Some(read_as::<v1::DatabaseRequestedV1, D>(data)),
        (EventKind::DatabaseChanged, 1) => Some(read_as::<v1::DatabaseChangedV1, D>(data)),
        (EventKind::DatabaseKept, 1) => Some(read_as::<v1::DatabaseKeptV1, D>(data)),
        (EventKind::ScheduleCreated, 1) => Some(read_as::<v1::ScheduleCreatedV1, D>(data)),
        (EventKind::ScheduleChanged, 1) => Some(read_as::<v1::ScheduleChangedV1, D>(data)),
        (EventKind::PlanMade, 1) => Some(read_as::<v1::PlanMadeV1, D>(data)),
        _ => None,
    }
}

fn read_as<'de, Old, D>(data: D) -> Result<Upcast, D::Error>
where
    Old: Serialize + Deserialize<'de> + Into<Event>,
    D: Deserializer<'de>,
{
    let old = Old::deserialize(data)?;
    let as_stored = serde_json::to_value(&old)
        .expect("an event's fields are integers, texts, lists and maps with text keys");
    Ok(Upcast {
        event: old.into(),
        data_as_stored: sorted_json(&as_stored).into(),
    })
}
