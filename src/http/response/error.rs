//! Error codes and their HTTP statuses. No other file knows status codes of errors.
//!
//! A handler returns a [`Problem`]; `middleware/trace.rs` writes it as `application/problem+json`
//! with the request id. Its cause is logged there once.
use crate::http::middleware::admission::share::Share;
use crate::http::openapi::schemas::word;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Declares the codes: what each means, its word, status and title, and whether the same request
/// may work later.
macro_rules! error_codes {
    ($($(#[doc = $meaning:literal])+ $name:ident $word:literal $status:literal $title:literal $later:ident;)*) => {
        /// Error code. Closed: clients match on the words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[doc = $meaning])+ $name,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            fn entry(self) -> Entry {
                match self {
                    $(Self::$name => Entry {
                        word: $word,
                        status: $status,
                        title: $title,
                        retryable: error_codes!(@ $later),
                        meaning: concat!($($meaning),+),
                    },)*
                }
            }
        }
    };
    (@ retry) => { true };
    (@ final) => { false };
}

struct Entry {
    word: &'static str,
    status: u16,
    title: &'static str,
    retryable: bool,
    meaning: &'static str,
}

error_codes! {
    /// The path, a header, a query parameter or the body is invalid. `detail` says which part.
    InvalidRequest "invalid_request" 400 "Invalid request" final;
    /// A filter has no operator, or one that does not exist: `?age=24` means `?age=eq.24`.
    UnknownFilterOperator "unknown_filter_operator" 400 "Unknown filter operator" final;
    /// SQLite rejected the statement, or it failed while running.
    SqlError "sql_error" 400 "SQL error" final;
    /// The token is missing or not accepted. Send `Authorization: Bearer dbf_…` or
    /// `X-API-Key: dbf_…`.
    Unauthenticated "unauthenticated" 401 "Not authenticated" final;
    /// The token's scopes or database patterns do not allow this request.
    InsufficientScope "insufficient_scope" 403 "Insufficient scope" final;
    /// The statement is valid SQL that is not allowed here, such as ATTACH.
    StatementNotAllowed "statement_not_allowed" 403 "Statement not allowed" final;
    /// The statement would change data, but the request or its token is read-only.
    ReadOnly "read_only" 403 "Read only" final;
    /// No database has that name or id.
    DatabaseNotFound "database_not_found" 404 "Database not found" final;
    /// The database has no table or view of that name.
    TableNotFound "table_not_found" 404 "Table not found" final;
    /// The table has no row with that key.
    RowNotFound "row_not_found" 404 "Row not found" final;
    /// This token has no transaction with that id on that database.
    TransactionNotFound "transaction_not_found" 404 "Transaction not found" final;
    /// No job has that id.
    JobNotFound "job_not_found" 404 "Job not found" final;
    /// No event has that sequence number.
    EventNotFound "event_not_found" 404 "Event not found" final;
    /// No active token has that id.
    TokenNotFound "token_not_found" 404 "Token not found" final;
    /// The table has no index of that name.
    IndexNotFound "index_not_found" 404 "Index not found" final;
    /// No quarantined worker has that id.
    WorkerNotFound "worker_not_found" 404 "Worker not found" final;
    /// The reconciler has not reported an orphaned folder of that name.
    FolderNotFound "folder_not_found" 404 "Folder not found" final;
    /// No schedule has that name or id.
    ScheduleNotFound "schedule_not_found" 404 "Schedule not found" final;
    /// No stored plan has that id. Plans are kept for one day.
    PlanNotFound "plan_not_found" 404 "Plan not found" final;
    /// No webhook has that id.
    WebhookNotFound "webhook_not_found" 404 "Webhook not found" final;
    /// No upload has that id. It may have expired, or its import has ended.
    UploadNotFound "upload_not_found" 404 "Upload not found" final;
    /// No route matches this path. `/docs` lists every route.
    RouteNotFound "route_not_found" 404 "Route not found" final;
    /// The path does not support this method. The `Allow` header lists those it supports.
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed" final;
    /// The response is not available in any type that `Accept` lists. `hint` lists the types.
    NotAcceptable "not_acceptable" 406 "Not acceptable" final;
    /// The request body did not arrive in time.
    RequestTimeout "request_timeout" 408 "Request timeout" retry;
    /// The database has tables already. Import with `mode=replace` or `mode=insert`, or into a new
    /// database.
    DatabaseNotEmpty "database_not_empty" 409 "Database not empty" final;
    /// A database already has this name. Names are not case-sensitive.
    DatabaseExists "database_exists" 409 "Database exists" final;
    /// The database is being created or is stopped. Wait for its job, or start it.
    DatabaseNotReady "database_not_ready" 409 "Database not ready" retry;
    /// The database is protected from deletion. Send PATCH with `{"protect":false}` first.
    DatabaseProtected "database_protected" 409 "Database protected" final;
    /// A job on the database is stuck. Retry the job; other commands are blocked until it ends.
    DatabaseStuck "database_stuck" 409 "Database stuck" final;
    /// A job could not get exclusive access to the database: SQL statements are still running.
    DatabaseBusy "database_busy" 409 "Database busy" retry;
    /// The command is not allowed in the current state of the database or job.
    WrongState "wrong_state" 409 "Wrong state" final;
    /// The job was cancelled and rolled back.
    JobCancelled "job_cancelled" 409 "Job cancelled" final;
    /// An active token already has this name.
    TokenExists "token_exists" 409 "Token exists" final;
    /// A schedule already has this name.
    ScheduleExists "schedule_exists" 409 "Schedule exists" final;
    /// A migration of this name was applied with another text. Write the change as a new migration.
    MigrationChanged "migration_changed" 409 "Migration changed" final;
    /// A migration whose name comes later was applied already.
    MigrationOutOfOrder "migration_out_of_order" 409 "Migration out of order" final;
    /// The database has a table, view or index of this name.
    TableExists "table_exists" 409 "Table exists" final;
    /// Something else uses the table, column or index; `detail` says what.
    TableInUse "table_in_use" 409 "Table in use" final;
    /// A UNIQUE, CHECK, NOT NULL or FOREIGN KEY constraint failed.
    ConstraintViolation "constraint_violation" 409 "Constraint violation" final;
    /// A job is importing the upload. Cancel the job, or wait for it.
    UploadInUse "upload_in_use" 409 "Upload in use" final;
    /// The database was deleted. While it is in the trash, `undelete` restores it.
    DatabaseDeleted "database_deleted" 410 "Database deleted" final;
    /// The database's time to live has ended.
    DatabaseExpired "database_expired" 410 "Database expired" final;
    /// The transaction has ended; `detail` says why. Begin a new one.
    TransactionEnded "transaction_ended" 410 "Transaction ended" final;
    /// The database or row has changed since the `ETag` in `If-Match`. Fetch it again and retry.
    PreconditionFailed "precondition_failed" 412 "Precondition failed" final;
    /// The request body is too large for this route.
    PayloadTooLarge "payload_too_large" 413 "Payload too large" final;
    /// The result exceeds the row or byte limit. Add a LIMIT, raise `max_rows`, or use a streamed
    /// format.
    ResultTooLarge "result_too_large" 413 "Result too large" final;
    /// The body has an unsupported content type, or is compressed by something else than gzip or
    /// zstd (`Content-Encoding`).
    UnsupportedMediaType "unsupported_media_type" 415 "Unsupported media type" final;
    /// The bytes or rows that were asked for lie behind the last.
    RangeNotSatisfiable "range_not_satisfiable" 416 "Range not satisfiable" final;
    /// The file cannot be imported. `detail` says what is wrong, and where; correct it and send it
    /// again.
    ImportRefused "import_refused" 422 "Import refused" final;
    /// The `Idempotency-Key` was already used for a different request. Use a new key.
    IdempotencyKeyReused "idempotency_key_reused" 422 "Idempotency key reused" final;
    /// The database has changed since the plan was made. Make a new plan.
    PlanStale "plan_stale" 422 "Plan stale" final;
    /// The command behind this event cannot be undone. `detail` says why.
    CannotBeUndone "cannot_be_undone" 422 "Cannot be undone" final;
    /// The statement exceeded its time limit and was interrupted; nothing was changed.
    StatementTimeout "statement_timeout" 422 "Statement timeout" final;
    /// The values sent do not match the statement's parameters.
    ParameterMismatch "parameter_mismatch" 422 "Parameter mismatch" final;
    /// Another transaction or writer holds the database lock.
    DatabaseLocked "database_locked" 423 "Database locked" retry;
    /// The token has reached its share of concurrent work. Send fewer requests at once;
    /// `GET /v1/usage` shows the share.
    RateLimited "rate_limited" 429 "Rate limited" retry;
    /// An internal error. Search the server log for the request id.
    Internal "internal" 500 "Internal error" final;
    /// The database engine does not support this.
    NotSupportedByEngine "not_supported_by_engine" 501 "Not supported by the engine" final;
    /// The gateway has no programs, or no image, of a version of this engine that it can use.
    /// `GET /v1/engines` says why.
    EngineUnavailable "engine_unavailable" 503 "Engine unavailable" retry;
    /// The gateway is at capacity. Retry after `Retry-After`.
    Overloaded "overloaded" 503 "Overloaded" retry;
    /// The gateway is shutting down.
    Stopping "stopping" 503 "Stopping" retry;
    /// The container runtime is unreachable. Reads, and SQL on ready databases, still work.
    RuntimeUnavailable "runtime_unavailable" 503 "Runtime unavailable" retry;
    /// The container runtime rejected the request and will again: for example, an image is missing
    /// or a limit is not supported.
    RuntimeRefused "runtime_refused" 503 "Runtime refused" final;
    /// The worker started, but its health check fails.
    WorkerUnhealthy "worker_unhealthy" 503 "Worker unhealthy" retry;
    /// The event log is read-only because it is damaged or its disk failed. SQL on ready databases
    /// still works. Run `dbforge doctor`.
    LogReadOnly "log_read_only" 503 "Event log read-only" final;
    /// The database file is missing. It was not replaced by an empty one.
    DataMissing "data_missing" 503 "Data missing" final;
    /// The lists have not reached the requested `min_sequence` yet.
    SequenceNotReached "sequence_not_reached" 503 "Sequence not reached" retry;
    /// The request timed out, or the event log did not confirm in time. `GET /v1/events` shows what it
    /// did. Repeated with the same `Idempotency-Key`, a command takes effect once.
    TimedOut "timed_out" 504 "Timed out" retry;
    /// The database file, or temporary files of its statements, reached their size limit. Reads
    /// still work. Delete rows, write smaller batches, or raise the limit.
    QuotaExceeded "quota_exceeded" 507 "Quota exceeded" final;
    /// The disk is full. Acknowledged writes are safe.
    DiskFull "disk_full" 507 "Disk full" retry;
}

