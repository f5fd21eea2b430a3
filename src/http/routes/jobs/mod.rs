//! Jobs: listed, followed, cancelled, released.

pub(crate) mod view;

use self::view::JobView;
use super::databases::CommandParameters;
use super::databases::body::Span;
use super::events::sse::last_event_id;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::Command;
use crate::domain::ids::{Actor, DatabaseId, JobId};
use crate::domain::job::{Job, JobKind, JobState};
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::forms::SequenceNumber;
use crate::http::extract::mutation::{LONGEST_WAIT, Mutation};
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::job_answers::{mark_replayed, no_job};
use crate::http::response::lists::{
    Direction, List, known_word, page_answer, page_request, visible_page,
};
use crate::projections::control_db::{EventFilter, JobFilter};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// What ends a job for good.
const LAST_KINDS: &[&str] = &["job_succeeded", "job_failed", "job_cancelled"];

/// Which jobs are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParameters {
    /// Those in one of these states: `queued,running`.
    #[param(schema_with = schemas::job_states)]
    state: Option<String>,
    /// Those of one of these kinds: `create_database`.
    #[param(schema_with = schemas::job_kinds)]
    kind: Option<String>,
    /// Those of this database, by name or id.
    database: Option<String>,
    /// Those that this actor asked for: `token/ci`.
    actor: Option<String>,
    /// Those created later than this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    created_after: Option<Timestamp>,
    /// Most jobs of the page: 1 to 1000, else 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `asc` for the oldest first, `desc` for the newest.
    #[param(inline)]
    order: Option<Direction>,
    /// Answer once the log has reached this sequence.
    min_sequence: Option<SequenceNumber>,
}

/// How a job is looked at.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobParameters {
    /// Answer once it has ended, at the latest after this time: `30` or `30s`, at most 60 s.
    #[param(schema_with = schemas::wait)]
    wait: Option<Span>,
    /// Answer once the log has reached this sequence.
    min_sequence: Option<SequenceNumber>,
}

/// List jobs
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(ListParameters),
    responses((status = 200, body = List<JobView>)))]
pub(crate) async fn list_jobs(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<ListParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let words = |text: Option<&String>| -> Vec<String> {
        let words = text.iter().flat_map(|it| it.split(','));
        words.map(|it| it.trim().to_owned()).collect()
    };
    let states = words(asked.state.as_ref()).into_iter();
    let states = states.map(|it| known_word("state", &it, JobState::ALL, JobState::as_str));
    let kinds = words(asked.kind.as_ref()).into_iter();
    let kinds = kinds.map(|it| known_word("kind", &it, JobKind::WORDS, |it| it));
    let mut filter = JobFilter {
        states: states.collect::<Result<_, _>>()?,
        kinds: kinds
            .map(|it| it.map(str::to_owned))
            .collect::<Result<_, _>>()?,
        database: None,
        actor: asked.actor.map(Actor),
        created_after: asked.created_after,
        order: asked.order.into(),
    };
    let request = page_request(asked.limit, asked.cursor)?;
    let present = gateway.listed_at(asked.min_sequence).await?;
    if let Some(reference) = &asked.database {
        filter.database = Some(past_database(&caller, &present.state, reference)?);
    }
    let page = visible_page(
        request,
        |it: &Job| caller.covers(it.database_name.as_str()),
        |request| gateway.control_db.list_jobs(filter.clone(), request),
    )
    .await?;
    let state = &gateway.control.present().state;
    Ok(page_answer(page, |it| {
        JobView::now(&it, state, &gateway.live)
    }))
}

/// Look at a job, or wait for its end
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The job's id"), JobParameters),
    responses((status = 200, body = JobView)))]
pub(crate) async fn get_job(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<JobParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    gateway.present_at(parameters.min_sequence).await?;
    let mut job = gateway.visible_job(&caller, &id).await?;
    if let Some(Span(wait)) = parameters.wait {
        job = gateway.wait_for_job(job.id, wait.min(LONGEST_WAIT)).await?;
    }
    Ok(gateway.show_job(StatusCode::OK, &job))
}

