//! Commands: submitted once, previewed, and waited for.
pub mod databases;
pub mod drift;
pub mod imports;
mod jobs;
pub mod loads;
pub mod plans;
pub mod preview;
pub mod schedules;
pub mod tokens;
pub mod undo;
pub mod webhooks;

use self::preview::{Consequences, Preview};
use super::Service;
use super::caller::{AccessDenied, Caller};
use super::jobs::has_ended;
use super::lists::LookupError;
use super::resolver::ResolveError;
use crate::control::{Accepted, Submission, SubmitError};
use crate::data::uploads::UploadError;
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::database::Database;
use crate::domain::event::Event;
use crate::domain::event::recorded::Idempotency;
use crate::domain::ids::{JobId, Sequence};
use crate::domain::job::{Job, JobState};
use crate::domain::state::State;
use crate::domain::undo::CannotUndo;
use crate::event_log::{AppendError, ReadError};
use crate::runtime::RuntimeError;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The caller of a command, and its conditions.
#[derive(Debug, Clone)]
pub struct CommandRequest {
    /// The caller.
    pub caller: Caller,
    /// Whether it is a dry run: only previewed.
    pub dry_run: bool,
    /// The caller's key for doing this once.
    pub idempotency: Option<Idempotency>,
    /// The last event about its database that the caller has seen.
    pub if_match: Option<Sequence>,
    /// The event that is acted on.
    pub causation: Option<Sequence>,
    /// How long the caller waits for the job to end.
    pub wait: Option<Duration>,
}

/// What came of a command, or would come of it.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It was carried out.
    Done(T),
    /// It was a dry run.
    Preview(Preview),
}

/// A command with the job that it put in the queue.
#[derive(Debug)]
pub struct Enqueued {
    /// What happened.
    pub accepted: Accepted,
    /// The job, as it was at the end of the wait.
    pub job: Arc<Job>,
    /// How long the caller waited at most, where the job has ended within it.
    pub ended_within: Option<Duration>,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommandError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// There is no such database.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// What it is about is not there, or not visible yet.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The rules or the log do not take it.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// A condition on a database was sent with a command about none.
    #[error("`If-Match` requires an existing database")]
    NoDatabaseToMatch,
    /// The database that an earlier request with the same key was about is gone.
    #[error("database `{0}` no longer exists")]
    Gone(String),
    /// The job has ended already.
    #[error("job {job} is already {}", state.as_str())]
    JobOver {
        /// Which job.
        job: JobId,
        /// How it ended.
        state: JobState,
    },
    /// A schedule that was run by hand did nothing.
    #[error("{refusal}")]
    NotFired {
        /// The schedule's name or id.
        schedule: String,
        /// Why.
        refusal: String,
    },
    /// The engine cannot work here.
    #[error("databases of engine `{engine}` cannot be made here: {reason}")]
    EngineUnavailable {
        /// Which engine.
        engine: &'static str,
        /// What is missing.
        reason: String,
    },
    /// A limit is below what the engine's databases need.
    #[error("`limits.{name}` of a {engine} database is at least {least}")]
    TooSmall {
        /// Which engine.
        engine: &'static str,
        /// Which limit.
        name: &'static str,
        /// What it may be at least.
        least: u64,
    },
    /// No event has this sequence.
    #[error("there is no event `{0}`")]
    EventNotFound(String),
    /// Nothing takes it back.
    #[error(transparent)]
    CannotUndo(#[from] CannotUndo),
    /// No token has this id.
    #[error("there is no token `{0}`")]
    TokenNotFound(String),
    /// No worker of this id is in quarantine.
    #[error("there is no quarantined worker `{0}`")]
    WorkerNotFound(String),
    /// The reconciler has found no such folder.
    #[error("the reconciler has not reported an orphaned folder `{0}`")]
    FolderNotFound(String),
    /// The event log is read-only.
    #[error("folders cannot be moved while the event log is read-only")]
    FoldersLeftAlone,
    /// Webhooks may not go to this address.
    #[error("webhooks to {0} are not allowed")]
    WebhookTarget(IpAddr),
    /// A secret that the caller chose is no secret.
    #[error("{0}")]
    InvalidSecret(String),
    /// The container runtime does not do it.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// The upload that it names is not there.
    #[error(transparent)]
    Upload(Arc<UploadError>),
    /// The database has tables already.
    #[error("database `{0}` is not empty")]
    NotEmpty(String),
    /// No file is loaded into databases of this engine.
    #[error("databases of engine `{engine}` are not loaded from files")]
    NotLoaded {
        /// Which engine.
        engine: String,
    },
    /// A fault of the gateway.
    #[error("{0}")]
    Internal(String),
}

impl CommandError {
    pub(super) fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<Refusal> for CommandError {
    fn from(refusal: Refusal) -> Self {
        Self::Submit(refusal.into())
    }
}

impl From<ReadError> for CommandError {
    fn from(error: ReadError) -> Self {
        Self::Submit(error.into())
    }
}

impl From<AppendError> for CommandError {
    fn from(error: AppendError) -> Self {
        Self::Submit(error.into())
    }
}

impl Service {
    /// Carries out a command once: an earlier request with the same key is answered as it was,
    /// before anything is looked up that it may itself have changed.
    ///
    /// # Errors
    /// When `command` finds nothing to act on, or the command is refused.
    pub async fn carry_out(
        &self,
        request: &CommandRequest,
        command: impl FnOnce(&State) -> Result<Command, CommandError>,
    ) -> Result<Accepted, CommandError> {
        if let Some(earlier) = self.find_earlier(request).await? {
            return Ok(earlier);
        }
        let command = command(&self.control.current().state)?;
        if request.if_match.is_some() && command.database().is_none() {
            return Err(CommandError::NoDatabaseToMatch);
        }
        let caller = &request.caller;
        let submission = Submission {
            idempotency: request.idempotency.clone(),
            if_match: request.if_match,
            causation: request.causation,
            token: caller.token_id(),
            ..Submission::new(command, caller.actor(), caller.request)
        };
        Ok(self.control.submit(submission).await?)
    }

