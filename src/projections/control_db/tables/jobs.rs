//! The table `jobs`: every job there ever was.
use super::events::first_at;
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{Actor, DatabaseId, JobId};
use crate::domain::job::{
    Attempt, Job, JobError, JobKind, JobState, RunningStep, StepName, StepOutcome,
};
use crate::projections::control_db::listing::page::{Order, Page, Window};
use crate::projections::control_db::listing::{Listing, find, sequence_in, stored};
use crate::projections::control_db::storage::StorageError;
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Row, named_params};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::value::StrDeserializer;
use std::time::Duration;

/// Which jobs are wanted; what is empty or `None` does not matter.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Those in one of these states.
    pub states: Vec<JobState>,
    /// Those of one of these kinds, by their words.
    pub kinds: Vec<String>,
    /// Those of this database.
    pub database: Option<DatabaseId>,
    /// Those that this actor asked for.
    pub actor: Option<Actor>,
    /// Those that were created later than this moment.
    pub created_after: Option<Timestamp>,
    /// Which way.
    pub order: Order,
}

/// The job as it was last stored.
pub(crate) fn load(connection: &Connection, id: JobId) -> Result<Option<Job>, StorageError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = ?");
    find(connection, &sql, id.to_string(), job_in)
}

/// Stores a job, for the first time or again.
pub(crate) fn store(connection: &Connection, job: &Job) -> Result<(), StorageError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO jobs (enqueued, id, kind, database, database_name, state, actor, request_id,
                           attempts, error, created_at, started_at, finished_at, sequence, document)
         VALUES (:enqueued, :id, :kind, :database, :database_name, :state, :actor, :request_id,
                 :attempts, :error, :created_at, :started_at, :finished_at, :sequence, :document)
         ON CONFLICT (enqueued) DO UPDATE SET
             state = excluded.state, attempts = excluded.attempts, error = excluded.error,
             started_at = excluded.started_at, finished_at = excluded.finished_at,
             sequence = excluded.sequence, document = excluded.document",
    )?;
    statement.execute(named_params! {
        ":enqueued": stored(job.enqueued.0),
        ":id": job.id.to_string(),
        ":kind": job.kind.as_str(),
        ":database": job.database.to_string(),
        ":database_name": job.database_name.as_str(),
        ":state": job.state.as_str(),
        ":actor": job.actor.0,
        ":request_id": job.request.to_string(),
        ":attempts": job.attempt_count(),
        ":error": job.error.as_ref().map(|error| error.detail.as_str()),
        ":created_at": job.created_at.to_string(),
        ":started_at": job.started_at.map(|it| it.to_string()),
        ":finished_at": job.finished_at.map(|it| it.to_string()),
        ":sequence": stored(job.sequence.0),
        ":document": document(job)?,
    })?;
    Ok(())
}

/// One page of the jobs that a filter lets through.
pub(crate) fn list(
    connection: &Connection,
    filter: &JobFilter,
    window: &Window,
) -> Result<Page<Job>, StorageError> {
    let first = match filter.created_after {
        // Moments are whole milliseconds.
        Some(moment) => first_at(connection, moment.after(Duration::from_millis(1)))?.0,
        None => 0,
    };
    listing(filter, first).read(connection, window, job_in)
}

/// The filter's most selective part chooses the index.
fn listing(filter: &JobFilter, first: u64) -> Listing {
    let states: Vec<_> = filter.states.iter().map(|it| it.as_str()).collect();
    let kinds: Vec<_> = filter.kinds.iter().map(String::as_str).collect();
    let database = filter
        .database
        .map(|database| Value::from(database.to_string()));
    let actor = filter.actor.clone().map(|it| Value::from(it.0));

    let mut rest = Vec::new();
    let (from, lead, walks) = if let Some(database) = database {
        rest.extend(one_of("state IN (SELECT value FROM json_each(?))", &states));
        rest.extend(one_of("kind IN (SELECT value FROM json_each(?))", &kinds));
        rest.extend(actor.map(|it| ("actor = ?", it)));
        let from = "jobs INDEXED BY jobs_by_database";
        (from, "database = ?", vec![vec![database]])
    } else if !states.is_empty() {
        rest.extend(one_of("kind IN (SELECT value FROM json_each(?))", &kinds));
        rest.extend(actor.map(|it| ("actor = ?", it)));
        ("jobs INDEXED BY jobs_by_state", "state = ?", each(&states))
    } else if let Some(actor) = actor {
        rest.extend(one_of("kind IN (SELECT value FROM json_each(?))", &kinds));
        let from = "jobs INDEXED BY jobs_by_actor";
        (from, "actor = ?", vec![vec![actor]])
    } else if !kinds.is_empty() {
        ("jobs INDEXED BY jobs_by_kind", "kind = ?", each(&kinds))
    } else {
        ("jobs NOT INDEXED", "TRUE", vec![vec![]])
    };
    Listing {
        columns: COLUMNS,
        from,
        key: "enqueued",
        lead,
        walks,
        rest,
        within: first..=u64::MAX,
    }
}