/// Watch a job
///
/// Its events from the first on, as server-sent events; the stream ends with the job's last one.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 204, description = "`Last-Event-ID` was its last event")))]
pub(crate) async fn watch_job(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    headers: HeaderMap,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let job = gateway.visible_job(&caller, &id).await?;
    let seen = last_event_id(&headers)?.unwrap_or_default();
    if job.state.is_final() && seen >= job.sequence {
        // Told by this, a browser does not come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let filter = EventFilter {
        job: Some(job.id),
        after: Some(seen),
        ..EventFilter::default()
    };
    gateway.stream(caller, filter, LAST_KINDS)
}

/// Cancel a job
///
/// One that waits ends at once; one that runs ends at its next step, and what it did is undone.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "The job's id"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(crate) async fn cancel_job(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |job| Command::CancelJob { job };
    let hint =
        "only a job that waits or runs can be cancelled; POST …/retry lets a stuck one go on";
    let act = gateway.act_on_job(&id, &mutation, &parameters, command, hint);
    act.await
}

/// Let a job try again now
///
/// One that is stuck, or that waits for its next try.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs",
    params(("id" = String, Path, description = "The job's id"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(crate) async fn retry_job(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |job| Command::ReleaseJob { job };
    let hint = "only a job that is stuck, or waits for its next try, can be tried again; send the \
         command that made this one again";
    let act = gateway.act_on_job(&id, &mutation, &parameters, command, hint);
    act.await
}

impl Gateway {
    /// Answers a call that does one thing to one unfinished job; `hint` helps where it is over.
    async fn act_on_job(
        &self,
        id: &str,
        mutation: &Mutation<NoFields>,
        parameters: &CommandParameters,
        command: fn(JobId) -> Command,
        hint: &str,
    ) -> Result<Response, Problem> {
        mutation.caller.require(Scope::Manage)?;
        let job = self.visible_job(&mutation.caller, id).await?;
        let command = command(job.id);
        let done = if parameters.dry_run.is_some() {
            self.answer_with_plan(mutation, &command).map(Err)
        } else {
            self.carry_out(mutation, |_| Ok(command)).await.map(Ok)
        };
        let accepted = match done {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(plan)) => return Ok(plan),
            // The rules know unfinished jobs alone, and this one was there: it has ended, a while
            // ago or just now.
            Err(problem) if problem.code() == ErrorCode::JobNotFound => {
                let job = self.known_job(job.id).await?;
                let detail = format!("Job {} is {} already.", job.id, job.state.as_str());
                return Err(Problem::new(ErrorCode::WrongState, detail).hint(hint));
            }
            Err(problem) if problem.code() == ErrorCode::WrongState => {
                return Err(problem.hint(hint));
            }
            Err(problem) => return Err(problem),
        };
        let job = self.known_job(job.id).await?;
        let answer = if job.state.is_final() {
            self.show_job(StatusCode::OK, &job)
        } else {
            self.accepted_answer(&job)
        };
        Ok(mark_replayed(answer, &accepted))
    }

    /// The job that a path means, where the caller may see its database.
    async fn visible_job(&self, caller: &Caller, id: &str) -> Result<Arc<Job>, Problem> {
        let id: JobId = id.parse().map_err(|_| no_job(id))?;
        let job = self.known_job(id).await?;
        caller.require_name(job.database_name.as_str())?;
        Ok(job)
    }
}

/// The database that a filter means. By its id it may be one that is gone; then only what the
/// list itself shows can tell whether the caller may see it.
pub(crate) fn past_database(
    caller: &Caller,
    state: &ForgeState,
    reference: &str,
) -> Result<DatabaseId, Problem> {
    match (state.find_database(reference), reference.parse()) {
        (None, Ok(id)) => Ok(id),
        _ => caller.find_database(state, reference).map(|it| it.id),
    }
}