impl ErrorCode {
    /// The word in `code`: `sql_error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.entry().word
    }

    /// The status of an answer with this code.
    #[must_use]
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.entry().status)
            .expect("every status of the catalogue is between 400 and 599")
    }

    /// A short name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// Whether the same request may work later.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        self.entry().retryable
    }

    /// What it means and what to do.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.entry().meaning.trim()
    }

    /// Where its page is: `/problems/sql-error`.
    #[must_use]
    pub fn page(self) -> String {
        format!("/problems/{}", self.as_str().replace('_', "-"))
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialSchema for ErrorCode {
    fn schema() -> RefOr<Schema> {
        let about = "Error code; `GET /problems/{code}` explains it";
        let words = Self::ALL.iter().map(|code| code.as_str());
        word(words).description(Some(about)).into()
    }
}

impl ToSchema for ErrorCode {
    fn name() -> Cow<'static, str> {
        "ErrorCode".into()
    }
}

/// How long a client waits at least before it tries again, unless something better is known.
const RETRY_AFTER_S: u32 = 1;

/// Most characters of a detail: it may repeat what the client sent.
const MAX_DETAIL: usize = 2000;

/// An answer that says no, and what to do next.
#[derive(Debug, Clone)]
pub struct Problem {
    code: ErrorCode,
    detail: String,
    hint: Option<String>,
    retryable: bool,
    place: Box<Place>,
    postgrest: Option<Box<PostgrestWords>>,
    share: Option<Box<Share>>,
    /// Logged, not sent.
    cause: Option<String>,
}

