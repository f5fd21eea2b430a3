//! Errors of the domain, the event log, the runtime and jobs as HTTP problems.
use super::error::{ErrorCode, Problem};
use crate::control::SubmitError;
use crate::domain::command::refusal::Refusal;
use crate::domain::job::{JobError, JobErrorCode};
use crate::domain::undo::CannotUndo;
use crate::event_log::{AppendError, ReadError};
use crate::runtime::RuntimeError;

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = sentence(&refusal);
        match refusal {
            Refusal::DatabaseExists(name) => Self::new(ErrorCode::DatabaseExists, detail).hint(
                format!("choose another name, or see GET /v1/databases/{name}"),
            ),
            Refusal::OtherEngine { name, .. } => {
                Self::new(ErrorCode::DatabaseExists, detail).hint(format!(
                    "`if_exists=return` requires the same engine; see GET /v1/databases/{name}"
                ))
            }
            Refusal::DatabaseExpired { name, .. } => Self::new(ErrorCode::DatabaseExpired, detail)
                .hint(format!(
                    "PATCH /v1/databases/{name} with a new `ttl` restores it until it is moved to the trash"
                )),
            Refusal::NoWayBack(job) => Self::new(ErrorCode::WrongState, detail)
                .hint(format!("see GET /v1/jobs/{job}")),
            Refusal::DatabaseNotFound(_) => {
                Self::new(ErrorCode::DatabaseNotFound, detail).hint("GET /v1/databases lists them")
            }
            Refusal::DatabaseDeleted(name) => {
                Self::new(ErrorCode::DatabaseDeleted, detail).hint(format!(
                    "POST /v1/databases/{name}/undelete restores it, \
                     DELETE …?purge=true deletes it permanently"
                ))
            }
            Refusal::DatabasePurging(_) => Self::new(ErrorCode::DatabaseDeleted, detail),
            Refusal::NotInTrash { .. } => Self::new(ErrorCode::WrongState, detail)
                .hint("use the id for a deleted database whose name is taken"),
            Refusal::WrongState { .. } | Refusal::AlreadyInitialized => {
                Self::new(ErrorCode::WrongState, detail)
            }
            Refusal::DatabaseProtected(name) => Self::new(ErrorCode::DatabaseProtected, detail)
                .hint(format!(
                    "send PATCH /v1/databases/{name} with {{\"protect\":false}} first"
                )),
            Refusal::DatabaseStuck { job, .. } => {
                let problem = Self::new(ErrorCode::DatabaseStuck, detail);
                match job {
                    Some(job) => problem.hint(format!(
                        "see GET /v1/jobs/{job}; POST /v1/jobs/{job}/retry retries it"
                    )),
                    None => problem,
                }
            }
            Refusal::JobNotFound(_) => {
                Self::new(ErrorCode::JobNotFound, detail).hint("GET /v1/jobs lists them")
            }
            Refusal::JobState { job, .. } => {
                Self::new(ErrorCode::WrongState, detail).hint(format!("see GET /v1/jobs/{job}"))
            }
            Refusal::QueueFull { .. } => Self::new(ErrorCode::Overloaded, detail),
            Refusal::TokenExists(_) => Self::new(ErrorCode::TokenExists, detail)
                .hint("choose another name, or revoke the existing token first"),
            Refusal::TokenNotFound(_) => {
                Self::new(ErrorCode::TokenNotFound, detail).hint("GET /v1/tokens lists them")
            }
            Refusal::ScheduleExists(name) => Self::new(ErrorCode::ScheduleExists, detail).hint(
                format!("choose another name, or change the schedule: PATCH /v1/schedules/{name}"),
            ),
            Refusal::ScheduleNotFound(_) => {
                Self::new(ErrorCode::ScheduleNotFound, detail).hint("GET /v1/schedules lists them")
            }
            Refusal::WebhookNotFound(_) => {
                Self::new(ErrorCode::WebhookNotFound, detail).hint("GET /v1/webhooks lists them")
            }
            Refusal::ScheduleWithoutRight(_) | Refusal::ScheduleOverlaps(_) => {
                Self::new(ErrorCode::WrongState, detail)
            }
            Refusal::PlanNotFound(_) => Self::new(ErrorCode::PlanNotFound, detail)
                .hint("GET /v1/plans lists them; plans are kept for one day"),
            Refusal::PlanStale { .. } => Self::new(ErrorCode::PlanStale, detail)
                .hint("make a new plan: POST /v1/plans"),
            Refusal::TooManyPlans { .. } => Self::new(ErrorCode::Overloaded, detail).lasting(),
            Refusal::Invalid(_) => Self::new(ErrorCode::InvalidRequest, detail),
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let detail = sentence(&error);
        match error {
            SubmitError::Refused(refusal) => refusal.into(),
            SubmitError::KeyReused => {
                Self::new(ErrorCode::IdempotencyKeyReused, detail).hint("use a new key")
            }
            SubmitError::Changed { .. } => Self::new(ErrorCode::PreconditionFailed, detail)
                .hint("fetch the database again and retry"),
            SubmitError::NotAppended(error) => error.into(),
            SubmitError::Unreadable(error) => error.into(),
            SubmitError::Stopping => Self::new(ErrorCode::Stopping, detail),
        }
    }
}

