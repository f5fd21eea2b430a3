//! The table `events`: the log as people search it. Its texts are in the log (`texts.rs`).
use crate::clock::timestamp::Timestamp;
use crate::domain::event::EventKind;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::{Actor, DatabaseId, JobId, Sequence};
use crate::projections::control_db::listing::page::{Order, Page, Window};
use crate::projections::control_db::listing::{Listing, find, reached, sequence_in, stored};
use crate::projections::control_db::storage::StorageError;
use rusqlite::types::Value;
use rusqlite::{Connection, named_params};
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

/// Adds an event.
pub(crate) fn insert(
    connection: &Connection,
    recorded: &RecordedEvent,
) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO events (sequence, time, kind, actor, causation, database_bytes, job_bytes,
                             request_bytes, correlation_bytes)
         VALUES (:sequence, :time, :kind, :actor, :causation, :database, :job,
                 :request, :correlation)",
    )?;
    let (commit, event) = (&recorded.commit, &recorded.event);
    let correlation = (commit.correlation != commit.request).then_some(commit.correlation);
    statement.execute(named_params! {
        ":sequence": stored(recorded.sequence.0),
        ":time": commit.time.to_string(),
        ":kind": event.kind().as_str(),
        ":actor": commit.actor.0,
        ":causation": commit.causation.map(|cause| stored(cause.0)),
        ":database": event.database().map(|database| database.0.into_bytes()),
        ":job": event.job().map(|job| job.0.into_bytes()),
        ":request": commit.request.0.into_bytes(),
        ":correlation": correlation.map(|request| request.0.into_bytes()),
    })?;
    Ok(())
}

/// One page of the events that a filter lets through, by their sequences.
pub(crate) fn list(
    connection: &Connection,
    filter: &EventFilter,
    window: &Window,
) -> Result<Page<Sequence>, StorageError> {
    let within = within(connection, filter)?;
    listing(filter, within).read(connection, window, |row| sequence_in(row, 0))
}

/// Whether there is an event with this sequence.
pub(crate) fn exists(connection: &Connection, sequence: Sequence) -> Result<bool, StorageError> {
    let sql = "SELECT sequence FROM events WHERE sequence = ?";
    let found = find(connection, sql, stored(sequence.0), |row| {
        sequence_in(row, 0)
    })?;
    Ok(found.is_some())
}

/// The sequence of the first event at `time` or later; behind the last event where there is none.
pub(crate) fn first_at(connection: &Connection, time: Timestamp) -> Result<Sequence, StorageError> {
    let sql = "SELECT sequence FROM events INDEXED BY events_by_time
               WHERE time >= ? ORDER BY time, sequence LIMIT 1";
    match find(connection, sql, time.to_string(), |row| sequence_in(row, 0))? {
        Some(found) => Ok(found),
        None => Ok(reached(connection)?.next()),
    }
}

/// The filter's most selective part chooses the index.
fn listing(filter: &EventFilter, within: RangeInclusive<u64>) -> Listing {
    let job = filter.job.map(|job| Value::from(job.to_string()));
    let database = filter
        .database
        .map(|database| Value::from(database.to_string()));
    let kind = filter
        .kind
        .map(|kind| Value::from(kind.as_str().to_owned()));
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
        columns: "sequence",
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
    let mut first = filter.after.map_or(0, |after| after.next().0);
    let mut last = u64::MAX;
    if let Some(since) = filter.since {
        first = first.max(first_at(connection, since)?.0);
    }
    if let Some(until) = filter.until {
        last = first_at(connection, until)?.0 - 1;
    }
    Ok(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::control_db::listing::tests::assert_walks;
    use crate::projections::control_db::storage::migrate;
    use uuid::Uuid;

    #[test]
    fn sqlite_writes_ids_as_the_program_does() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let insert = "INSERT INTO events (time, kind, actor, request_bytes, database_bytes)
                      VALUES ('', '', '', ?1, ?2)
                      RETURNING request_id, correlation_id, database, job";
        for number in 1..100_u128 {
            let id = |n: u128| {
                Uuid::from_u128(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835))
            };
            let (request, database) = (id(number), id(number << 64));
            type Texts = (String, String, String, Option<String>);
            let texts: Texts = connection
                .query_row(
                    insert,
                    (request.into_bytes(), database.into_bytes()),
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
                )
                .unwrap();
            let (request, database) = (request.to_string(), database.to_string());
            assert_eq!(texts, (request.clone(), request, database, None));
        }
    }

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
