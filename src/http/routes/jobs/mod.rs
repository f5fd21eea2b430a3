//! Jobs: listed, followed, cancelled, released.
use crate::clock::timestamp::Timestamp;
use crate::domain::command::Command;
use crate::domain::ids::{Actor, JobId, Sequence};
use crate::domain::job::{JobKind, JobState};
use crate::http::extract::fields::SequenceNumber;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{
    CommandParameters, KeyHeader, StreamHeader, list_parameters,
};
use crate::http::extract::span::Span;
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::event_stream::{self, last_event_id};
use crate::http::response::lists::{List, known_word, page_answer};
use crate::http::response::views::job::JobView;
use crate::http::response::views::plan::PlanView;
use crate::http::{Gateway, LONGEST_WAIT};
use crate::projections::control_db::{EventFilter, JobFilter};
use crate::service::caller::Caller;
use crate::service::commands::Outcome;
use crate::service::watch::FeedRequest;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// What ends a job for good.
const LAST_KINDS: &[&str] = &["job_succeeded", "job_failed", "job_cancelled"];

list_parameters! {
    /// Which jobs are wanted.
    JobListParameters {
        /// Only jobs in these states: `queued,running`.
        #[param(schema_with = schemas::job_states)]
        state: Option<String>,
        /// Only jobs of these kinds: `create_database`.
        #[param(schema_with = schemas::job_kinds)]
        kind: Option<String>,
        /// Only jobs of this database, by name or id.
        database: Option<String>,
        /// Only jobs requested by this actor: `token/ci`.
        actor: Option<String>,
        /// Only jobs created after this time.
        #[param(value_type = Option<String>, format = DateTime)]
        created_after: Option<Timestamp>,
    }
}

/// How a job is looked at.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobParameters {
    /// Wait up to this long for the job to end: `30` or `30s`, at most 60 s.
    #[param(schema_with = schemas::wait)]
    wait: Option<Span>,
    /// Wait until the event log has reached this sequence number, then answer.
    min_sequence: Option<SequenceNumber>,
}

/// List jobs
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(JobListParameters),
    responses((status = 200, body = List<JobView>)))]
pub(crate) async fn list_jobs(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<JobListParameters>,
) -> Result<Response, Problem> {
    let words = |text: Option<&String>| -> Vec<String> {
        let words = text.iter().flat_map(|it| it.split(','));
        words.map(|word| word.trim().to_owned()).collect()
    };
    let states = words(asked.state.as_ref()).into_iter();
    let states = states.map(|it| known_word("state", &it, JobState::ALL, JobState::as_str));
    let kinds = words(asked.kind.as_ref()).into_iter();
    let kinds = kinds.map(|it| known_word("kind", &it, JobKind::WORDS, |it| it));
    let paging = asked.paging()?;
    let filter = JobFilter {
        states: states.collect::<Result<_, _>>()?,
        kinds: kinds
            .map(|it| it.map(str::to_owned))
            .collect::<Result<_, _>>()?,
        database: None,
        actor: asked.actor.map(Actor),
        created_after: asked.created_after,
        order: paging.order,
    };
    let page = gateway.service.list_jobs(
        &caller,
        filter,
        asked.database.as_deref(),
        paging.min_sequence,
        paging.page,
    );
    let page = page.await?;
    let state = &gateway.service.control.current().state;
    let live = &gateway.service.progress;
    Ok(page_answer(page, |it| JobView::now(&it, state, live)))
}

/// Get a job, or wait for it
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
    let service = &gateway.service;
    let min_sequence = parameters.min_sequence.map(Sequence::from);
    service.present_at(min_sequence).await?;
    let mut job = service.visible_job(&caller, &id).await?;
    if let Some(Span(wait)) = parameters.wait {
        job = service.wait_for_job(job.id, wait.min(LONGEST_WAIT)).await?;
    }
    Ok(gateway.show_job(StatusCode::OK, &job))
}

/// Watch a job
///
/// Server-sent events from the job's first event on; the stream ends with its last event.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "The job's id"), StreamHeader),
    responses((status = 200, body = String, content_type = "text/event-stream"),
        (status = 204, description = "`Last-Event-ID` was the last event")))]
pub(crate) async fn watch_job(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    headers: HeaderMap,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let job = gateway.service.visible_job(&caller, &id).await?;
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
    let request = FeedRequest {
        filter,
        last_kinds: LAST_KINDS,
        silence: gateway.config.stream_silence,
    };
    let (feed, head) = gateway.service.watch(caller, request)?;
    Ok(event_stream::answer(feed, head))
}

/// Cancel a job
///
/// A queued job ends immediately; a running job stops at its next step and is rolled back.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "The job's id"), CommandParameters, KeyHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(crate) async fn cancel_job(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |job| Command::CancelJob { job };
    let hint = "only queued or running jobs can be cancelled; POST …/retry retries a stuck job";
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on_job(&id, &mutation, command, hint).await
}

/// Retry a job now
///
/// For jobs that are stuck or waiting for their next attempt.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs",
    params(("id" = String, Path, description = "The job's id"), CommandParameters, KeyHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView)))]
pub(crate) async fn retry_job(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |job| Command::ReleaseJob { job };
    let hint = "only jobs that are stuck or waiting to retry can be retried; otherwise send the \
         command again";
    let mutation = mutation.or_plan(parameters.dry_run);
    gateway.act_on_job(&id, &mutation, command, hint).await
}

impl Gateway {
    /// Answers a call that does one thing to one unfinished job; `hint` helps where it is over.
    async fn act_on_job(
        &self,
        id: &str,
        mutation: &Mutation<NoFields>,
        command: fn(JobId) -> Command,
        hint: &str,
    ) -> Result<Response, Problem> {
        let acted = self.service.act_on_job(&mutation.request, id, command);
        let outcome = acted.await.map_err(|error| {
            let problem = Problem::from(error);
            match problem.code() {
                ErrorCode::WrongState => problem.hint(hint),
                _ => problem,
            }
        });
        match outcome? {
            Outcome::Done(enqueued) => Ok(self.job_as_it_is(&enqueued)),
            Outcome::Preview(preview) => Ok(PlanView::answer(preview)),
        }
    }
}
