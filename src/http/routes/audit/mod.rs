//! What proves and searches the history: its head, its export, checkpoints, SQL on it.

pub(crate) mod checkpoints;
pub(crate) mod sql;

use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::Sequence;
use crate::domain::token::Scope;
use crate::event_log::canonical::export_line;
use crate::event_log::{EventLog, ReadError};
use crate::http::Gateway;
use crate::http::extract::parameters::ReadParameters;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply::{self, Marked};
use crate::service::caller::Caller;
use crate::shares::{Held, Pass};
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Events of an export that are in memory at once.
const EXPORT_CHUNK: usize = 100;

/// Head of the event log.
#[derive(Serialize, ToSchema)]
#[schema(as = Head)]
pub(crate) struct HeadView {
    sequence: u64,
    /// SHA-256 over the whole history, in hex.
    hash: String,
    #[schema(value_type = String, format = DateTime)]
    time: Timestamp,
}

/// Get the head of the event log
///
/// Its hash covers the whole history. Stored elsewhere, it proves later that nothing was changed.
#[utoipa::path(get, path = "/v1/audit/head", tag = "history", params(ReadParameters),
    responses((status = 200, body = HeadView)))]
pub(crate) async fn get_head(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    let head = gateway.service.present_at(parameters.min_sequence());
    let head = head.await?.head;
    let body = HeadView {
        sequence: head.sequence.0,
        hash: hex::encode(head.hash),
        time: head.time,
    };
    Ok(reply::json(StatusCode::OK, &body).seen(head.sequence))
}

/// Export the history
///
/// One event per line, from the first to the last. `dbforge replay` rebuilds the state from it and
/// verifies it.
#[utoipa::path(get, path = "/v1/audit/export", tag = "history",
    responses((status = 200, body = String, content_type = "application/x-ndjson")))]
pub(crate) async fn export_events(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Audit)?;
    caller.require_all()?;
    let end = gateway.service.control.current().head.sequence;
    let log = gateway.service.control.log().clone();
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
        tracing::error!(reason, "export failed");
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
