//! In which form a statement's answer is sent: JSON, NDJSON or CSV; whole, or as it is read.
use super::{ShapeWord, written};
use crate::clock::Stopwatch;
use crate::data::{Format, QueryAnswer, QueryError, QueryRequest, RowStream, Shape, Streamed};
use crate::domain::ids::RequestId;
use crate::http::Gateway;
use crate::http::entrance::Entered;
use crate::http::extract::StrictQuery;
use crate::http::extract::negotiation::{liking, wishes};
use crate::http::middleware::auth::Caller;
use crate::http::response::error::{ErrorCode, Problem, ProblemBody};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use utoipa::{IntoParams, ToSchema};

/// What a request says about the form of its answer beside its body.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FormParameters {
    /// `json`, `ndjson` or `csv`; wins over `Accept`.
    #[param(inline)]
    format: Option<FormatWord>,
    /// Send rows as they are read: without a bound on rows and bytes unless one is named, until
    /// `timeout_ms` is over. When not given, `true` for `ndjson` and `csv`, `false` for `json`.
    stream: Option<bool>,
    /// `rows` or `objects`; wins over the body's.
    #[param(inline)]
    shape: Option<ShapeWord>,
}

/// A format as `?format=` names it.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatWord {
    Json,
    Ndjson,
    Csv,
}

/// The form that an answer is wanted in.
pub(crate) struct WantedForm {
    format: Format,
    shape: Option<ShapeWord>,
    is_streamed: bool,
    request: RequestId,
}

impl FromRequestParts<Arc<Gateway>> for WantedForm {
    type Rejection = Problem;

    async fn from_request_parts(
        parts: &mut Parts,
        gateway: &Arc<Gateway>,
    ) -> Result<Self, Problem> {
        let StrictQuery(said) =
            StrictQuery::<FormParameters>::from_request_parts(parts, gateway).await?;
        let format = chosen_format(said.format, &parts.headers)?;
        Ok(Self {
            format,
            shape: said.shape,
            is_streamed: said.stream.unwrap_or(format != Format::Json),
            request: Caller::of(parts)?.request,
        })
    }
}

/// The format that is named, else the one that `Accept` likes best.
///
/// # Errors
/// When `Accept` likes none.
pub(crate) fn chosen_format(
    named: Option<FormatWord>,
    headers: &HeaderMap,
) -> Result<Format, Problem> {
    match named {
        Some(FormatWord::Json) => Ok(Format::Json),
        Some(FormatWord::Ndjson) => Ok(Format::Ndjson),
        Some(FormatWord::Csv) => Ok(Format::Csv),
        None => accepted_format(headers),
    }
}

/// What `Accept` likes best; JSON where it says nothing.
fn accepted_format(headers: &HeaderMap) -> Result<Format, Problem> {
    let accepted = || wishes(headers, header::ACCEPT);
    if accepted().next().is_none() {
        return Ok(Format::Json);
    }
    // Of equals the last wins.
    [Format::Csv, Format::Ndjson, Format::Json]
        .into_iter()
        .filter_map(|it| Some((liking(accepted(), media_type(it))?, it)))
        .max_by(|(one, _), (other, _)| one.cmp(other))
        .map(|(_, format)| format)
        .ok_or_else(|| {
            Problem::new(
                ErrorCode::NotAcceptable,
                "An answer to a statement is none of the types in `Accept`.",
            )
            .hint("accept application/json, application/x-ndjson or text/csv, or name ?format=")
        })
}

fn media_type(format: Format) -> &'static str {
    match format {
        Format::Json => "application/json",
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv",
    }
}

/// Whether an answer was cut at `max_rows`, where its body has no place to say so.
const TRUNCATED: HeaderName = HeaderName::from_static("x-dbforge-truncated");

/// A whole answer in its format.
pub(crate) fn whole_in_format(answer: QueryAnswer, format: Format, took: Duration) -> Response {
    let is_cut = if answer.truncated { "true" } else { "false" };
    let mut response = in_format(written(answer, took), format);
    if format != Format::Json {
        let headers = response.headers_mut();
        headers.insert(TRUNCATED, HeaderValue::from_static(is_cut));
    }
    response
}

