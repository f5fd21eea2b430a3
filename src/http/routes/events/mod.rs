//! Events: listed, watched, looked at with their causes.

pub(crate) mod undo;

use crate::clock::timestamp::Timestamp;
use crate::domain::event::EventKind;
use crate::domain::ids::{Actor, JobId, Sequence};
use crate::domain::token::Scope;
use crate::http::extract::fields::SequenceNumber;
use crate::http::extract::parameters::{ReadParameters, StreamHeader, list_parameters};
use crate::http::extract::span::Span;
use crate::http::extract::words::Direction;
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::openapi::event_data::EventData;
use crate::http::openapi::{schemas, words};
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::event_stream::{self, last_event_id, wants_stream};
use crate::http::response::lists::{List, known_word, page_of_texts};
use crate::http::response::reply::{self, Marked};
use crate::http::{Gateway, LONGEST_WAIT};
use crate::projections::control_db::{Cause, EventFilter};
use crate::service::caller::Caller;
use crate::service::watch::FeedRequest;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

list_parameters! {
    /// Which events are wanted.
    EventListParameters {
        /// Only events after this sequence number.
        after: Option<SequenceNumber>,
        /// Only events about this database, by name or id.
        database: Option<String>,
        /// Only events of this kind: `database_ready`.
        #[param(schema_with = schemas::event_kind)]
        kind: Option<String>,
        /// Only events caused by this actor: `root`, `token/ci`.
        actor: Option<String>,
        /// Only events about this job.
        #[param(format = Uuid)]
        job: Option<String>,
        /// Only events at or after this time.
        #[param(value_type = Option<String>, format = DateTime)]
        since: Option<Timestamp>,
        /// Only events before this time.
        #[param(value_type = Option<String>, format = DateTime)]
        until: Option<Timestamp>,
    } {
        /// If there are no events, wait up to this long for the first: `30` or `30s`, at most
        /// 60 s.
        #[param(schema_with = schemas::wait)]
        wait: Option<Span>,
    }
}

/// An event. `hash` covers all its fields and the previous hash.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct EventView {
    /// Position in the event log, from 1, without gaps.
    sequence: u64,
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    #[schema(value_type = words::EventKind, example = "database_ready")]
    kind: String,
    /// `forge` or `database/<id>`.
    stream: String,
    /// Database id.
    database: Option<String>,
    job: Option<String>,
    #[schema(example = "token/ci")]
    actor: String,
    request_id: String,
    /// Id of the request at the start of the causal chain.
    correlation: String,
    /// Id of the commit; its events were stored atomically.
    commit: String,
    /// Sequence number of the event that caused it.
    causation: Option<u64>,
    schema_version: u16,
    #[schema(value_type = EventData)]
    data: serde_json::Value,
    previous_hash: String,
    hash: String,
}

/// List or watch events
///
/// Requires scope `audit` on all databases, or on the one given in `database`. With
/// `Accept: text/event-stream`, streams events from now on, or after `after` or `Last-Event-ID`;
/// tokens limited to some databases receive only their events.
#[utoipa::path(get, path = "/v1/events", tag = "history", params(EventListParameters, StreamHeader),
    responses((status = 200, content(
        (List<EventView> = "application/json"), (String = "text/event-stream")))))]
pub(crate) async fn list_events(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    StrictQuery(asked): StrictQuery<EventListParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    let seen = last_event_id(&headers)?;
    if wants_stream(&headers) {
        return watch(&gateway, caller, seen, asked).await;
    }
    if asked.database.is_none() {
        caller.require_all()?;
    }
    let paging = asked.paging()?;
    let wait = asked.wait.map(|Span(wait)| wait.min(LONGEST_WAIT));
    if wait.is_some() && paging.page.cursor.is_some() {
        return Err(Problem::invalid(
            "`wait` cannot be combined with `cursor`; use `after`.",
        ));
    }
    let filter = filter(&gateway, &caller, asked).await?;
    let page = gateway.service.list_events(filter, paging.page, wait);
    Ok(page_of_texts(page.await?, |event| &event.json))
}

