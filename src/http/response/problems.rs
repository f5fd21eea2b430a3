//! Errors of the service as HTTP problems.
use super::error::{ErrorCode, Problem};
use super::refusals::sentence;
use crate::data::uploads::UploadError;
use crate::data::{MigrateError, QueryError, TableError, TransactionEnd, TransactionError};
use crate::event_log::checkpoints::{FileError, KeyError};
use crate::http::middleware::admission::no_room;
use crate::http::middleware::admission::share::Share;
use crate::projections::control_db;
use crate::service::caller::{AccessDenied, AuthenticationError};
use crate::service::commands::CommandError;
use crate::service::freshness::{FreshnessError, NotReached};
use crate::service::history::{AuditError, PastError};
use crate::service::lists::LookupError;
use crate::service::resolver::ResolveError;
use crate::service::sql::{FailedStatement, InvalidOption, RunError, Several};
use crate::service::uploads::FileRequestError;
use crate::service::watch::WatchError;
use crate::shares::Kind;
use std::io;

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        Self::from(&error)
    }
}

impl From<&UploadError> for Problem {
    fn from(error: &UploadError) -> Self {
        let detail = sentence(error);
        match error {
            UploadError::TooLarge { .. } => Self::new(ErrorCode::PayloadTooLarge, detail)
                .hint("compress it with gzip or zstd, or raise DBFORGE_MAX_UPLOAD_BYTES"),
            UploadError::TooMany { .. } => Self::new(ErrorCode::Overloaded, detail)
                .hint("delete uploads that are not needed: DELETE /v1/uploads/{id}"),
            UploadError::ShareTaken { .. } => Self::new(ErrorCode::RateLimited, detail)
                .hint("delete uploads that are not needed: DELETE /v1/uploads/{id}"),
            UploadError::DiskFull => Self::new(ErrorCode::DiskFull, detail),
            UploadError::NoFiles => Self::new(ErrorCode::Overloaded, detail),
            UploadError::NotFound(_) => Self::new(ErrorCode::UploadNotFound, detail)
                .hint("GET /v1/uploads lists yours; POST /v1/uploads takes a file"),
            UploadError::InUse(_) => Self::new(ErrorCode::UploadInUse, detail)
                .hint("GET /v1/jobs?state=running lists the job"),
            UploadError::Io { .. } => Self::internal(error),
        }
    }
}

impl From<FileRequestError> for Problem {
    fn from(error: FileRequestError) -> Self {
        match error {
            FileRequestError::Denied(error) => error.into(),
            FileRequestError::Upload(error) => error.into(),
        }
    }
}

impl From<AuthenticationError> for Problem {
    fn from(error: AuthenticationError) -> Self {
        Self::unauthenticated(sentence(&error))
    }
}

impl From<AccessDenied> for Problem {
    fn from(error: AccessDenied) -> Self {
        Self::new(ErrorCode::InsufficientScope, sentence(&error))
    }
}

impl From<InvalidOption> for Problem {
    fn from(error: InvalidOption) -> Self {
        Self::invalid(sentence(&error))
    }
}

impl From<ResolveError> for Problem {
    fn from(error: ResolveError) -> Self {
        let detail = sentence(&error);
        match error {
            ResolveError::Denied(denied) => denied.into(),
            ResolveError::Refused(refusal) => refusal.into(),
            ResolveError::Engine(error) => error.into(),
            ResolveError::NotFound(_) => Self::new(ErrorCode::DatabaseNotFound, detail)
                .hint("GET /v1/databases lists databases, POST /v1/databases creates one"),
            ResolveError::NotReady { job, .. } | ResolveError::AtWork { job, .. } => {
                let problem = Self::new(ErrorCode::DatabaseNotReady, detail);
                match job {
                    Some(job) => {
                        problem.hint(format!("wait for its job: GET /v1/jobs/{job}?wait=20"))
                    }
                    None => problem,
                }
            }
            ResolveError::Stopped { name, .. } => Self::new(ErrorCode::DatabaseNotReady, detail)
                .hint(format!("POST /v1/databases/{name}/start starts it"))
                .lasting(),
            ResolveError::Stuck { job, .. } => Self::new(ErrorCode::DatabaseStuck, detail).hint(
                format!("see GET /v1/jobs/{job}; POST /v1/jobs/{job}/retry retries it"),
            ),
            ResolveError::Trashed { name, .. } => Self::new(ErrorCode::DatabaseDeleted, detail)
                .hint(format!("POST /v1/databases/{name}/undelete restores it")),
        }
    }
}

impl From<NotReached> for Problem {
    fn from(error: NotReached) -> Self {
        Self::invalid(sentence(&error))
            .hint("use a number from the X-DBForge-Sequence header of a response")
    }
}

