//! The history: events listed, single, and exported whole.

pub(crate) mod sse;
pub(crate) mod undo;

use self::sse::{GATHER, last_event_id, wants_stream};
use super::databases::ReadParameters;
use super::databases::body::Span;
use super::jobs::past_database;
use crate::clock::Deadline;
use crate::clock::timestamp::Timestamp;
use crate::domain::event::EventKind;
use crate::domain::ids::{Actor, JobId, Sequence};
use crate::domain::recorded::RecordedEvent;
use crate::domain::token::Scope;
use crate::event_log::canonical::export_line;
use crate::event_log::{EventLog, ReadError};
use crate::http::Gateway;
use crate::http::extract::forms::SequenceNumber;
use crate::http::extract::mutation::LONGEST_WAIT;
use crate::http::extract::{NoParameters, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::lists::{Direction, List, known_word, page_of_texts, page_request};
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::projections::control_db::{Cause, EventFilter};
use crate::shares::{Held, Pass, waiting};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// Events of an export that are in memory at once.
const EXPORT_CHUNK: usize = 100;

/// Which events are wanted.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ListParameters {
    /// Those behind this sequence.
    after: Option<SequenceNumber>,
    /// Those about this database, by name or id.
    database: Option<String>,
    /// Those of this kind: `database_ready`.
    #[param(schema_with = schemas::event_kind)]
    kind: Option<String>,
    /// Those that this actor caused: `root`, `token/ci`.
    actor: Option<String>,
    /// Those about this job.
    #[param(format = Uuid)]
    job: Option<String>,
    /// Those of this moment and later.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Those before this moment.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Most events of the page: 1 to 1000, else 50.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// The `next_cursor` of the page before.
    cursor: Option<String>,
    /// `asc` for the oldest first, `desc` for the newest.
    #[param(inline)]
    order: Option<Direction>,
    /// Answer once the log has reached this sequence.
    min_sequence: Option<SequenceNumber>,
    /// Where there are none, answer once there are, at the latest after this time: `30` or
    /// `30s`, at most 60 s.
    #[param(schema_with = schemas::wait)]
    wait: Option<Span>,
}

/// Something that happened; `hash` covers the rest and the hash before it.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(super) struct EventView {
    /// Its place in the whole log: the first is 1, and none is left out.
    sequence: u64,
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
    #[schema(example = "database_ready")]
    kind: String,
    /// What it is kept and read with: `forge` or `database/<id>`.
    stream: String,
    /// The database's id.
    database: Option<String>,
    job: Option<String>,
    #[schema(example = "token/ci")]
    actor: String,
    request_id: String,
    /// The request at the beginning of the chain of causes.
    correlation: String,
    /// What was decided and stored together.
    commit: String,
    /// The event that caused it.
    causation: Option<u64>,
    schema_version: u16,
    #[schema(value_type = Object)]
    data: serde_json::Value,
    previous_hash: String,
    hash: String,
}

/// The end of the log.
#[derive(Serialize, ToSchema)]
pub(super) struct Head {
    sequence: u64,
    /// SHA-256 over the whole history, in hex.
    hash: String,
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
}

/// List events, or watch them
///
/// By ascending sequence. Needs the scope `audit` on every database, or on the one that
/// `database` names. With `Accept: text/event-stream` the answer goes on for ever: what happens
/// next, or what is behind `after`, or behind `Last-Event-ID`; a token that covers some databases
/// sees those.
#[utoipa::path(get, path = "/v1/events", tag = "history", params(ListParameters),
    responses((status = 200, content(
        (List<EventView> = "application/json"), (String = "text/event-stream")))))]
