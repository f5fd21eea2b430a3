//! The table `events`: the log as people search it.
use super::listing::{Listing, find, reached, sequence_in, stored};
use super::page::{Order, Page, Window};
use super::storage::StorageError;
use crate::clock::timestamp::Timestamp;
use crate::domain::event::EventKind;
use crate::domain::ids::{Actor, DatabaseId, JobId, Sequence};
use crate::domain::recorded::RecordedEvent;
use rusqlite::types::Value;
use rusqlite::{Connection, Row, named_params};
use serde_json::value::RawValue;
use std::ops::RangeInclusive;

/// Which events are wanted; what is `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Those behind this sequence.
    pub after: Option<Sequence>,
    /// Those about this database.
    pub database: Option<DatabaseId>,
    /// Those of this kind.
    pub kind: Option<EventKind>,
    /// Those that this actor caused.
    pub actor: Option<Actor>,
    /// Those about this job.
    pub job: Option<JobId>,
    /// Those of this moment and later.
    pub since: Option<Timestamp>,
    /// Those before this moment.
    pub until: Option<Timestamp>,
    /// Which way.
    pub order: Order,
}

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

/// Adds an event.
pub(super) fn insert(
    connection: &Connection,
    recorded: &RecordedEvent,
    export_line: &str,
) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (sequence, time, kind, database, job, actor, request_id, event)
         VALUES (:sequence, :time, :kind, :database, :job, :actor, :request_id, :event)",
    )?;
    statement.execute(named_params! {
        ":sequence": stored(recorded.sequence.0),
        ":time": recorded.commit.time.to_string(),
        ":kind": recorded.event.kind().as_str(),
        ":database": recorded.event.database().map(|it| it.to_string()),
        ":job": recorded.event.job().map(|it| it.to_string()),
        ":actor": recorded.commit.actor.0,
        ":request_id": recorded.commit.request.to_string(),
        ":event": export_line,
    })?;
    Ok(())
}

/// One page of the events that a filter lets through.
pub(super) fn list(
    connection: &Connection,
    filter: &EventFilter,
    window: &Window,
) -> Result<Page<ShownEvent>, StorageError> {
    let within = within(connection, filter)?;
    listing(filter, within).read(connection, window, shown)
}

/// The event with this sequence.
pub(super) fn find_one(
    connection: &Connection,
    sequence: Sequence,
) -> Result<Option<ShownEvent>, StorageError> {
    let sql = "SELECT sequence, event, kind, database FROM events WHERE sequence = ?";
    find(connection, sql, stored(sequence.0), shown)
}

/// The sequence of the first event at `time` or later; behind the last event where there is none.
pub(super) fn first_at(connection: &Connection, time: Timestamp) -> Result<Sequence, StorageError> {
    let sql = "SELECT sequence FROM events INDEXED BY events_by_time
               WHERE time >= ? ORDER BY time, sequence LIMIT 1";
    match find(connection, sql, time.to_string(), |row| sequence_in(row, 0))? {
        Some(found) => Ok(found),
        None => Ok(reached(connection)?.next()),
    }
}

/// The filter's most selective part chooses the index.
fn listing(filter: &EventFilter, within: RangeInclusive<u64>) -> Listing {
    let job = filter.job.map(|it| Value::from(it.to_string()));
    let database = filter.database.map(|it| Value::from(it.to_string()));
    let kind = filter.kind.map(|it| Value::from(it.as_str().to_owned()));
    let actor = filter.actor.clone().map(|it| Value::from(it.0));
    let (from, lead, walk, rest) = match (job, database, actor, kind) {
        (Some(job), database, actor, kind) => (
            "events INDEXED BY events_by_job",
            "job = ?",
            vec![job],
            vec![
                ("database = ?", database),
                ("actor = ?", actor),
                ("kind = ?", kind),
            ],
        ),
        (None, Some(database), actor, kind) => (
            "events INDEXED BY events_by_database",
            "database = ?",
            vec![database],
            vec![("actor = ?", actor), ("kind = ?", kind)],
        ),
        (None, None, Some(actor), Some(kind)) => (
            "events INDEXED BY events_by_actor_and_kind",
            "actor = ? AND kind = ?",
            vec![actor, kind],
            vec![],
        ),
        (None, None, Some(actor), None) => (
            "events INDEXED BY events_by_actor",
            "actor = ?",
            vec![actor],
            vec![],
        ),
        (None, None, None, Some(kind)) => (
            "events INDEXED BY events_by_kind",
            "kind = ?",
            vec![kind],
            vec![],
        ),
        (None, None, None, None) => ("events NOT INDEXED", "TRUE", vec![], vec![]),
    };
    Listing {
        columns: "sequence, event, kind, database",
        from,
        key: "sequence",
        lead,
        walks: vec![walk],
        rest: rest
            .into_iter()
            .filter_map(|(condition, value)| Some((condition, value?)))
            .collect(),
        within,
    }
}

/// Times never go back from event to event, so a span of time is a span of sequences.
fn within(
    connection: &Connection,
    filter: &EventFilter,
) -> Result<RangeInclusive<u64>, StorageError> {
    let mut first = filter.after.map_or(0, |it| it.next().0);
    let mut last = u64::MAX;
    if let Some(since) = filter.since {
        first = first.max(first_at(connection, since)?.0);
    }
    if let Some(until) = filter.until {
        last = first_at(connection, until)?.0 - 1;
    }
    Ok(first..=last)
}

fn shown(row: &Row<'_>) -> Result<ShownEvent, StorageError> {
    Ok(ShownEvent {
        sequence: sequence_in(row, 0)?,
        json: RawValue::from_string(row.get(1)?)?,
        kind: row.get(2)?,
        database: row
            .get::<_, Option<String>>(3)?
            .and_then(|it| it.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::control_db::listing::tests::assert_walks;
    use uuid::Uuid;

    #[test]
    fn the_most_selective_part_of_a_filter_chooses_the_index() {
        let mut filter = EventFilter::default();
        let walks = |filter: &EventFilter, index| {
            assert_walks(&listing(filter, 1..=u64::MAX), index);
        };
        walks(&filter, "INTEGER PRIMARY KEY");
        filter.kind = Some(EventKind::JobFailed);
        walks(&filter, "events_by_kind");
        filter.actor = Some(Actor::named("root"));
        walks(&filter, "events_by_actor_and_kind");
        filter.kind = None;
        walks(&filter, "events_by_actor ");
        filter.database = Some(DatabaseId(Uuid::nil()));
        walks(&filter, "events_by_database");
        filter.job = Some(JobId(Uuid::nil()));
        walks(&filter, "events_by_job");
    }
}