impl From<FreshnessError> for Problem {
    fn from(error: FreshnessError) -> Self {
        match error {
            FreshnessError::NotReached(error) => error.into(),
            FreshnessError::Behind(behind) => {
                tracing::warn!(
                    trouble = behind.position.trouble,
                    "list timed out: {behind}"
                );
                Self::new(ErrorCode::SequenceNotReached, sentence(&behind))
            }
        }
    }
}

impl From<control_db::ListError> for Problem {
    fn from(error: control_db::ListError) -> Self {
        match error {
            control_db::ListError::InvalidCursor => Self::invalid(sentence(&error))
                .hint("use `next_cursor` with the same list and parameters"),
            control_db::ListError::Unavailable { .. } => {
                tracing::warn!(%error, "failed to read a list");
                Self::new(ErrorCode::Overloaded, "Lists are temporarily unavailable.")
                    .hint("retry, or use a narrower filter")
            }
        }
    }
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        let detail = sentence(&error);
        match error {
            LookupError::Denied(error) => error.into(),
            LookupError::Resolve(error) => error.into(),
            LookupError::Fresh(error) => error.into(),
            LookupError::Query(error) => error.into(),
            LookupError::NoJob(_) => {
                Self::new(ErrorCode::JobNotFound, detail).hint("GET /v1/jobs lists them")
            }
        }
    }
}

impl From<PastError> for Problem {
    fn from(error: PastError) -> Self {
        let detail = sentence(&error);
        match error {
            PastError::NotYet { .. } => {
                Self::new(ErrorCode::EventNotFound, detail).hint("omit `at` for the current state")
            }
            PastError::Reversed => Self::invalid(detail).hint("swap `from` and `to`"),
            PastError::TooMany => Self::new(ErrorCode::Overloaded, detail),
            PastError::Unreadable(_) | PastError::Interrupted(_) => Self::internal(error),
        }
    }
}

impl From<AuditError> for Problem {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Denied(error) => error.into(),
            AuditError::Option(error) => error.into(),
            AuditError::Fresh(error) => error.into(),
            AuditError::Lists(error) => error.into(),
            AuditError::Query(error) => error.into(),
        }
    }
}

impl From<WatchError> for Problem {
    fn from(error: WatchError) -> Self {
        let detail = sentence(&error);
        match error {
            WatchError::NoRoom(pass, refused) => no_room(&pass, Kind::Streams, refused)
                .hint("poll instead: GET /v1/events?after=<sequence>&wait=30"),
            WatchError::AfterEnd { .. } => Self::invalid(detail),
            WatchError::NoPass => Self::internal(error),
        }
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let detail = sentence(&error);
        match error {
            CommandError::Denied(error) => error.into(),
            CommandError::Resolve(error) => error.into(),
            CommandError::Lookup(error) => error.into(),
            CommandError::Submit(error) => error.into(),
            CommandError::CannotUndo(error) => error.into(),
            CommandError::Runtime(error) => error.into(),
            CommandError::NoDatabaseToMatch
            | CommandError::InvalidSecret(_)
            | CommandError::TooSmall { .. } => Self::invalid(detail),
            CommandError::EngineUnavailable { .. } => {
                Self::new(ErrorCode::EngineUnavailable, detail)
                    .hint("GET /v1/engines shows which engines are available")
            }
            CommandError::Gone(_) => Self::new(ErrorCode::DatabaseNotFound, detail)
                .hint("retry with a new `Idempotency-Key`"),
            CommandError::JobOver { .. } => Self::new(ErrorCode::WrongState, detail),
            CommandError::NotFired { schedule, .. } => Self::new(ErrorCode::WrongState, detail)
                .hint(format!("see GET /v1/schedules/{schedule}")),
            CommandError::EventNotFound(_) => Self::new(ErrorCode::EventNotFound, detail)
                .hint("GET /v1/audit/head returns the last sequence number"),
            CommandError::TokenNotFound(_) => Self::new(ErrorCode::TokenNotFound, detail)
                .hint("tokens are revoked by id; GET /v1/tokens lists them"),
            CommandError::WorkerNotFound(_) => Self::new(ErrorCode::WorkerNotFound, detail)
                .hint("GET /v1/events?kind=worker_quarantined lists quarantined workers"),
            CommandError::FolderNotFound(_) => Self::new(ErrorCode::FolderNotFound, detail)
                .hint("GET /v1/drift lists them; it is updated once a minute"),
            CommandError::FoldersLeftAlone => Self::new(ErrorCode::LogReadOnly, detail),
            CommandError::WebhookTarget(_) => {
                Self::invalid(detail).hint("set DBFORGE_WEBHOOK_TARGETS to allow this network")
            }
            CommandError::Upload(error) => Self::from(error.as_ref()),
            CommandError::NotEmpty(_) => Self::new(ErrorCode::DatabaseNotEmpty, detail).hint(
                "?mode=replace moves what is there to the trash; ?mode=insert runs SQL on top of it",
            ),
            CommandError::NotLoaded { .. } => Self::new(ErrorCode::NotSupportedByEngine, detail),
            CommandError::Internal(cause) => Self::internal(cause),
        }
    }
}

