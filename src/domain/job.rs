//! Jobs: slow work on one database, as the events tell it.
pub use super::verb::JobKind;

use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{Actor, DatabaseId, JobId, RequestId, Sequence};
use super::import::ImportSummary;
use super::load::LoadSummary;
use super::name::DatabaseName;
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// After this many crashes in a row a step is suspected and runs alone; at the next one its job is
/// given up.
pub const SUSPECT_CRASHES: u32 = 5;
/// Attempts that a job shows. While the container runtime is away, undoing is tried again without
/// end, and the log has every attempt anyway.
const SHOWN_ATTEMPTS: usize = 100;

/// The longest wait between two attempts: a container runtime that comes back is noticed within it.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The same while files that are going cannot be removed: each attempt is three events, and the
/// cause may stay for a night.
const LONGEST_REMOVAL_RETRY: Duration = Duration::from_secs(300);

/// The name of a step of a job's kind: `ensure_worker`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepName(pub String);

impl fmt::Display for StepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a finished step brought about. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// Nothing to record.
    Nothing,
    /// The database's file is there and answers.
    FilesCreated,
    /// The worker runs, under this id.
    WorkerStarted {
        /// The worker's id under the runtime.
        worker: String,
    },
    /// The worker is gone.
    WorkerRemoved,
    /// SQL is refused, the files are closed.
    Stopped,
    /// SQL is answered again.
    Started,
    /// The files are in the trash.
    Trashed,
    /// The files are back from the trash.
    Undeleted,
    /// The files are gone for good.
    Purged,
    /// The files are out of their place, still whole, and next are removed.
    SetAside,
    /// The database holds what was loaded; what it held is in the trash.
    Loaded { load: LoadSummary },
    /// The database holds what was in the trash, and the other way round.
    Exchanged,
    /// The rows of a file are in their table.
    Imported { import: ImportSummary },
}

impl StepOutcome {
    /// Whether it is what its job was asked for, and is shown as its result.
    #[must_use]
    pub fn is_result(&self) -> bool {
        match self {
            Self::Loaded { .. } | Self::Imported { .. } => true,
            Self::Nothing
            | Self::FilesCreated
            | Self::WorkerStarted { .. }
            | Self::WorkerRemoved
            | Self::Stopped
            | Self::Started
            | Self::Trashed
            | Self::Undeleted
            | Self::Purged
            | Self::SetAside
            | Self::Exchanged => false,
        }
    }
}

/// What went wrong in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
#[serde(deny_unknown_fields)]
pub struct JobError {
    /// Which sort of trouble.
    pub code: JobErrorCode,
    /// What failed and for what, in a sentence.
    pub detail: String,
}

/// Sorts of trouble. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobErrorCode {
    /// A bug, or an unexpected answer of the system.
    Internal,
    /// The container runtime is unreachable.
    RuntimeUnavailable,
    /// The container runtime refused: the image is missing, or a limit is not supported.
    RuntimeRefused,
    /// The worker started, but its health check fails.
    WorkerUnhealthy,
    /// A step took longer than it may.
    StepTimedOut,
    /// Running SQL did not release the files in time.
    DatabaseBusy,
    /// The database's file is missing.
    DataMissing,
    /// The disk is full.
    DiskFull,
    /// The gateway crashed in this step repeatedly.
    CrashedRepeatedly,
    /// The database was given up while the job waited.
    DatabaseGone,
    /// The gateway was out of file descriptors.
    Overloaded,
    /// A file cannot be removed.
    FileNotRemoved,
    /// The database that was to be deleted first still has the name.
    NameTaken,
    /// The file that was to be imported is not what it should be.
    ImportRefused,
    /// The database is not empty.
    NotEmpty,
    /// The database would become larger than it may be.
    QuotaExceeded,
    /// The upload is gone.
    UploadGone,
    /// The database's engine cannot work here: what runs it is missing, or of another version.
    EngineUnavailable,
}

impl JobErrorCode {
    /// The longest wait behind it, before that is spread.
    #[must_use]
    pub fn longest_retry(self) -> Duration {
        if self == Self::FileNotRemoved {
            LONGEST_REMOVAL_RETRY
        } else {
            LONGEST_RETRY
        }
    }

