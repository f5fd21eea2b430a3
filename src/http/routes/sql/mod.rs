//! One statement on one database.

pub(crate) mod batch;
pub(crate) mod streams;
pub(crate) mod transactions;

use self::streams::{FormParameters, WantedForm};
use crate::clock::{Milliseconds, Stopwatch};
use crate::data::{
    Access, DataConfig, Int64Form, Params, QueryAnswer, QueryError, QueryOptions, QueryRequest,
    Shape,
};
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::entrance::Entered;
use crate::http::extract::forms;
use crate::http::extract::{JsonBody, PathParts};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::refusals::sentence;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// One statement, and how its answer is to look.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// One SQL statement.
    #[schema(example = "SELECT name FROM customers WHERE id = ?1")]
    sql: String,
    /// Values for its parameters: a list, or an object by name.
    #[serde(default)]
    #[schema(schema_with = schemas::parameters, example = json!([7]))]
    params: Params,
    /// Refuse the statement if it would change something.
    #[serde(default)]
    readonly: bool,
    /// Most milliseconds that it may take; 5,000 when not given, at most 60,000.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    timeout_ms: Option<u64>,
    /// Rows after which the answer ends and says `truncated`. When not given, a result of more
    /// than 10,000 rows is refused.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 100_000)]
    max_rows: Option<u64>,
    /// Most bytes of the answer; 4 MiB when not given, at most 64 MiB. A larger one is refused.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 67_108_864)]
    max_bytes: Option<u64>,
    /// How integers beyond ±(2^53 − 1) are written.
    #[serde(default)]
    int64: Int64Word,
    /// Rows as lists or as objects.
    #[serde(default)]
    shape: ShapeWord,
}

#[derive(Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Int64Word {
    #[default]
    Number,
    String,
}

#[derive(Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ShapeWord {
    #[default]
    Rows,
    Objects,
}

impl From<Int64Word> for Int64Form {
    fn from(word: Int64Word) -> Self {
        match word {
            Int64Word::Number => Self::Number,
            Int64Word::String => Self::Text,
        }
    }
}

impl From<ShapeWord> for Shape {
    fn from(word: ShapeWord) -> Self {
        match word {
            ShapeWord::Rows => Self::Rows,
            ShapeWord::Objects => Self::Objects,
        }
    }
}

impl QueryBody {
    pub(crate) fn into_request(
        self,
        access: Access,
        bounds: &DataConfig,
    ) -> Result<QueryRequest, Problem> {
        let words = OptionWords {
            readonly: self.readonly,
            timeout_ms: self.timeout_ms,
            max_rows: self.max_rows,
            max_bytes: self.max_bytes,
            int64: self.int64,
            shape: self.shape,
        };
        Ok(QueryRequest {
            sql: self.sql,
            params: self.params,
            options: words.into_options(access, bounds)?,
        })
    }
}

/// How statements are run and answered, as bodies say it.
#[derive(Default, Clone, Copy)]
pub(crate) struct OptionWords {
    pub(crate) readonly: bool,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) max_rows: Option<u64>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) int64: Int64Word,
    pub(crate) shape: ShapeWord,
}

impl OptionWords {
    pub(crate) fn into_options(
        self,
        access: Access,
        bounds: &DataConfig,
    ) -> Result<QueryOptions, Problem> {
        check_bound(
            "timeout_ms",
            self.timeout_ms,
            milliseconds(bounds.largest_timeout),
        )?;
        check_bound("max_rows", self.max_rows, bounds.largest_max_rows)?;
        let max_bytes = self
            .max_bytes
            .map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        check_bound("max_bytes", self.max_bytes, bounds.largest_max_bytes as u64)?;
        Ok(QueryOptions {
            readonly: self.readonly,
            timeout: self.timeout_ms.map(Duration::from_millis),
            max_rows: self.max_rows,
            max_bytes,
            int64: self.int64.into(),
            shape: self.shape.into(),
            ..QueryOptions::for_access(access)
        })
    }
}