impl From<RunError> for Problem {
    fn from(error: RunError) -> Self {
        let detail = sentence(&error);
        match error {
            RunError::Denied(error) => error.into(),
            RunError::Option(error) => error.into(),
            RunError::Resolve(error) => error.into(),
            RunError::Query(error) => error.into(),
            RunError::Transaction(error) => error.into(),
            RunError::WriterNotAllowed => {
                Self::new(ErrorCode::ReadOnly, detail).hint("send `\"mode\":\"readonly\"` to read")
            }
            RunError::Statement(failed) => failed.into(),
            RunError::Migration(error) => error.into(),
            RunError::Rows(error) => error.into(),
            RunError::Table(error) => error.into(),
        }
    }
}

impl From<FailedStatement> for Problem {
    fn from(failed: FailedStatement) -> Self {
        let FailedStatement {
            statement,
            kept,
            of,
            error,
        } = failed;
        let (place, offset) = match of {
            Several::Batch { .. } => (format!("statement {statement}"), None),
            Several::Script { offset, line } | Several::Migration { offset, line } => {
                let place = format!("statement {statement}, at line {line},");
                (place, Some(offset))
            }
        };
        let problem = match error {
            TransactionError::Query(error) => one_of_several(error, &place, kept_part(of)),
            TransactionError::RolledBack(error) => {
                one_of_several(error, &place, "the transaction was rolled back")
            }
            other => other.into(),
        };
        problem.at_statement(statement, kept, offset)
    }
}

impl From<MigrateError> for Problem {
    fn from(error: MigrateError) -> Self {
        let detail = sentence(&error);
        match error {
            MigrateError::Changed { .. } => Self::new(ErrorCode::MigrationChanged, detail)
                .hint("leave an applied migration as it is, and write the change as a new one"),
            MigrateError::Late { .. } => Self::new(ErrorCode::MigrationOutOfOrder, detail).hint(
                "give it a name that comes later, or send `\"out_of_order\":true` to apply it all the same",
            ),
            MigrateError::ForeignTable => Self::new(ErrorCode::TableExists, detail)
                .hint("rename that table: DB-Forge keeps applied migrations under this name"),
            MigrateError::ForeignKeys { .. } => Self::new(ErrorCode::ConstraintViolation, detail)
                .hint("the migration was rolled back: let it remove or mend these rows"),
            MigrateError::Statement(failed) => failed.error.into(),
            MigrateError::Query(error) => error.into(),
        }
    }
}

impl From<TableError> for Problem {
    fn from(error: TableError) -> Self {
        let detail = sentence(&error);
        match error {
            TableError::NotFound { what, nearest, .. } => {
                let code = match what {
                    "table" => ErrorCode::TableNotFound,
                    "index" => ErrorCode::IndexNotFound,
                    _ => ErrorCode::InvalidRequest,
                };
                let problem = Self::new(code, detail);
                match nearest {
                    Some(nearest) => problem.hint(format!("did you mean `{nearest}`?")),
                    None => problem
                        .hint("GET /v1/databases/{db}/schema lists tables, columns and indexes"),
                }
            }
            TableError::Exists(_) => Self::new(ErrorCode::TableExists, detail)
                .hint("choose another name, or remove the other one first"),
            TableError::InUse { .. } => Self::new(ErrorCode::TableInUse, detail)
                .hint("remove what uses it first, or in the same request"),
            TableError::Unfit { .. } => Self::new(ErrorCode::ConstraintViolation, detail)
                .hint("change such values first; nothing was changed"),
            TableError::ForeignKeys { .. } => Self::new(ErrorCode::ConstraintViolation, detail)
                .hint("change these rows first; nothing was changed"),
            TableError::Invalid(_) => Self::invalid(detail),
            TableError::Query(error) => error.into(),
        }
    }
}

/// What is kept of the others, in words.
fn kept_part(of: Several) -> &'static str {
    match of {
        Several::Batch {
            one_by_one: false, ..
        } => "the batch was rolled back",
        Several::Batch {
            in_transaction: false,
            ..
        } => "earlier statements were committed",
        Several::Batch { .. } => "earlier statements remain in the transaction",
        Several::Script { .. } => "the script was rolled back",
        Several::Migration { .. } => "the migration was rolled back",
    }
}