/// The answer that goes on.
async fn watch(
    gateway: &Arc<Gateway>,
    caller: Caller,
    seen: Option<Sequence>,
    asked: EventListParameters,
) -> Result<Response, Problem> {
    let of_pages = asked.limit.is_some() || asked.cursor.is_some() || asked.wait.is_some();
    if of_pages || matches!(asked.order, Some(Direction::Desc)) {
        return Err(Problem::invalid(
            "Event streams do not support `limit`, `cursor`, `wait` or `order=desc`.",
        ));
    }
    let mut filter = filter(gateway, &caller, asked).await?;
    // A browser that comes back sends the parameters that it came with first.
    filter.after = seen.or(filter.after);
    let request = FeedRequest {
        filter,
        last_kinds: &[],
        silence: gateway.config.stream_silence,
    };
    let (feed, head) = gateway.service.watch(caller, request)?;
    Ok(event_stream::answer(feed, head))
}

async fn filter(
    gateway: &Gateway,
    caller: &Caller,
    asked: EventListParameters,
) -> Result<EventFilter, Problem> {
    let kind = asked
        .kind
        .as_deref()
        .map(|word| known_word("kind", word, EventKind::ALL, EventKind::as_str));
    let job = asked.job.as_deref().map(str::parse::<JobId>).transpose();
    let job = job.map_err(|_| Problem::invalid("`job` must be a job id (UUID)."))?;
    let filter = EventFilter {
        after: asked.after.map(Sequence::from),
        database: None,
        kind: kind.transpose()?,
        actor: asked.actor.map(Actor),
        job,
        since: asked.since,
        until: asked.until,
        order: asked.order.unwrap_or_default().into(),
    };
    let (database, min_sequence) = (asked.database.as_deref(), asked.min_sequence);
    let min_sequence = min_sequence.map(Sequence::from);
    let resolved = gateway
        .service
        .event_filter(caller, filter, database, min_sequence);
    Ok(resolved.await?)
}

/// An event in the causal chain.
#[derive(Serialize, ToSchema)]
#[schema(as = Cause)]
pub(crate) struct CauseView {
    sequence: u64,
    #[schema(format = DateTime)]
    time: String,
    #[schema(value_type = words::EventKind, example = "job_enqueued")]
    kind: String,
    actor: String,
    request_id: String,
    /// Sequence number of its own cause; null at the start.
    #[schema(required = true)]
    causation: Option<u64>,
}

impl From<Cause> for CauseView {
    fn from(cause: Cause) -> Self {
        Self {
            sequence: cause.sequence.0,
            time: cause.time,
            kind: cause.kind,
            actor: cause.actor,
            request_id: cause.request_id,
            causation: cause.causation.map(|it| it.0),
        }
    }
}

/// An event with its causal chain.
#[derive(ToSchema)]
#[schema(as = CausedEvent)]
#[expect(
    dead_code,
    reason = "describes an event's own text with one field more"
)]
pub(crate) struct CausedEventView {
    #[serde(flatten)]
    event: EventView,
    /// The event that caused it, the one that caused that, and so on, at most 32. The last one's
    /// `request_id` is the request that began it all, its `actor` the sender of that request.
    causes: Vec<CauseView>,
}

/// Look at an event, and at what caused it
#[utoipa::path(get, path = "/v1/events/{sequence}", tag = "history",
    params(("sequence" = u64, Path, description = "Sequence number of the event"), ReadParameters),
    responses((status = 200, body = CausedEventView)))]
pub(crate) async fn get_event(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    caller.require_all()?;
    let none = || {
        Problem::new(
            ErrorCode::EventNotFound,
            format!("There is no event `{reference}`."),
        )
        .hint("GET /v1/audit/head returns the last sequence number")
    };
    let sequence = reference.parse().map(Sequence).map_err(|_| none())?;
    let found = gateway
        .service
        .find_event(sequence, parameters.min_sequence());
    let (current, event) = found.await?;
    let (event, causes) = event.ok_or_else(none)?;
    let causes: Vec<_> = causes.into_iter().map(CauseView::from).collect();
    let causes = serde_json::to_string(&causes).map_err(Problem::internal)?;
    // The event's own text is kept as it is, since its hash is over that.
    let event = event.json.strip_suffix('}').unwrap_or(&event.json);
    let body = format!("{event},\"causes\":{causes}}}");
    let answer = reply::json_text(StatusCode::OK, body.into_bytes());
    Ok(answer.etag(sequence).seen(current.head.sequence))
}