/// A condition that lets several words through, unless none was asked for.
fn one_of(condition: &'static str, words: &[&str]) -> Option<(&'static str, Value)> {
    let list = serde_json::Value::from(words).to_string();
    (!words.is_empty()).then(|| (condition, Value::from(list)))
}

/// One walk per word; a word given twice is one.
fn each(words: &[&str]) -> Vec<Vec<Value>> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words
        .into_iter()
        .map(|it| vec![Value::from(it.to_owned())])
        .collect()
}

/// What a job is put together from.
const COLUMNS: &str = "enqueued, document, id, database, database_name, state, actor, request_id, \
                       sequence, created_at, started_at, finished_at";

/// What no column holds of a job, under the names that the rules have for it.
#[derive(Deserialize)]
struct Document {
    kind: JobKind,
    step: Option<RunningStep>,
    begun_steps: Vec<StepName>,
    finished_steps: Vec<StepName>,
    attempts: Vec<Attempt>,
    cancel_requested: bool,
    compensating: bool,
    undo_failures: u32,
    error: Option<JobError>,
    worker: Option<String>,
    result: Option<StepOutcome>,
    retry_at: Option<Timestamp>,
    deadline: Option<Timestamp>,
}

/// A job's [`Document`], as JSON; what is null is left out.
fn document(job: &Job) -> Result<String, StorageError> {
    let mut parts = serde_json::to_value(job)?;
    if let Some(parts) = parts.as_object_mut() {
        for name in [
            "enqueued",
            "id",
            "database",
            "database_name",
            "state",
            "actor",
            "request",
            "sequence",
            "created_at",
            "started_at",
            "finished_at",
        ] {
            parts.remove(name);
        }
        parts.retain(|_, part| !part.is_null());
    }
    Ok(parts.to_string())
}

fn job_in(row: &Row<'_>) -> Result<Job, StorageError> {
    let document = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
    let document: Document = serde_json::from_str(document)?;
    Ok(Job {
        id: read(row.get_ref(2)?)?,
        kind: document.kind,
        database: read(row.get_ref(3)?)?,
        database_name: read(row.get_ref(4)?)?,
        state: read(row.get_ref(5)?)?,
        step: document.step,
        begun_steps: document.begun_steps,
        finished_steps: document.finished_steps,
        attempts: document.attempts,
        cancel_requested: document.cancel_requested,
        compensating: document.compensating,
        undo_failures: document.undo_failures,
        error: document.error,
        worker: document.worker,
        result: document.result,
        retry_at: document.retry_at,
        deadline: document.deadline,
        actor: read(row.get_ref(6)?)?,
        request: read(row.get_ref(7)?)?,
        enqueued: sequence_in(row, 0)?,
        sequence: sequence_in(row, 8)?,
        created_at: read(row.get_ref(9)?)?,
        started_at: read_unless_null(row.get_ref(10)?)?,
        finished_at: read_unless_null(row.get_ref(11)?)?,
    })
}

/// Reads a text as it would be read in a document.
fn read<T: DeserializeOwned>(value: ValueRef<'_>) -> Result<T, StorageError> {
    let text = value.as_str().map_err(rusqlite::Error::from)?;
    let text = StrDeserializer::<serde_json::Error>::new(text);
    Ok(T::deserialize(text)?)
}

fn read_unless_null<T: DeserializeOwned>(value: ValueRef<'_>) -> Result<Option<T>, StorageError> {
    if value == ValueRef::Null {
        return Ok(None);
    }
    read(value).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::projections::control_db::listing::tests::assert_walks;
    use uuid::Uuid;

    #[test]
    fn the_most_selective_part_of_a_filter_chooses_the_index() {
        let mut filter = JobFilter::default();
        let walks = |filter: &JobFilter, index| assert_walks(&listing(filter, 1), index);
        walks(&filter, "INTEGER PRIMARY KEY");
        filter.kinds = vec!["create_database".into()];
        walks(&filter, "jobs_by_kind");
        filter.kinds.clear();
        filter.actor = Some(Actor::named("root"));
        walks(&filter, "jobs_by_actor");
        filter.states = vec![JobState::Queued];
        walks(&filter, "jobs_by_state");
        filter.database = Some(DatabaseId(Uuid::nil()));
        filter.states.clear();
        walks(&filter, "jobs_by_database");
    }
}
