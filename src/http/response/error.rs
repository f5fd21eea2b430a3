//! Errors as HTTP tells them; this file alone knows status codes.
//!
//! A handler returns a [`Problem`]; `observe.rs` writes it as `application/problem+json` with the
//! request's id. The cause of a problem goes to the trace, once, where the problem is made.
use crate::http::middleware::admission::share::Share;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::fmt;
use utoipa::ToSchema;

/// Declares the codes: what each means, its word, status and title, and whether the same request
/// may work later.
macro_rules! error_codes {
    ($($(#[doc = $meaning:literal])+ $name:ident $word:literal $status:literal $title:literal $later:ident;)*) => {
        /// What sort of problem it is. Closed: clients match on the words.
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
    /// The path, a header, a query parameter or the body breaks a rule. `detail` names the part
    /// and where it stands.
    InvalidRequest "invalid_request" 400 "Invalid request" final;
    /// SQLite did not accept the statement, or it failed while it ran.
    SqlError "sql_error" 400 "SQL error" final;
    /// A filter uses an operator that does not exist. Plain equality is written `eq.24`.
    UnknownFilterOperator "unknown_filter_operator" 400 "Unknown filter operator" final;
    /// No token was sent, or one that is not accepted. Send `Authorization: Bearer dbf_…` or
    /// `X-API-Key: dbf_…`.
    Unauthenticated "unauthenticated" 401 "Not authenticated" final;
    /// The token is accepted, but its scopes or its database patterns do not allow this.
    InsufficientScope "insufficient_scope" 403 "Insufficient scope" final;
    /// The statement is valid SQL that no client may run here, such as ATTACH.
    StatementNotAllowed "statement_not_allowed" 403 "Statement not allowed" final;
    /// The statement changes something, and the request or its token is read-only.
    ReadOnly "read_only" 403 "Read only" final;
    /// There is no database of that name or id.
    DatabaseNotFound "database_not_found" 404 "Database not found" final;
    /// The database has no such table.
    TableNotFound "table_not_found" 404 "Table not found" final;
    /// The table has no such row.
    RowNotFound "row_not_found" 404 "Row not found" final;
    /// This token has begun no transaction of that id on that database.
    TransactionNotFound "transaction_not_found" 404 "Transaction not found" final;
    /// There is no job of that id.
    JobNotFound "job_not_found" 404 "Job not found" final;
    /// There is no event at that sequence.
    EventNotFound "event_not_found" 404 "Event not found" final;
    /// There is no accepted token of that id.
    TokenNotFound "token_not_found" 404 "Token not found" final;
    /// There is no worker of that id in quarantine.
    WorkerNotFound "worker_not_found" 404 "Worker not found" final;
    /// The reconciler has found no such folder that belongs to no database.
    FolderNotFound "folder_not_found" 404 "Folder not found" final;
    /// There is no schedule of that name or id.
    ScheduleNotFound "schedule_not_found" 404 "Schedule not found" final;
    /// There is no stored plan of that id, or it is forgotten: plans are kept for a day.
    PlanNotFound "plan_not_found" 404 "Plan not found" final;
    /// There is no webhook of that id.
    WebhookNotFound "webhook_not_found" 404 "Webhook not found" final;
    /// Nothing is served at this path. `/docs` shows every route.
    RouteNotFound "route_not_found" 404 "Route not found" final;
    /// The path exists, but not for this method. The `Allow` header lists those that do.
    MethodNotAllowed "method_not_allowed" 405 "Method not allowed" final;
    /// The answer can be sent in none of the types that `Accept` names. `hint` says in which it can.
    NotAcceptable "not_acceptable" 406 "Not acceptable" final;
    /// The body did not arrive in time.
    RequestTimeout "request_timeout" 408 "Request timeout" retry;
    /// A living database has the name. Names that differ in case only are the same.
    DatabaseExists "database_exists" 409 "Database exists" final;
    /// The database is being created, or stopped. Follow its job, or start it.
    DatabaseNotReady "database_not_ready" 409 "Database not ready" retry;
    /// The database is protected. Send PATCH with `{"protect":false}` first.
    DatabaseProtected "database_protected" 409 "Database protected" final;
    /// A job on the database is stuck; until a person has looked, nothing else can be done to it.
    DatabaseStuck "database_stuck" 409 "Database stuck" final;
    /// A job could not have the database's files, because statements did not let go of them.
    DatabaseBusy "database_busy" 409 "Database busy" retry;
    /// The database or job is in a state that does not allow the command.
    WrongState "wrong_state" 409 "Wrong state" final;
    /// Somebody cancelled the job; what it had done was undone.
    JobCancelled "job_cancelled" 409 "Job cancelled" final;
    /// A token of that name is accepted already.
    TokenExists "token_exists" 409 "Token exists" final;
    /// A schedule has the name.
    ScheduleExists "schedule_exists" 409 "Schedule exists" final;
    /// A row breaks a UNIQUE, CHECK, NOT NULL or FOREIGN KEY constraint.
    ConstraintViolation "constraint_violation" 409 "Constraint violation" final;
    /// The database is in the trash, or gone. `undelete` brings it back while it is in the trash.
    DatabaseDeleted "database_deleted" 410 "Database deleted" final;
    /// The database's time to live ended.
    DatabaseExpired "database_expired" 410 "Database expired" final;
    /// The transaction is over; `detail` says how it ended. Begin another.
    TransactionEnded "transaction_ended" 410 "Transaction ended" final;
    /// The database has changed since the `ETag` in `If-Match`. Get it again, then decide again.
    PreconditionFailed "precondition_failed" 412 "Precondition failed" final;
    /// The body is larger than this route takes.
    PayloadTooLarge "payload_too_large" 413 "Payload too large" final;
    /// The answer has more rows or bytes than asked for. Add a LIMIT, raise `max_rows`, or take
    /// a streamed format.
    ResultTooLarge "result_too_large" 413 "Result too large" final;
    /// The body has a content type that this route does not read, or is packed (`Content-Encoding`).
    UnsupportedMediaType "unsupported_media_type" 415 "Unsupported media type" final;
    /// The `Idempotency-Key` was used for another request. Make a new key for a new request.
    IdempotencyKeyReused "idempotency_key_reused" 422 "Idempotency key reused" final;
    /// What the plan rests on has changed. Make a new plan.
    PlanStale "plan_stale" 422 "Plan stale" final;
    /// Nothing takes back what the event's command has done. `detail` says why.
    CannotBeUndone "cannot_be_undone" 422 "Cannot be undone" final;
    /// The statement did not end in time and was stopped; it changed nothing.
    StatementTimeout "statement_timeout" 422 "Statement timeout" final;
    /// The statement's parameters and the values sent for them do not match.
    ParameterMismatch "parameter_mismatch" 422 "Parameter mismatch" final;
    /// A transaction or another writer holds the database.
    DatabaseLocked "database_locked" 423 "Database locked" retry;
    /// The token has its share of what the gateway takes at a time. Send fewer requests at once;
    /// `GET /v1/usage` shows the share.
    RateLimited "rate_limited" 429 "Rate limited" retry;
    /// A fault of the gateway. Its trace holds the cause under the request's id.
    Internal "internal" 500 "Internal error" final;
    /// The database's engine cannot do this.
    NotSupportedByEngine "not_supported_by_engine" 501 "Not supported by the engine" final;
    /// The gateway has as much to do as it takes. Come back after `Retry-After`.
    Overloaded "overloaded" 503 "Overloaded" retry;
    /// The gateway is stopping.
    Stopping "stopping" 503 "Stopping" retry;
    /// What runs the workers does not answer. Reads, and SQL on ready databases, go on.
    RuntimeUnavailable "runtime_unavailable" 503 "Runtime unavailable" retry;
    /// What runs the workers answered no, and will again: an image is missing, or a limit is not
    /// supported.
    RuntimeRefused "runtime_refused" 503 "Runtime refused" final;
    /// The worker started, but its check does not pass.
    WorkerUnhealthy "worker_unhealthy" 503 "Worker unhealthy" retry;
    /// The event log takes no more events, because it is damaged or its disk failed. SQL on ready
    /// databases goes on; `dbforge doctor` explains.
    LogReadOnly "log_read_only" 503 "Event log read-only" final;
    /// The database's file is not where it must be. Nothing was put in its place.
    DataMissing "data_missing" 503 "Data missing" final;
    /// The log has not reached the `min_sequence` that was asked for.
    SequenceNotReached "sequence_not_reached" 503 "Sequence not reached" retry;
    /// The work did not end in time. `GET /v1/events` shows what came of it.
    TimedOut "timed_out" 504 "Timed out" retry;
    /// The database's file, or the temporary files of its statements, have grown to their limit.
    /// Reads go on; delete rows, change fewer at a time, or raise the limit.
    QuotaExceeded "quota_exceeded" 507 "Quota exceeded" final;
    /// The disk has no room. Nothing that was answered is lost.
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
    place: Option<StatementPlace>,
    share: Option<Box<Share>>,
    /// What the trace says of it, and the client does not hear.
    cause: Option<String>,
}

/// Which of several statements failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct StatementPlace {
    statement: usize,
    kept: usize,
    offset: Option<usize>,
}

impl Problem {
    /// A problem of a sort, in a sentence that says what failed and for what.
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
            place: None,
            share: None,
            cause: None,
        }
    }

    /// The request breaks a rule.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRequest, detail)
    }

    /// A fault of our own: the trace gets the cause, the client does not.
    #[must_use]
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::new(
            ErrorCode::Internal,
            "The gateway met a fault. Its trace holds the cause under this request's id.",
        )
        .because(cause)
    }

    /// No token that is accepted came with the request.
    #[must_use]
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unauthenticated, detail).hint(
            "send `Authorization: Bearer dbf_…` or `X-API-Key: dbf_…`; \
             the root token was printed at the first start",
        )
    }

    /// Says to the trace what caused it.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// What the trace is to say of it.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// It will not pass by itself, though others of its sort do.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.retryable = false;
        self
    }

    /// Says which of several statements failed, how many before it are kept, and where in a
    /// script it begins.
    #[must_use]
    pub fn at_statement(mut self, statement: usize, kept: usize, offset: Option<usize>) -> Self {
        self.place = Some(StatementPlace {
            statement,
            kept,
            offset,
        });
        self
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
        ProblemBody {
            r#type: self.code.page(),
            title: self.code.title(),
            status: status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.as_str(),
            hint: self.hint.clone(),
            retryable: self.retryable,
            statement: self.place.map(|it| it.statement),
            kept: self.place.map(|it| it.kept),
            offset: self.place.and_then(|it| it.offset),
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
    /// Only the status and the problem itself; `observe.rs` writes the rest.
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
    /// The page that explains the code.
    #[schema(example = "/problems/database-not-found")]
    r#type: String,
    /// A short name for people.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What failed and for what.
    detail: String,
    /// What programs look at.
    code: &'static str,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Whether the same request may work later.
    retryable: bool,
    /// Which of several statements failed, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<usize>,
    /// How many statements before it are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
    /// The byte of a script at which it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    /// What the gateway's trace, events and jobs know this request by.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    error: ErrorObject,
}

/// What clients of the original routes look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct ErrorObject {
    /// The status as a word: `NOT_FOUND`.
    code: String,
    /// The same as `detail`.
    message: String,
    status: u16,
}
