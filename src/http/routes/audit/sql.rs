//! SQL on the history.
use crate::clock::Stopwatch;
use crate::data::QueryRequest;
use crate::domain::ids::Sequence;
use crate::http::Gateway;
use crate::http::extract::answer_form::chosen_format;
use crate::http::extract::fields::SequenceNumber;
use crate::http::extract::sql::AuditQuery;
use crate::http::extract::words::FormatWord;
use crate::http::extract::{JsonBody, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply::Marked;
use crate::http::response::rows::{self, QueryResult};
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// How far the history is to be.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQueryParameters {
    /// Wait until the event log has reached this sequence number, then answer.
    min_sequence: Option<SequenceNumber>,
    /// `json`, `ndjson` or `csv`; takes precedence over `Accept`.
    #[param(inline)]
    format: Option<FormatWord>,
}

/// Query the history with SQL
///
/// Read-only, on the tables `events`, `jobs`, `databases`, `labels` and `tokens`, with the usual SQL
/// limits. At most two queries run at a time. The result includes every event up to the request.
#[utoipa::path(post, path = "/v1/audit/query", tag = "history",
    params(AuditQueryParameters), request_body = AuditQuery,
    responses((status = 200, content(
        (QueryResult = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv")))))]
pub(crate) async fn query_history(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(parameters): StrictQuery<AuditQueryParameters>,
    headers: HeaderMap,
    JsonBody(asked): JsonBody<AuditQuery>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let format = chosen_format(parameters.format, &headers)?;
    let mut request = QueryRequest::from(asked);
    request.options.format = format;
    let min_sequence = parameters.min_sequence.map(Sequence::from);
    let answer = gateway
        .service
        .query_history(&caller, min_sequence, request);
    let (answer, seen) = answer.await?;
    Ok(rows::whole(answer, format, since).seen(seen))
}
