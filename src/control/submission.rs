//! Commands as they are submitted, and their results.
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::recorded::{Idempotency, RecordedEvent, enqueued_job};
use crate::domain::ids::{Actor, DatabaseId, JobId, RequestId, Sequence, TokenId};
use crate::event_log::{AppendError, ReadError};
use tokio::sync::oneshot;

/// A command and its sender.
#[derive(Debug, Clone)]
pub struct Submission {
    pub command: Command,
    /// Who sends it.
    pub actor: Actor,
    /// The sender's token; none for root and for internal commands.
    pub token: Option<TokenId>,
    pub request: RequestId,
    /// The first request in the chain of causes.
    pub correlation: RequestId,
    /// The event that caused it, where one did.
    pub causation: Option<Sequence>,
    /// The caller's idempotency key.
    pub idempotency: Option<Idempotency>,
    /// The last event of the command's database that the caller has seen.
    pub if_match: Option<Sequence>,
}

impl Submission {
    /// A command without conditions.
    #[must_use]
    pub fn new(command: Command, actor: Actor, request: RequestId) -> Self {
        Self {
            command,
            actor,
            token: None,
            request,
            correlation: request,
            causation: None,
            idempotency: None,
            if_match: None,
        }
    }
}

/// The result of a command.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The appended events; empty when there was nothing to do.
    pub events: Vec<RecordedEvent>,
    /// The end of the log at that time.
    pub sequence: Sequence,
    /// Whether this is the result of an earlier request with the same idempotency key.
    pub replayed: bool,
}

impl Accepted {
    /// The job that the command enqueued.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        enqueued_job(&self.events)
    }

    /// The database that the command was about.
    #[must_use]
    pub fn database(&self) -> Option<DatabaseId> {
        self.events
            .iter()
            .find_map(|recorded| recorded.event.database())
    }
}

/// Why a command changed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The rules do not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller's idempotency key was used for another request.
    #[error("this idempotency key was used for a different request")]
    KeyReused,
    /// The database has changed since the caller read it.
    #[error("the database was last changed by event {actual}, not by {expected}")]
    Changed {
        /// The caller's version.
        expected: Sequence,
        /// The current version.
        actual: Sequence,
    },
    /// The events could not be appended.
    #[error(transparent)]
    NotAppended(#[from] AppendError),
    /// The event log could not be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// The gateway is stopping.
    #[error("the gateway is shutting down and accepts no more commands")]
    Stopping,
}

/// A submission and where its answer goes.
pub(super) struct Waiting {
    pub(super) submission: Submission,
    pub(super) answer: oneshot::Sender<Result<Accepted, SubmitError>>,
}