/// Where in a request something failed, as far as it has places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Place {
    statement: Option<StatementPlace>,
    /// Of `params_list`.
    row: Option<usize>,
    /// The character of the statement, as its server tells it.
    position: Option<usize>,
    /// The server's code of what failed.
    sqlstate: Option<Sqlstate>,
}

/// Five ASCII characters of the SQL standard.
type Sqlstate = [u8; 5];

/// What clients of PostgREST read of an error.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PostgrestWords {
    code: Option<&'static str>,
    details: Option<String>,
}

/// Which of several statements failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StatementPlace {
    statement: usize,
    kept: usize,
    offset: Option<usize>,
}

impl Problem {
    /// A problem with its code and a sentence that says what failed.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        if let Some((end, _)) = detail.char_indices().nth(MAX_DETAIL) {
            detail.truncate(end);
            detail.push('…');
        }
        Self {
            code,
            detail,
            hint: None,
            retryable: code.is_retryable(),
            place: Box::default(),
            postgrest: None,
            share: None,
            cause: None,
        }
    }

    /// The request breaks a rule.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, detail)
    }

    /// An internal error: the cause is logged, not sent.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            ErrorCode::Internal,
            "Internal error. Search the server log for this request id.",
        )
        .because(cause)
    }

    /// No token that is accepted came with the request.
    #[must_use]
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unauthenticated, detail).hint(
            "send `Authorization: Bearer dbf_…` or `X-API-Key: dbf_…`; \
             the root token is in .forge/root-token of the data folder",
        )
    }

    /// Adds a cause for the log.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The cause, for the log.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Marks it as not retryable, although its code usually is.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// Says which of several statements failed, how many before it are kept, and where in a
    /// script it begins.
    #[must_use]
    pub fn at_statement(mut self, statement: usize, kept: usize, offset: Option<usize>) -> Self {
        self.place.statement = Some(StatementPlace {
            statement,
            kept,
            offset,
        });
        self
    }

    /// Says which row of `params_list` failed.
    #[must_use]
    pub fn at_row(mut self, index: usize) -> Self {
        self.place.row = Some(index);
        self
    }

    /// Says how the database's server tells what failed, and at which character of the statement.
    #[must_use]
    pub(crate) fn by_server(mut self, sqlstate: &str, position: Option<usize>) -> Self {
        self.place.sqlstate = sqlstate.as_bytes().try_into().ok();
        self.place.position = position;
        self
    }

    /// Gives the body the members that clients of PostgREST read, and its code, where it has one.
    #[must_use]
    pub(crate) fn in_postgrests_words(
        mut self,
        code: Option<&'static str>,
        details: Option<String>,
    ) -> Self {
        self.postgrest = Some(Box::new(PostgrestWords { code, details }));
        self
    }

    /// The same where it has them not yet.
    #[must_use]
    pub(crate) fn with_postgrest_members(self) -> Self {
        match self.postgrest {
            Some(_) => self,
            None => self.in_postgrests_words(None, None),
        }
    }

    /// Says which share the caller has taken whole.
    #[must_use]
    pub(crate) fn of_share(mut self, share: Share) -> Self {
        self.share = Some(Box::new(share));
        self
    }

    /// Which sort it is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// The body of the answer; without a request id where the problem is part of something else.
    #[must_use]
    pub fn body(&self, request_id: Option<String>) -> ProblemBody {
        let status = self.code.status();
        let place = self.place.statement;
        ProblemBody {
            r#type: self.code.page(),
            title: self.code.title(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: (self.postgrest.as_ref())
                .and_then(|words| words.code)
                .unwrap_or_else(|| self.code.as_str()),
            message: self.postgrest.as_ref().map(|_| self.detail.clone()),
            details: (self.postgrest.as_ref()).and_then(|words| words.details.clone()),
            hint: self.hint.clone(),
            retryable: self.retryable,
            statement: place.map(|it| it.statement),
            kept: place.map(|it| it.kept),
            offset: place.and_then(|it| it.offset),
            params_index: self.place.row,
            sqlstate: (self.place.sqlstate)
                .map(|state| String::from_utf8_lossy(&state).into_owned()),
            position: self.place.position,
            request_id,
            error: ErrorObject {
                code: status
                    .canonical_reason()
                    .unwrap_or("Error")
                    .to_ascii_uppercase()
                    .replace([' ', '-'], "_"),
                message: self.detail.clone(),
                status: status.as_u16(),
            },
        }
    }

    /// Writes the whole answer; headers that a route had set, such as `Allow`, are kept.
    pub(crate) fn write(&self, request_id: String, headers: &HeaderMap) -> Response {
        let body = serde_json::to_vec(&self.body(Some(request_id)))
            .expect("texts, numbers and booleans always become JSON");
        let mut response = (self.code.status(), body).into_response();
        let own = response.headers_mut();
        own.extend(headers.clone());
        own.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        own.remove(header::CONTENT_LENGTH);
        if self.code == ErrorCode::Unauthenticated {
            let scheme = HeaderValue::from_static("Bearer realm=\"dbforge\"");
            own.insert(header::WWW_AUTHENTICATE, scheme);
        }
        if self.retryable && !own.contains_key(header::RETRY_AFTER) {
            own.insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
        }
        if let Some(share) = &self.share {
            share.note(own);
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Only the status and the problem itself; `middleware/trace.rs` writes the rest.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// RFC 9457's problem details, and the older `error` object in the same body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Page that explains the code.
    #[schema(example = "/problems/database-not-found")]
    r#type: String,
    /// Short title.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What failed.
    detail: String,
    #[schema(value_type = ErrorCode)]
    code: &'static str,
    /// On the routes of PostgREST's dialect: the same as `detail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// On the routes of PostgREST's dialect: more about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<String>,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Whether retrying the same request may succeed.
    retryable: bool,
    /// Index of the statement that failed, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<usize>,
    /// How many statements before it were committed.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
    /// Byte offset of that statement in the script.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    /// Index of the row of `params_list` that failed, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    params_index: Option<usize>,
    /// On databases with a server: its code of what failed, of the SQL standard.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "42P01")]
    sqlstate: Option<String>,
    /// The character of the statement at which it failed, from 1, where the server tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<usize>,
    /// Id of this request in the server log, events and jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    error: ErrorObject,
}

/// The error as the legacy API reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct ErrorObject {
    /// The status as text: `NOT_FOUND`.
    code: String,
    /// Same as `detail`.
    message: String,
    status: u16,
}