    /// Whether its job tries again without end: giving up would leave what is half done.
    #[must_use]
    pub fn never_gives_up(self) -> bool {
        self == Self::FileNotRemoved
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for its turn.
    Queued,
    /// Is being done, or undone.
    Running,
    /// Waits for its next attempt.
    RetryWait,
    /// Reached its end.
    Succeeded,
    /// Ended without success; what it did was undone.
    Failed,
    /// The rollback failed; an operator has to intervene.
    Stuck,
    /// Cancelled.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Queued,
        Self::Running,
        Self::RetryWait,
        Self::Succeeded,
        Self::Failed,
        Self::Stuck,
        Self::Cancelled,
    ];

    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::RetryWait => "retry_wait",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Stuck => "stuck",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will happen to the job any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// One try at a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Why it did not succeed.
    pub error: Option<JobError>,
}

/// The step a job is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningStep {
    pub name: StepName,
    /// How often the gateway died in it in this attempt.
    pub crashes: u32,
}

/// A job as its events tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its permanent id.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The database whose queue it is in.
    pub database: DatabaseId,
    /// That database's name.
    pub database_name: DatabaseName,
    /// Where it stands.
    pub state: JobState,
    /// The step it is in, while an attempt runs; of a step that is undone only what an earlier
    /// boot left.
    pub step: Option<RunningStep>,
    /// Steps that began at least once and were not undone, in order.
    pub begun_steps: Vec<StepName>,
    /// Steps that ended well and were not undone, in order.
    pub finished_steps: Vec<StepName>,
    /// The latest tries, oldest first.
    pub attempts: Vec<Attempt>,
    /// Whether its cancellation was requested.
    pub cancel_requested: bool,
    /// Whether it is being undone.
    pub compensating: bool,
    /// How often undoing has failed.
    pub undo_failures: u32,
    /// The trouble that decided how it ends.
    pub error: Option<JobError>,
    /// The worker it started.
    pub worker: Option<String>,
    /// What it has brought, of a kind that brings something.
    pub result: Option<StepOutcome>,
    /// When the next attempt may begin.
    pub retry_at: Option<Timestamp>,
    /// Past this moment no further attempt begins.
    pub deadline: Option<Timestamp>,
    /// The actor who requested it.
    pub actor: Actor,
    /// The request that asked for it.
    pub request: RequestId,
    /// The event that put it in the queue.
    pub enqueued: Sequence,
    /// The last event that changed it.
    pub sequence: Sequence,
    /// When it was put in the queue.
    pub created_at: Timestamp,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

impl Job {
    /// The job that an event begins, where it begins one.
    #[must_use]
    pub fn begun_by(recorded: &RecordedEvent) -> Option<Self> {
        let Event::JobEnqueued(it) = &recorded.event else {
            return None;
        };
        Some(Self {
            id: it.job,
            kind: it.kind.clone(),
            database: it.database,
            database_name: it.database_name.clone(),
            state: JobState::Queued,
            step: None,
            begun_steps: Vec::new(),
            finished_steps: Vec::new(),
            attempts: Vec::new(),
            cancel_requested: false,
            compensating: false,
            undo_failures: 0,
            error: None,
            worker: None,
            result: None,
            retry_at: None,
            deadline: None,
            actor: recorded.commit.actor.clone(),
            request: recorded.commit.request,
            enqueued: recorded.sequence,
            sequence: recorded.sequence,
            created_at: recorded.commit.time,
            started_at: None,
            finished_at: None,
        })
    }

