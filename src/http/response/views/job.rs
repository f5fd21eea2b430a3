//! Jobs as the API shows them.
use crate::clock::timestamp::Timestamp;
use crate::domain::import::ImportSummary;
use crate::domain::job::{Attempt, Job, JobError, JobState, StepOutcome};
use crate::domain::load::LoadForm;
use crate::domain::state::State;
use crate::http::openapi::words;
use crate::http::response::error::{ErrorCode, Problem, ProblemBody};
use crate::jobs::kinds::steps;
use crate::jobs::progress::ProgressMap;
use crate::service::jobs::{JobProgress, queue_position};
use serde::Serialize;
use utoipa::ToSchema;

/// A background job on one database.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    #[schema(value_type = words::JobKind)]
    kind: &'static str,
    /// Database name.
    database: String,
    #[schema(value_type = words::JobState, example = "running")]
    state: JobState,
    /// Number of jobs ahead of it on the same database; only while queued.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue_position: Option<usize>,
    /// Current step; only while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<StepView>,
    /// Progress; only while running or rolling back.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<ProgressView>,
    /// Whether cancellation was requested; takes effect at the next step, during imports and exports
    /// at once.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cancel_requested: bool,
    attempts: Vec<AttemptView>,
    /// Earliest start of the next attempt; only while waiting to retry.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_at: Option<Timestamp>,
    /// No attempt starts after this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Timestamp>,
    /// What it brought; only of imports that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<JobResultView>,
    /// Why it failed or is stuck.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<ProblemBody>,
    /// Who requested it.
    #[schema(example = "token/ci")]
    actor: String,
    /// Id of the request.
    request_id: String,
    /// Last event about it.
    sequence: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    finished_at: Option<Timestamp>,
}

/// Current step of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobStep)]
struct StepView {
    #[schema(example = "ensure_worker")]
    name: &'static str,
    /// Step number, from 1.
    number: usize,
    /// Number of steps.
    total: usize,
    /// Time limit of the step.
    time_limit_ms: u128,
    /// How often the gateway crashed in this step. From five on it runs alone; after that the job
    /// fails.
    crashes: u32,
}

/// What a job brought.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = JobResult)]
#[serde(untagged)]
enum JobResultView {
    Load(LoadView),
    Import(ImportView),
}

/// What was imported.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportedDatabase)]
struct LoadView {
    /// What the file was: `sql` or `file`.
    #[schema(value_type = String, example = "sql")]
    form: LoadForm,
    /// Statements that were run; 0 for a SQLite file.
    statements: u64,
    /// Tables in the database now.
    tables: u64,
    /// Rows that statements wrote; 0 for a SQLite file.
    rows: u64,
    /// Bytes of the database.
    size_bytes: u64,
    /// Rows that violate a foreign key.
    foreign_key_violations: u64,
    /// What was left out or is different; at most eleven sentences.
    notes: Vec<String>,
}

/// What was imported into a table.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportedRows)]
struct ImportView {
    /// Whether the table was made.
    created: bool,
    /// Rows in the file.
    rows: u64,
    /// Rows that were written: inserted, or changed with `mode=upsert`.
    written: u64,
    /// Rows that do not fit and were left out.
    skipped: u64,
    /// Why, of the first ten.
    #[schema(max_items = 10)]
    errors: Vec<RowErrorView>,
    /// The separator that was found, columns without a type.
    notes: Vec<String>,
}

/// Why a row was left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RowError)]
struct RowErrorView {
    /// Line of the file on which the row begins, from 1.
    line: u64,
    /// The column; null where no single one is to blame.
    #[schema(required = true)]
    column: Option<String>,
    message: String,
}

impl ImportView {
    fn of(import: &ImportSummary) -> Self {
        let errors = import.errors.iter().map(|error| RowErrorView {
            line: error.line,
            column: error.column.clone(),
            message: error.message.clone(),
        });
        Self {
            created: import.created,
            rows: import.rows,
            written: import.written,
            skipped: import.skipped,
            errors: errors.collect(),
            notes: import.notes.clone(),
        }
    }
}