pub(crate) fn milliseconds(it: Duration) -> u64 {
    u64::try_from(it.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn check_bound(name: &str, value: Option<u64>, most: u64) -> Result<(), Problem> {
    match value {
        Some(it) if it < 1 || it > most => Err(Problem::invalid(format!(
            "`{name}` is 1 to {most}; {it} is outside."
        ))),
        _ => Ok(()),
    }
}

/// What an answer to a statement holds; it is written by the engine.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct QueryResult {
    columns: Vec<QueryColumn>,
    /// Lists in the order of the columns, or objects.
    #[schema(schema_with = schemas::rows)]
    rows: (),
    row_count: u64,
    rows_affected: u64,
    last_insert_rowid: Option<i64>,
    /// Whether there were more rows than asked for.
    truncated: bool,
    elapsed_ms: f64,
}

/// One column of an answer.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
struct QueryColumn {
    name: String,
    /// As the table declares it; null for what is computed.
    r#type: Option<String>,
}

/// Run one statement
///
/// Waits a few seconds for a database that is being created or started. A token with the scope
/// `read` alone can change nothing. By `Accept` or `format` the answer is JSON, NDJSON or CSV.
#[utoipa::path(post, path = "/v1/databases/{db}/query", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"), FormParameters),
    request_body = QueryBody,
    responses((status = 200, content(
        (QueryResult = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv")))))]
pub(crate) async fn query_database(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    wanted: WantedForm,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Response, Problem> {
    let access = sql_access(&caller)?;
    let request = body.into_request(access, gateway.data.config())?;
    let entered = gateway.enter(&caller, &reference).await?;
    Ok(gateway.run_in_form(&entered, request, wanted).await?)
}

/// What the caller's statements may do.
///
/// # Errors
/// When the token may not even read.
pub(crate) fn sql_access(caller: &Caller) -> Result<Access, Problem> {
    if caller.has_scope(Scope::Write) {
        return Ok(Access::ReadWrite);
    }
    caller.require(Scope::Read)?;
    Ok(Access::ReadOnly)
}

impl Gateway {
    /// Runs one statement on a database that was entered. Dropped before it ends, it ends the
    /// statement too.
    pub(crate) async fn run(
        self: &Arc<Self>,
        entered: &Entered,
        request: QueryRequest,
    ) -> Result<Response, QueryError> {
        let stopwatch = Stopwatch::start();
        let answer = self.data.query(&entered.guard, &entered.target, request);
        let answer = self.while_living(entered.guard.database(), answer).await?;
        Ok(written(answer, stopwatch.elapsed()))
    }
}

/// The engine's bytes as they are, with how long they waited and how long they took.
pub(crate) fn written(answer: QueryAnswer, total: Duration) -> Response {
    written_json(answer.body, answer.elapsed, total)
}

/// JSON of the engine's, which took so long in it and in all.
pub(crate) fn written_json(body: impl Into<Body>, took: Duration, total: Duration) -> Response {
    let timing = format!(
        "queue;dur={}, exec;dur={}",
        Milliseconds(total.saturating_sub(took)),
        Milliseconds(took),
    );
    let timing = HeaderValue::try_from(timing).expect("numbers are visible ASCII");
    let json = HeaderValue::from_static("application/json");
    let headers = [(header::CONTENT_TYPE, json), (SERVER_TIMING, timing)];
    (headers, body.into()).into_response()
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let code = match &error {
            QueryError::InvalidRequest { .. } | QueryError::DuplicateColumn { .. } => {
                ErrorCode::InvalidRequest
            }
            QueryError::Sql { .. } => ErrorCode::SqlError,
            QueryError::NotAllowed { .. } | QueryError::ForeignKeysOff => {
                ErrorCode::StatementNotAllowed
            }
            QueryError::ReadOnly => ErrorCode::ReadOnly,
            QueryError::Constraint { .. } | QueryError::DeferredForeignKey => {
                ErrorCode::ConstraintViolation
            }
            QueryError::ParameterMismatch { .. } => ErrorCode::ParameterMismatch,
            QueryError::PayloadTooLarge { .. } => ErrorCode::PayloadTooLarge,
            QueryError::ResultTooLarge { .. } => ErrorCode::ResultTooLarge,
            QueryError::Timeout { .. } => ErrorCode::StatementTimeout,
            QueryError::TokenEnded => ErrorCode::Unauthenticated,
            QueryError::Expired => ErrorCode::DatabaseExpired,
            QueryError::Locked => ErrorCode::DatabaseLocked,
            QueryError::QuotaExceeded | QueryError::TemporaryFilesFull { .. } => {
                ErrorCode::QuotaExceeded
            }
            QueryError::DiskFull => ErrorCode::DiskFull,
            QueryError::DataMissing => ErrorCode::DataMissing,
            QueryError::Overloaded { .. } | QueryError::NoRoom | QueryError::Benched { .. } => {
                ErrorCode::Overloaded
            }
            QueryError::OutcomeUnknown | QueryError::Broken { .. } => ErrorCode::Internal,
        };
        // SQLite's own words stay as they are: clients compare them.
        let detail = match &error {
            QueryError::Sql { .. }
            | QueryError::Constraint { .. }
            | QueryError::DeferredForeignKey => error.to_string(),
            other => sentence(other),
        };
        let mut problem = Self::new(code, detail);
        if code == ErrorCode::Internal {
            problem = problem.because(&error);
        }
        match error.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}