    /// Follows one of its own events.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "events of databases, tokens and the forge do not change a job"
    )]
    pub fn evolve(&mut self, recorded: &RecordedEvent) {
        let now = recorded.commit.time;
        self.sequence = recorded.sequence;
        match &recorded.event {
            Event::JobStarted(it) => {
                self.state = JobState::Running;
                self.retry_at = None;
                self.deadline = Some(it.deadline);
                self.started_at.get_or_insert(now);
                if self.attempts.len() == SHOWN_ATTEMPTS {
                    self.attempts.remove(0);
                }
                self.attempts.push(Attempt {
                    number: it.attempt,
                    started_at: now,
                    ended_at: None,
                    error: None,
                });
            }
            Event::StepStarted(it) => {
                let crashes = match &self.step {
                    Some(step) if step.name == it.step => step.crashes + 1,
                    // An undoing step tells that it begins only where an earlier boot left it.
                    _ => u32::from(self.compensating),
                };
                self.step = Some(RunningStep {
                    name: it.step.clone(),
                    crashes,
                });
                if !self.begun_steps.contains(&it.step) {
                    self.begun_steps.push(it.step.clone());
                }
            }
            Event::StepFinished(it) => {
                self.step = None;
                self.finished_steps.push(it.step.clone());
                if let StepOutcome::WorkerStarted { worker } = &it.outcome {
                    self.worker = Some(worker.clone());
                }
                if it.outcome.is_result() {
                    self.result = Some(it.outcome.clone());
                }
            }
            Event::JobRetryScheduled(it) => {
                self.state = JobState::RetryWait;
                self.step = None;
                self.undo_failures += u32::from(self.compensating);
                self.retry_at = Some(it.retry_at);
                self.end_attempt(now, Some(it.error.clone()));
            }
            Event::JobCompensating(it) => {
                self.state = JobState::Running;
                self.step = None;
                self.retry_at = None;
                self.compensating = true;
                self.error = it.error.clone();
                self.end_attempt(now, it.error.clone());
            }
            Event::StepUndone(it) => {
                self.step = None;
                self.begun_steps.retain(|step| *step != it.step);
                self.finished_steps.retain(|step| *step != it.step);
            }
            Event::JobCancelRequested(_) => self.cancel_requested = true,
            Event::JobSucceeded(_) => self.end(JobState::Succeeded, now),
            Event::JobCancelled(_) => self.end(JobState::Cancelled, now),
            Event::JobFailed(it) => {
                self.error = Some(it.error.clone());
                self.end(JobState::Failed, now);
            }
            Event::JobStuck(it) => {
                self.error = Some(it.error.clone());
                self.end_attempt(now, Some(it.error.clone()));
                self.state = JobState::Stuck;
                self.step = None;
            }
            Event::JobReleased(_) => {
                self.state = JobState::RetryWait;
                self.retry_at = Some(recorded.commit.wall_time());
                self.undo_failures = 0;
            }
            _ => {}
        }
    }

    /// Whether the gateway has died in its step so often that the next death is its end. One that
    /// an earlier boot has left is about to count the death of that boot.
    #[must_use]
    pub fn is_suspected(&self, left_by_earlier_process: bool) -> bool {
        let crashes = self.step.as_ref().map(|it| it.crashes);
        crashes.is_some_and(|it| it + u32::from(left_by_earlier_process) >= SUSPECT_CRASHES)
    }

    /// Whether its next attempt may begin. A moment further ahead than any wait is long was
    /// chosen by a clock that has been set back since.
    #[must_use]
    pub fn may_begin(&self, now: Timestamp) -> bool {
        match self.state {
            JobState::Queued => true,
            JobState::RetryWait => self.retry_at.is_none_or(|at| {
                let error = self
                    .attempts
                    .last()
                    .and_then(|attempt| attempt.error.as_ref());
                let longest = error.map_or(LONGEST_RETRY, |error| error.code.longest_retry());
                at <= now || at.since(now) > longest * 3 / 2
            }),
            JobState::Running
            | JobState::Stuck
            | JobState::Succeeded
            | JobState::Failed
            | JobState::Cancelled => false,
        }
    }

    /// How many attempts have begun.
    #[must_use]
    pub fn attempt_count(&self) -> u32 {
        self.attempts.last().map_or(0, |it| it.number)
    }

    fn end(&mut self, state: JobState, now: Timestamp) {
        self.state = state;
        self.step = None;
        self.retry_at = None;
        self.finished_at = Some(now);
        self.end_attempt(now, None);
    }

    fn end_attempt(&mut self, now: Timestamp, error: Option<JobError>) {
        if let Some(attempt) = self
            .attempts
            .last_mut()
            .filter(|attempt| attempt.ended_at.is_none())
        {
            attempt.ended_at = Some(now);
            attempt.error = error;
        }
    }
}
