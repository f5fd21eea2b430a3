//! What the rules, the event log and the jobs say no with, as problems.
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
                format!("choose another name, or look at GET /v1/databases/{name}"),
            ),
            Refusal::OtherEngine { name, .. } => {
                Self::new(ErrorCode::DatabaseExists, detail).hint(format!(
                    "`if_exists=return` is for the same engine; look at GET /v1/databases/{name}"
                ))
            }
            Refusal::DatabaseExpired { name, .. } => Self::new(ErrorCode::DatabaseExpired, detail)
                .hint(format!(
                    "PATCH /v1/databases/{name} with another `ttl` keeps it until the trash has it"
                )),
            Refusal::NoWayBack(job) => Self::new(ErrorCode::WrongState, detail)
                .hint(format!("GET /v1/jobs/{job} says what keeps it")),
            Refusal::DatabaseNotFound(_) => {
                Self::new(ErrorCode::DatabaseNotFound, detail).hint("GET /v1/databases lists them")
            }
            Refusal::DatabaseDeleted(name) => {
                Self::new(ErrorCode::DatabaseDeleted, detail).hint(format!(
                    "POST /v1/databases/{name}/undelete brings it back, \
                     DELETE …?purge=true removes it for good"
                ))
            }
            Refusal::DatabasePurging(_) => Self::new(ErrorCode::DatabaseDeleted, detail),
            Refusal::NotInTrash { .. } => Self::new(ErrorCode::WrongState, detail)
                .hint("a deleted one of the same name is reached by its id"),
            Refusal::WrongState { .. } | Refusal::AlreadyInitialized => {
                Self::new(ErrorCode::WrongState, detail)
            }
            Refusal::DatabaseProtected(name) => Self::new(ErrorCode::DatabaseProtected, detail)
                .hint(format!(
                    "PATCH /v1/databases/{name} with {{\"protect\":false}} first"
                )),
            Refusal::DatabaseStuck { job, .. } => {
                let problem = Self::new(ErrorCode::DatabaseStuck, detail);
                match job {
                    Some(job) => problem.hint(format!(
                        "look at GET /v1/jobs/{job}; POST /v1/jobs/{job}/retry tries again"
                    )),
                    None => problem,
                }
            }
            Refusal::JobNotFound(_) => {
                Self::new(ErrorCode::JobNotFound, detail).hint("GET /v1/jobs lists them")
            }
            Refusal::JobState { job, .. } => {
                Self::new(ErrorCode::WrongState, detail).hint(format!("look at GET /v1/jobs/{job}"))
            }
            Refusal::QueueFull { .. } => Self::new(ErrorCode::Overloaded, detail),
            Refusal::TokenExists(_) => Self::new(ErrorCode::TokenExists, detail)
                .hint("choose another name, or revoke that token first"),
            Refusal::TokenNotFound(_) => {
                Self::new(ErrorCode::TokenNotFound, detail).hint("GET /v1/tokens lists them")
            }
            Refusal::ScheduleExists(name) => Self::new(ErrorCode::ScheduleExists, detail).hint(
                format!("choose another name, or change it: PATCH /v1/schedules/{name}"),
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
                .hint("GET /v1/plans lists them; a plan is forgotten after a day"),
            Refusal::PlanStale { .. } => Self::new(ErrorCode::PlanStale, detail)
                .hint("look at what changed, then make a new plan: POST /v1/plans"),
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
            SubmitError::KeyReused => Self::new(ErrorCode::IdempotencyKeyReused, detail)
                .hint("make a new key for a new request"),
            SubmitError::Changed { .. } => Self::new(ErrorCode::PreconditionFailed, detail)
                .hint("get the database again, then decide again"),
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
                .hint(format!("POST /v1/events/{by}/undo takes that back")),
            CannotUndo::Superseded { by, .. } => Self::new(ErrorCode::WrongState, detail)
                .hint(format!("look at GET /v1/events/{by}, and undo that first")),
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
                .hint("SQL on ready databases goes on; `dbforge doctor` explains"),
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