pub(super) async fn list_events(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    StrictQuery(asked): StrictQuery<ListParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    if wants_stream(&headers) {
        return watch(&gateway, caller, &headers, asked).await;
    }
    if asked.database.is_none() {
        caller.require_all()?;
    }
    let request = page_request(asked.limit, asked.cursor.clone())?;
    let wait = asked.wait.map(|Span(wait)| wait.min(LONGEST_WAIT));
    if wait.is_some() && request.cursor.is_some() {
        return Err(Problem::invalid(
            "`wait` goes with `after`, not with `cursor`.",
        ));
    }
    let deadline = Deadline::after(wait.unwrap_or_default());
    let mut changes = gateway.control.changes();
    let mut filter = filter(&gateway, &caller, asked).await?;
    loop {
        changes.borrow_and_update();
        gateway.listed_at(None).await?;
        let page = gateway
            .control_db
            .list_events(filter.clone(), request.clone())
            .await?;
        let is_awaited = wait.is_some() && page.items.is_empty();
        if !is_awaited || !gateway.sees_change(&mut changes, deadline).await {
            return Ok(page_of_texts(page, |event| &event.json));
        }
        // Many that wait beside many writes look a bounded number of times.
        waiting(tokio::time::sleep(GATHER)).await;
        filter.after = filter.after.max(Some(page.as_of));
    }
}

/// The answer that goes on.
async fn watch(
    gateway: &Arc<Gateway>,
    caller: Caller,
    headers: &HeaderMap,
    asked: ListParameters,
) -> Result<Response, Problem> {
    let of_pages = asked.limit.is_some() || asked.cursor.is_some() || asked.wait.is_some();
    if of_pages || matches!(asked.order, Some(Direction::Desc)) {
        return Err(Problem::invalid(
            "A stream of events has no pages: it takes no `limit`, `cursor`, `wait` or `order=desc`.",
        ));
    }
    let mut filter = filter(gateway, &caller, asked).await?;
    // A browser that comes back sends the parameters that it came with first.
    filter.after = last_event_id(headers)?.or(filter.after);
    gateway.stream(caller, filter, &[])
}

async fn filter(
    gateway: &Gateway,
    caller: &Caller,
    asked: ListParameters,
) -> Result<EventFilter, Problem> {
    let kind = asked
        .kind
        .as_deref()
        .map(|word| known_word("kind", word, EventKind::ALL, EventKind::as_str));
    let job = asked.job.as_deref().map(str::parse::<JobId>).transpose();
    let job = job.map_err(|_| Problem::invalid("`job` is no id: ids are UUIDs."))?;
    let present = gateway.listed_at(asked.min_sequence).await?;
    let database = match &asked.database {
        // A database that is gone has no name by which it could be covered.
        Some(reference) if present.state.find_database(reference).is_some() => {
            Some(past_database(caller, &present.state, reference)?)
        }
        Some(reference) => {
            caller.require_all()?;
            Some(past_database(caller, &present.state, reference)?)
        }
        None => None,
    };
    Ok(EventFilter {
        after: asked.after.map(|it| Sequence(it.0)),
        database,
        kind: kind.transpose()?,
        actor: asked.actor.map(Actor),
        job,
        since: asked.since,
        until: asked.until,
        order: asked.order.into(),
    })
}

/// An event that caused another one.
#[derive(Serialize, ToSchema)]
#[schema(as = Cause)]
pub(super) struct CauseView {
    sequence: u64,
    #[schema(format = DateTime)]
    time: String,
    #[schema(example = "job_enqueued")]
    kind: String,
    actor: String,
    request_id: String,
    /// The event that caused it in turn; null at the beginning.
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

/// An event with what caused it.
#[derive(ToSchema)]
#[schema(as = CausedEvent)]
#[expect(
    dead_code,
    reason = "describes an event's own text with one field more"
)]
pub(super) struct CausedEventView {
    #[serde(flatten)]
    event: EventView,
    /// The event that caused it, the one that caused that, and so on, at most 32. The last one's
    /// `request_id` is the request that began it all, its `actor` whoever sent that.
    causes: Vec<CauseView>,
}

/// Look at an event, and at what caused it
#[utoipa::path(get, path = "/v1/events/{sequence}", tag = "history",
    params(("sequence" = u64, Path, description = "Its place in the log"), ReadParameters),
    responses((status = 200, body = CausedEventView)))]