    /// Carries out a command, or previews it in a dry run.
    ///
    /// # Errors
    /// As [`Self::carry_out`].
    pub async fn carry_out_or_preview(
        &self,
        request: &CommandRequest,
        command: impl FnOnce(&State) -> Result<Command, CommandError>,
    ) -> Result<Outcome<Accepted>, CommandError> {
        if request.dry_run {
            let command = command(&self.control.current().state)?;
            return Ok(Outcome::Preview(self.preview(request, &command)?));
        }
        let accepted = self.carry_out(request, command).await?;
        Ok(Outcome::Done(accepted))
    }

    /// Carries out a command that becomes a job, and waits for it as long as the caller wants.
    ///
    /// # Errors
    /// As [`Self::carry_out`].
    pub async fn enqueue(
        &self,
        request: &CommandRequest,
        command: impl FnOnce(&State) -> Result<Command, CommandError>,
    ) -> Result<Outcome<Enqueued>, CommandError> {
        Ok(match self.carry_out_or_preview(request, command).await? {
            Outcome::Done(accepted) => Outcome::Done(self.follow(request, accepted).await?),
            Outcome::Preview(preview) => Outcome::Preview(preview),
        })
    }

    /// What the command would bring about now, on the request's conditions.
    ///
    /// # Errors
    /// When the rules refuse it, or its database has changed since the caller looked.
    pub(super) fn preview(
        &self,
        request: &CommandRequest,
        command: &Command,
    ) -> Result<Preview, CommandError> {
        let current = self.control.current();
        let database = command.database().and_then(|it| current.state.database(it));
        if let (Some(expected), Some(database)) = (request.if_match, database)
            && database.sequence != expected
        {
            let actual = database.sequence;
            return Err(SubmitError::Changed { expected, actual }.into());
        }
        Ok(Preview {
            base: current.head.sequence,
            consequences: self.consequences(command)?,
        })
    }

    /// What the command would bring about now.
    pub(super) fn consequences(&self, command: &Command) -> Result<Consequences, Refusal> {
        let state = &self.control.current().state;
        let events = self.control.plan(command)?;
        let database = events.iter().find_map(Event::database);
        let database = database.and_then(|it| state.database(it));
        let bytes = database.and_then(|database| self.size_of(database));
        Ok(Consequences::of(events, state, bytes))
    }

    /// The size of a database's files, while it has some. A look at a folder or two: too little to
    /// leave the thread for.
    #[must_use]
    pub fn size_of(&self, database: &Database) -> Option<u64> {
        Some(self.data.size_bytes(database)).filter(|bytes| *bytes > 0)
    }

    /// Waits for the job of a command, as long as the caller wants.
    pub(super) async fn follow(
        &self,
        request: &CommandRequest,
        accepted: Accepted,
    ) -> Result<Enqueued, CommandError> {
        let job = accepted
            .job()
            .ok_or_else(|| CommandError::internal("a lifecycle command put no job in the queue"))?;
        self.follow_job(request, accepted, job).await
    }

    /// The same with a job that an earlier command may have put there.
    pub(super) async fn follow_job(
        &self,
        request: &CommandRequest,
        accepted: Accepted,
        job: JobId,
    ) -> Result<Enqueued, CommandError> {
        let job = match request.wait {
            None => self.known_job(job).await?,
            Some(wait) => self.wait_for_job(job, wait).await?,
        };
        Ok(Enqueued {
            accepted,
            ended_within: request.wait.filter(|_| has_ended(&job)),
            job,
        })
    }

    /// What an earlier request with the same key brought about.
    pub(super) async fn find_earlier(
        &self,
        request: &CommandRequest,
    ) -> Result<Option<Accepted>, CommandError> {
        let Some(wanted) = request.idempotency.clone() else {
            return Ok(None);
        };
        let control = self.control.clone();
        let caller = &request.caller;
        let (actor, token) = (caller.actor(), caller.token_id());
        let look = move || control.find_earlier(&actor, token, &wanted);
        let looked = tokio::task::spawn_blocking(look).await;
        Ok(looked.map_err(CommandError::internal)??)
    }
}
