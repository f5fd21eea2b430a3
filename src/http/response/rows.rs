//! Answers to SQL: the engine's bytes in the format that is wanted; whole, or as they are read.
use super::error::ProblemBody;
use super::pieces::Pieces;
use super::reply;
use crate::clock::{Milliseconds, Stopwatch};
use crate::data::{Format, QueryAnswer, QueryError};
use crate::domain::ids::RequestId;
use crate::http::Gateway;
use crate::http::response::error::Problem;
use crate::service::sql::LivingRows;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Whether an answer was cut at `max_rows`, where its body has no place to say so.
const TRUNCATED: HeaderName = HeaderName::from_static("x-dbforge-truncated");
/// Answers of no more bytes than this are copied into one piece, which is sent faster.
const COPIED_BYTES: usize = 64 << 10;

/// Result of a SQL statement.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct QueryResult {
    columns: Vec<QueryColumn>,
    /// Arrays in column order, or objects.
    #[schema(schema_with = crate::http::openapi::schemas::rows)]
    rows: (),
    row_count: u64,
    rows_affected: u64,
    #[schema(required = true)]
    last_insert_rowid: Option<i64>,
    /// Whether rows were cut off at `max_rows`.
    truncated: bool,
    elapsed_ms: f64,
}

/// One column of a result.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
struct QueryColumn {
    name: String,
    /// Declared type; null for expressions.
    #[schema(required = true)]
    r#type: Option<String>,
}

/// Results in the order of the statements.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct BatchResult {
    results: Vec<QueryResult>,
}

/// Result of a script.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScriptResult {
    /// Number of statements that ran.
    statements: usize,
    /// Rows inserted, updated or deleted.
    rows_affected: u64,
    elapsed_ms: f64,
}

/// A whole answer in its format.
pub(crate) fn whole(answer: QueryAnswer, format: Format, since: Stopwatch) -> Response {
    let content_type = content_type(format);
    let mut response = timed(answer.body, content_type, answer.elapsed, since);
    if format != Format::Json {
        tell_truncated(&mut response, answer.truncated);
    }
    response
}

/// Says beside a body whether there were more rows.
pub(crate) fn tell_truncated(response: &mut Response, is_cut: bool) {
    let said = if is_cut { "true" } else { "false" };
    let headers = response.headers_mut();
    headers.insert(TRUNCATED, HeaderValue::from_static(said));
}

/// The answers of a batch.
pub(crate) fn batch(answers: Vec<QueryAnswer>, since: Stopwatch) -> Response {
    let took: Duration = answers.iter().map(|answer| answer.elapsed).sum();
    let body = results(answers);
    timed(body, content_type(Format::Json), took, since)
}

/// What a script did.
pub(crate) fn script(answers: &[QueryAnswer], since: Stopwatch) -> Response {
    let result = ScriptResult {
        statements: answers.len(),
        rows_affected: answers.iter().map(|answer| answer.rows_affected).sum(),
        elapsed_ms: Milliseconds(since.elapsed()).number(),
    };
    reply::json(StatusCode::OK, &result)
}

/// An answer with how long it waited and how long it took.
pub(crate) fn timed(
    body: impl Into<Body>,
    content_type: HeaderValue,
    took: Duration,
    since: Stopwatch,
) -> Response {
    let timing = format!(
        "queue;dur={}, exec;dur={}",
        Milliseconds(since.elapsed().saturating_sub(took)),
        Milliseconds(took),
    );
    let timing = HeaderValue::try_from(timing).expect("numbers are visible ASCII");
    let headers = [
        (header::CONTENT_TYPE, content_type),
        (SERVER_TIMING, timing),
    ];
    (headers, body.into()).into_response()
}

pub(crate) fn content_type(format: Format) -> HeaderValue {
    HeaderValue::from_static(match format {
        Format::Json => "application/json",
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Array => "application/json",
        Format::Sql => "application/sql",
    })
}

/// The answers one after another, as the engine wrote them. Small ones are sent as one piece, large
/// ones as they are: a copy would need as much memory again.
fn results(answers: Vec<QueryAnswer>) -> Body {
    const HEAD: &[u8] = br#"{"results":["#;
    const TAIL: &[u8] = b"]}";
    let bytes: usize = answers.iter().map(|answer| answer.body.len() + 1).sum();
    let commas = std::iter::once(&b""[..]).chain(std::iter::repeat(&b","[..]));
    let answers = answers.into_iter().zip(commas);
    let head = std::iter::once(Bytes::from_static(HEAD));
    let tail = std::iter::once(Bytes::from_static(TAIL));
    let pieces = answers.flat_map(|(answer, comma)| [Bytes::from_static(comma), answer.body]);
    let pieces = head.chain(pieces).chain(tail);
    if bytes > COPIED_BYTES {
        return Body::new(Pieces::from_iter(pieces));
    }
    let mut out = Vec::with_capacity(HEAD.len() + bytes + TAIL.len());
    pieces.for_each(|piece| out.extend_from_slice(&piece));
    out.into()
}

/// Rows that are sent as they are read. Where `tells_errors`, an error is the last line; elsewhere
/// nothing can be told from a row, and the body breaks off instead: its last chunk does not come.
pub(crate) fn streamed(
    gateway: &Arc<Gateway>,
    rows: LivingRows,
    format: Format,
    tells_errors: bool,
    request: RequestId,
) -> Response {
    let sending = Sending {
        rows,
        tells_errors,
        is_at_line_start: true,
        gateway: gateway.clone(),
        request,
    };
    // Proxies that gather answers would hold rows back.
    let unbuffered = HeaderName::from_static("x-accel-buffering");
    let headers = [
        (header::CONTENT_TYPE, content_type(format)),
        (unbuffered, HeaderValue::from_static("no")),
    ];
    let pieces = stream::unfold(sending, |mut sending| async {
        Some((sending.next().await?, sending))
    });
    (headers, Body::from_stream(pieces)).into_response()
}

/// A stream of rows on its way to the client.
struct Sending {
    rows: LivingRows,
    tells_errors: bool,
    is_at_line_start: bool,
    gateway: Arc<Gateway>,
    request: RequestId,
}

/// The stream ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("row stream aborted: {0}")]
struct RowsBrokeOff(QueryError);

/// The line of NDJSON that says why there are no more.
#[derive(Serialize)]
struct ErrorLine {
    error: ProblemBody,
}

impl Sending {
    async fn next(&mut self) -> Option<Result<Bytes, RowsBrokeOff>> {
        match self.rows.next().await? {
            Ok(piece) => {
                self.is_at_line_start = piece.ends_with(b"\n");
                Some(Ok(piece))
            }
            Err(error) => Some(self.end_with(error)),
        }
    }

    fn end_with(&self, error: QueryError) -> Result<Bytes, RowsBrokeOff> {
        let problem = Problem::from(error.clone());
        self.gateway.metrics.count_problem(problem.code());
        match problem.cause() {
            Some(cause) => {
                tracing::error!(request.id = %self.request, cause, "internal error while streaming rows");
            }
            None => {
                tracing::debug!(request.id = %self.request, %error, "row stream ended early")
            }
        }
        if !self.tells_errors || !self.is_at_line_start {
            return Err(RowsBrokeOff(error));
        }
        let line = ErrorLine {
            error: problem.body(Some(self.request.to_string())),
        };
        let mut line = serde_json::to_vec(&line).expect("texts and numbers always become JSON");
        line.push(b'\n');
        Ok(line.into())
    }
}