pub(super) async fn get_event(
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
        .hint("GET /v1/audit/head has the last one's sequence")
    };
    let sequence = reference.parse().map(Sequence).map_err(|_| none())?;
    let present = gateway.listed_at(parameters.min_sequence).await?;
    let event = gateway.control_db.event(sequence).await?;
    let event = event.ok_or_else(none)?;
    let causes = gateway.control_db.causes(sequence).await?;
    let causes: Vec<_> = causes.into_iter().map(CauseView::from).collect();
    let causes = serde_json::to_string(&causes).map_err(Problem::internal)?;
    // The event's own text is kept as it is, since its hash is over that.
    let event = event.json.strip_suffix('}').unwrap_or(&event.json);
    let body = format!("{event},\"causes\":{causes}}}");
    let answer = reply::json_text(StatusCode::OK, body.into_bytes());
    Ok(answer.etag(sequence).seen(present.head.sequence))
}

/// The end of the log
///
/// Its hash covers the whole history: kept elsewhere, it proves later that nothing was changed.
#[utoipa::path(get, path = "/v1/audit/head", tag = "history", params(ReadParameters),
    responses((status = 200, body = Head)))]
pub(super) async fn get_head(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    let head = gateway.present_at(parameters.min_sequence).await?.head;
    let body = Head {
        sequence: head.sequence.0,
        hash: hex::encode(head.hash),
        time: head.time,
    };
    Ok(reply::json(StatusCode::OK, &body).seen(head.sequence))
}

/// Export the history
///
/// One event a line, from the first to the last; `dbforge replay` folds it, and twenty lines of
/// any language verify it.
#[utoipa::path(get, path = "/v1/audit/export", tag = "history",
    responses((status = 200, body = String, content_type = "application/x-ndjson")))]
pub(super) async fn export_events(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    caller.require_all()?;
    let end = gateway.control.present().head.sequence;
    let log = gateway.control.log().clone();
    let pass = Pass::here().ok_or_else(|| Problem::internal("an export has no pass"))?;
    let lines = stream::try_unfold(Sequence(0), move |after| {
        let (log, pass) = (log.clone(), pass.clone());
        async move {
            let ended = pass.account().ended().clone();
            tokio::select! {
                read = read_lines(log, after, end, pass) => read,
                () = ended.cancelled() => Err(ReadError {
                    after,
                    reason: "the token is no longer accepted".to_owned(),
                }),
            }
        }
    });
    let ndjson = [(header::CONTENT_TYPE, "application/x-ndjson")];
    let response = (ndjson, Body::from_stream(lines)).into_response();
    Ok(response.seen(end))
}

/// The next lines of an export and where they end; none once `end` is reached.
async fn read_lines(
    log: Arc<dyn EventLog>,
    after: Sequence,
    end: Sequence,
    pass: Pass,
) -> Result<Option<(Bytes, Sequence)>, ReadError> {
    let left = usize::try_from(end.0.saturating_sub(after.0)).unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(None);
    }
    let limit = left.min(EXPORT_CHUNK);
    let read = move || {
        let events = log.read_after(after, limit)?;
        let last = events.last().map(|it| it.sequence);
        Ok((lines(&events), last))
    };
    let failed = |reason: String| {
        tracing::error!(reason, "an export broke off");
        ReadError { after, reason }
    };
    let read: Result<_, ReadError> = tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let (lines, last) = read.map_err(|error| failed(error.reason))?;
    let last = last.ok_or_else(|| failed("the log is shorter than it was".into()))?;
    let mut held = Held::of(pass);
    held.grow_in_time(lines.len()).await;
    Ok(Some((held.keep(lines), last)))
}

fn lines(events: &[RecordedEvent]) -> Vec<u8> {
    let mut text = String::new();
    for event in events {
        text.push_str(&export_line(event));
        text.push('\n');
    }
    text.into()
}