impl JobResultView {
    fn of(outcome: &StepOutcome) -> Option<Self> {
        match outcome {
            StepOutcome::Loaded { load } => Some(Self::Load(LoadView {
                form: load.form,
                statements: load.statements,
                tables: load.tables,
                rows: load.rows,
                size_bytes: load.size_bytes,
                foreign_key_violations: load.foreign_key_violations,
                notes: load.notes.clone(),
            })),
            StepOutcome::Imported { import } => Some(Self::Import(ImportView::of(import))),
            StepOutcome::Nothing
            | StepOutcome::FilesCreated
            | StepOutcome::WorkerStarted { .. }
            | StepOutcome::WorkerRemoved
            | StepOutcome::Stopped
            | StepOutcome::Started
            | StepOutcome::Trashed
            | StepOutcome::Undeleted
            | StepOutcome::Purged
            | StepOutcome::SetAside
            | StepOutcome::Exchanged => None,
        }
    }
}

/// Progress of a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Progress)]
pub(crate) struct ProgressView {
    /// Current step; `undoing` while rolling back.
    #[schema(example = "ensure_worker")]
    phase: String,
    /// Units completed.
    done: u64,
    /// Units in total.
    total: u64,
    /// `steps`, `seconds` of the longest wait, or `bytes` of a file.
    #[schema(value_type = words::ProgressUnit)]
    unit: &'static str,
    /// Rows so far; only of imports and exports.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u64>,
}

/// One attempt at a job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
struct AttemptView {
    /// Attempt number, from 1.
    number: u32,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    ended_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<AttemptError>,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
struct AttemptError {
    #[schema(value_type = ErrorCode, example = "runtime_unavailable")]
    code: &'static str,
    detail: String,
}

impl JobView {
    /// The job, with its place in the queue as `state` has it.
    pub(crate) fn of(job: &Job, state: &State) -> Self {
        let has_ended_badly = matches!(job.state, JobState::Failed | JobState::Stuck);
        let error = job.error.as_ref().filter(|_| has_ended_badly);
        Self {
            id: job.id.to_string(),
            kind: job.kind.as_str(),
            database: job.database_name.to_string(),
            state: job.state,
            queue_position: queue_position(job, state),
            step: step(job),
            progress: JobProgress::of(job).map(ProgressView::from),
            cancel_requested: job.cancel_requested && !job.state.is_final(),
            attempts: job.attempts.iter().map(AttemptView::of).collect(),
            retry_at: job.retry_at,
            deadline: job.deadline.filter(|_| !job.state.is_final()),
            result: job.result.as_ref().and_then(JobResultView::of),
            problem: error.map(|it| Problem::from(it).body(None)),
            actor: job.actor.to_string(),
            request_id: job.request.to_string(),
            sequence: job.sequence.0,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }

    /// The same, with what its running step says of itself.
    pub(crate) fn now(job: &Job, state: &State, live: &ProgressMap) -> Self {
        Self {
            progress: JobProgress::live(job, live)
                .or_else(|| JobProgress::of(job))
                .map(ProgressView::from),
            ..Self::of(job, state)
        }
    }
}

impl From<JobProgress> for ProgressView {
    fn from(progress: JobProgress) -> Self {
        let JobProgress {
            phase,
            done,
            total,
            unit,
            rows,
        } = progress;
        Self {
            phase,
            done,
            total,
            unit,
            rows,
        }
    }
}

impl AttemptView {
    fn of(attempt: &Attempt) -> Self {
        let error = |it: &JobError| AttemptError {
            code: Problem::from(it).code().as_str(),
            detail: it.detail.clone(),
        };
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            error: attempt.error.as_ref().map(error),
        }
    }
}

fn step(job: &Job) -> Option<StepView> {
    let running = job.step.as_ref()?;
    let steps = steps(&job.kind);
    let place = steps.iter().position(|step| step.name == running.name.0)?;
    Some(StepView {
        name: steps[place].name,
        number: place + 1,
        total: steps.len(),
        time_limit_ms: steps[place].time_limit.as_millis(),
        crashes: running.crashes,
    })
}