/// Says which format an answer is in; a whole one says that it is JSON already.
fn in_format(mut response: Response, format: Format) -> Response {
    let content_type = match format {
        Format::Json if response.headers().contains_key(header::CONTENT_TYPE) => return response,
        Format::Csv => "text/csv; charset=utf-8; header=present",
        Format::Json | Format::Ndjson => media_type(format),
    };
    let content_type = HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

impl Gateway {
    /// Runs one statement and answers in the form that is wanted.
    pub(crate) async fn run_in_form(
        self: &Arc<Self>,
        entered: &Entered,
        mut request: QueryRequest,
        mut wanted: WantedForm,
    ) -> Result<Response, QueryError> {
        request.options.format = wanted.format;
        if let Some(shape) = wanted.shape {
            request.options.shape = shape.into();
        }
        let shape = request.options.shape;
        let tells_at_its_end = match wanted.format {
            Format::Json => true,
            Format::Ndjson => shape == Shape::Rows,
            Format::Csv => false,
        };
        let database = entered.guard.database();
        let stopwatch = Stopwatch::start();
        // A header says whether it was cut, so it cannot be on its way before its end.
        if request.options.max_rows.is_some() && !tells_at_its_end {
            let largest = self.data.config().largest_max_bytes;
            request.options.max_bytes.get_or_insert(largest);
            wanted.is_streamed = false;
        }
        if !wanted.is_streamed {
            let answer = self.data.query(&entered.guard, &entered.target, request);
            let answer = self.while_living(database, answer).await?;
            return Ok(whole_in_format(answer, wanted.format, stopwatch.elapsed()));
        }
        let streamed = self.data.stream(&entered.guard, &entered.target, request);
        match self.while_living(database, streamed).await? {
            Streamed::Whole(answer) => {
                Ok(whole_in_format(answer, wanted.format, stopwatch.elapsed()))
            }
            Streamed::Rows(rows) => {
                let (over, stopper) = (self.clone().until_over(database), rows.stopper());
                // Apart from the stream: nobody polls one whose client has stalled.
                let ends_with_database = tokio::spawn(async move {
                    over.await;
                    stopper.stop(QueryError::Expired);
                });
                let sending = Sending {
                    rows,
                    _ends_with_database: AbortOnDropHandle::new(ends_with_database),
                    tells_errors: wanted.format == Format::Ndjson && shape == Shape::Rows,
                    is_at_line_start: true,
                    gateway: self.clone(),
                    request: wanted.request,
                };
                Ok(in_format(sending.into_response(), wanted.format))
            }
        }
    }
}

/// A stream of rows on its way to the client.
struct Sending {
    rows: RowStream,
    _ends_with_database: AbortOnDropHandle<()>,
    /// Whether an error is the last line. Elsewhere nothing can be told from a row, and the body
    /// breaks off instead: its last chunk does not come.
    tells_errors: bool,
    is_at_line_start: bool,
    gateway: Arc<Gateway>,
    request: RequestId,
}

/// The stream ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("a stream of rows broke off: {0}")]
struct BrokenOff(QueryError);

/// The line of NDJSON that says why there are no more.
#[derive(Serialize)]
struct ErrorLine {
    error: ProblemBody,
}

impl IntoResponse for Sending {
    fn into_response(self) -> Response {
        // Proxies that gather answers would hold rows back.
        let unbuffered = [("x-accel-buffering", "no")];
        let pieces = stream::unfold(self, |mut it| async { Some((it.next().await?, it)) });
        (unbuffered, Body::from_stream(pieces)).into_response()
    }
}

impl Sending {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        match self.rows.next().await? {
            Ok(piece) => {
                self.is_at_line_start = piece.ends_with(b"\n");
                Some(Ok(piece))
            }
            Err(error) => Some(self.end_with(error)),
        }
    }

    fn end_with(&self, error: QueryError) -> Result<Bytes, BrokenOff> {
        let problem = Problem::from(error.clone());
        self.gateway.metrics.count_problem(problem.code());
        match problem.cause() {
            Some(cause) => {
                tracing::error!(request.id = %self.request, cause, "a stream of rows met a fault");
            }
            None => {
                tracing::debug!(request.id = %self.request, %error, "a stream of rows ended early")
            }
        }
        if !self.tells_errors || !self.is_at_line_start {
            return Err(BrokenOff(error));
        }
        let line = ErrorLine {
            error: problem.body(Some(self.request.to_string())),
        };
        let mut line = serde_json::to_vec(&line).expect("texts and numbers always become JSON");
        line.push(b'\n');
        Ok(line.into())
    }
}