/// The problem of one statement, with its place and what it means for the others in front of the
/// hint.
fn one_of_several(error: QueryError, place: &str, kept: &str) -> Problem {
    if error == QueryError::DeferredForeignKey {
        let hint = format!(
            "{place} violated a deferred foreign key, which is checked at the commit; {kept}"
        );
        return Problem::from(error).hint(hint);
    }
    let own_hint = error.hint().map(str::to_owned);
    let (row, error) = error.without_row();
    let problem = Problem::from(error);
    if problem.code() == ErrorCode::Internal {
        return problem; // what is kept is not known
    }
    let (problem, place) = match row {
        Some(row) => (
            problem.at_row(row),
            format!("{place} failed at row {row} of `params_list`; {kept}"),
        ),
        None => (problem, format!("{place} failed; {kept}")),
    };
    problem.hint(match own_hint {
        Some(hint) => format!("{place}; {hint}"),
        None => place,
    })
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        let code = match &error {
            QueryError::InRow { index, error } => {
                let place = format!("row {index} of `params_list` failed; none of them was kept");
                let hint = match error.hint() {
                    Some(hint) => format!("{place}; {hint}"),
                    None => place,
                };
                return Self::from((**error).clone()).hint(hint).at_row(*index);
            }
            QueryError::Server(refusal) => {
                let problem = Self::from(refusal.error.clone());
                return problem.by_server(&refusal.sqlstate, refusal.position);
            }
            QueryError::InvalidRequest { .. }
            | QueryError::NoForm { .. }
            | QueryError::DuplicateColumn { .. }
            | QueryError::TooManyAffected { .. } => ErrorCode::InvalidRequest,
            error if error.is_of_a_long_value() => ErrorCode::ResultTooLarge,
            QueryError::Sql { .. } => ErrorCode::SqlError,
            QueryError::NotAllowed { .. } | QueryError::ForeignKeysOff => {
                ErrorCode::StatementNotAllowed
            }
            QueryError::ReadOnly => ErrorCode::ReadOnly,
            QueryError::Constraint { .. } | QueryError::DeferredForeignKey => {
                ErrorCode::ConstraintViolation
            }
            QueryError::NotSupported { .. } => ErrorCode::NotSupportedByEngine,
            QueryError::Starting => ErrorCode::DatabaseNotReady,
            QueryError::Lost => {
                return Self::new(ErrorCode::WorkerUnhealthy, sentence(&error)).lasting();
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
            QueryError::Overloaded { .. }
            | QueryError::NoRoom
            | QueryError::YieldedToWrites
            | QueryError::Unavailable { .. } => ErrorCode::Overloaded,
            QueryError::NoTable { .. } => ErrorCode::TableNotFound,
            QueryError::NotTakenInTime => ErrorCode::TimedOut,
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

impl From<TransactionError> for Problem {
    fn from(error: TransactionError) -> Self {
        let detail = sentence(&error);
        match error {
            TransactionError::NotFound => Self::new(ErrorCode::TransactionNotFound, detail)
                .hint("begin one with POST /v1/databases/{db}/transactions"),
            TransactionError::Ended(TransactionEnd::Stopping) => {
                Self::new(ErrorCode::Stopping, detail)
            }
            TransactionError::Ended(_) => Self::new(ErrorCode::TransactionEnded, detail)
                .hint("begin a new transaction and repeat all of it, unless it was committed"),
            TransactionError::TooMany { .. } => Self::new(ErrorCode::Overloaded, detail),
            TransactionError::ShareTaken { open } => Self::new(ErrorCode::RateLimited, detail)
                .of_share(Share::of_transactions(open))
                .hint("end other transactions first"),
            TransactionError::Outdated => Self::new(ErrorCode::DatabaseLocked, detail)
                .hint("roll back and begin again; `\"mode\":\"immediate\"` avoids this")
                .lasting(),
            TransactionError::Query(error) => error.into(),
            TransactionError::RolledBack(error) => {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |it| format!("; {it}"));
                Self::from(error).hint(format!("the transaction was rolled back{hint}"))
            }
        }
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match &error {
            KeyError::Io(cause) if cause.kind() == io::ErrorKind::StorageFull => {
                Self::new(ErrorCode::DiskFull, sentence(&error))
            }
            KeyError::Io(_) | KeyError::NoKey => Self::internal(error),
        }
    }
}

impl From<FileError> for Problem {
    fn from(error: FileError) -> Self {
        Self::internal(error)
    }
}