impl From<CannotUndo> for Problem {
    fn from(error: CannotUndo) -> Self {
        let detail = sentence(&error);
        match error {
            CannotUndo::Never { .. } => Self::new(ErrorCode::CannotBeUndone, detail),
            CannotUndo::Already { by, .. } => Self::new(ErrorCode::WrongState, detail)
                .hint(format!("POST /v1/events/{by}/undo undoes that")),
            CannotUndo::Superseded { by, .. } => Self::new(ErrorCode::WrongState, detail)
                .hint(format!("undo event {by} first: GET /v1/events/{by}")),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let detail = sentence(&error);
        match error {
            AppendError::Conflict { .. } => Self::internal(error),
            AppendError::Unknown { .. } => Self::new(ErrorCode::TimedOut, detail).hint(
                "look at GET /v1/events whether it happened, or send it again with the same \
                 Idempotency-Key: then it happens once",
            ),
            AppendError::ReadOnly { .. } => Self::new(ErrorCode::LogReadOnly, detail)
                .hint("SQL on ready databases still works; run `dbforge doctor`"),
            AppendError::DiskFull => Self::new(ErrorCode::DiskFull, detail),
            AppendError::NoFiles => Self::new(ErrorCode::Overloaded, detail),
            AppendError::TooLarge { .. } => Self::new(ErrorCode::PayloadTooLarge, detail),
        }
    }
}

impl From<RuntimeError> for Problem {
    fn from(error: RuntimeError) -> Self {
        let detail = sentence(&error);
        match error {
            RuntimeError::Unavailable { .. } => Self::new(ErrorCode::RuntimeUnavailable, detail),
            RuntimeError::Refused { .. } => Self::new(ErrorCode::RuntimeRefused, detail),
            RuntimeError::Failed { .. } => Self::internal(error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::internal(error)
    }
}

impl From<&JobError> for Problem {
    fn from(error: &JobError) -> Self {
        let code = match error.code {
            JobErrorCode::Internal
            | JobErrorCode::CrashedRepeatedly
            | JobErrorCode::FileNotRemoved => ErrorCode::Internal,
            JobErrorCode::NameTaken => ErrorCode::DatabaseExists,
            JobErrorCode::RuntimeUnavailable => ErrorCode::RuntimeUnavailable,
            JobErrorCode::RuntimeRefused => ErrorCode::RuntimeRefused,
            JobErrorCode::WorkerUnhealthy => ErrorCode::WorkerUnhealthy,
            JobErrorCode::StepTimedOut => ErrorCode::TimedOut,
            JobErrorCode::DatabaseBusy => ErrorCode::DatabaseBusy,
            JobErrorCode::DataMissing => ErrorCode::DataMissing,
            JobErrorCode::DiskFull => ErrorCode::DiskFull,
            JobErrorCode::DatabaseGone => ErrorCode::DatabaseDeleted,
            JobErrorCode::Overloaded => ErrorCode::Overloaded,
            JobErrorCode::ImportRefused => ErrorCode::ImportRefused,
            JobErrorCode::NotEmpty => ErrorCode::DatabaseNotEmpty,
            JobErrorCode::QuotaExceeded => ErrorCode::QuotaExceeded,
            JobErrorCode::UploadGone => ErrorCode::UploadNotFound,
            JobErrorCode::EngineUnavailable => ErrorCode::EngineUnavailable,
        };
        Self::new(code, sentence(error))
    }
}

/// An error's text as a sentence: a capital letter in front, unless the first word is the name of
/// something, and a full stop behind.
pub(crate) fn sentence(error: &impl std::fmt::Display) -> String {
    let mut text = error.to_string();
    let first_word = text.split(' ').next().unwrap_or_default();
    if !first_word.is_empty() && first_word.bytes().all(|it| it.is_ascii_lowercase()) {
        text[..1].make_ascii_uppercase();
    }
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}
