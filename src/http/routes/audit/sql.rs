//! SQL on the history.
use crate::clock::Stopwatch;
use crate::data::{Access, Params, QueryOptions, QueryRequest};
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::forms;
use crate::http::extract::forms::SequenceNumber;
use crate::http::extract::{JsonBody, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::reply::Marked;
use crate::http::routes::sql::streams::{FormatWord, chosen_format, whole_in_format};
use crate::http::routes::sql::{Int64Word, OptionWords, QueryResult, ShapeWord};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// A question to the history.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    /// One SQL statement that reads.
    #[schema(example = "SELECT actor, count(*) FROM events GROUP BY actor")]
    sql: String,
    /// Values for its parameters: a list, or an object by name.
    #[serde(default)]
    #[schema(schema_with = schemas::parameters, example = json!([]))]
    params: Params,
    /// Most milliseconds that it may take; 5,000 when not given, at most 60,000.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    timeout_ms: Option<u64>,
    /// Rows after which the answer ends and says `truncated`. When not given, a result of more
    /// than 10,000 rows is refused.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 100_000)]
    max_rows: Option<u64>,
    /// How integers beyond ±(2^53 − 1) are written.
    #[serde(default)]
    int64: Int64Word,
    /// Rows as lists or as objects.
    #[serde(default)]
    shape: ShapeWord,
}

/// How far the history is to be.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQueryParameters {
    /// Answer once the log has reached this sequence.
    min_sequence: Option<SequenceNumber>,
    /// `json`, `ndjson` or `csv`; wins over `Accept`.
    #[param(inline)]
    format: Option<FormatWord>,
}

/// Ask the history in SQL
///
/// Read-only, on the tables `events`, `jobs`, `databases`, `labels` and `tokens`, under the rules
/// and bounds of all SQL. Two questions are answered at a time. The answer has seen every event
/// that was there when it was asked.
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
    caller.require(Scope::Audit)?;
    caller.require_all()?;
    let format = chosen_format(parameters.format, &headers)?;
    let words = OptionWords {
        timeout_ms: asked.timeout_ms,
        max_rows: asked.max_rows,
        int64: asked.int64,
        shape: asked.shape,
        ..OptionWords::default()
    };
    let request = QueryRequest {
        sql: asked.sql,
        params: asked.params,
        options: QueryOptions {
            format,
            ..words.into_options(Access::ReadOnly, gateway.data.config())?
        },
    };
    let stopwatch = Stopwatch::start();
    let present = gateway.listed_at(parameters.min_sequence).await?;
    let answer = gateway.data.query_history(&gateway.control_db, request);
    let answer = answer.await?;
    let response = whole_in_format(answer, format, stopwatch.elapsed());
    Ok(response.seen(present.head.sequence))
}
