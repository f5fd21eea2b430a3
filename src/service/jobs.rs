//! Jobs: found, waited for, and how far they are.
use super::Service;
use super::caller::Caller;
use super::lists::LookupError;
use crate::clock::Deadline;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobState};
use crate::domain::state::State;
use crate::jobs::kinds::steps;
use crate::jobs::progress::{Progress, ProgressMap};
use std::sync::Arc;
use std::time::Duration;

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProgress {
    /// The step it is in; `undoing` while what it did is taken back.
    pub phase: String,
    /// How much of what is counted is done.
    pub done: u64,
    /// Of how much.
    pub total: u64,
    /// What is counted: `steps`, `seconds` of the longest wait, or `bytes` of a file.
    pub unit: &'static str,
    /// Rows so far, of a step that counts them.
    pub rows: Option<u64>,
}

impl JobProgress {
    /// As the state knows it; none for a job that does not run.
    #[must_use]
    pub fn of(job: &Job) -> Option<Self> {
        let phase = match &job.step {
            _ if job.compensating => "undoing".to_owned(),
            Some(step) => step.name.to_string(),
            None => return None,
        };
        (job.state == JobState::Running).then_some(Self {
            phase,
            done: job.finished_steps.len() as u64,
            total: steps(&job.kind).len() as u64,
            unit: "steps",
            rows: None,
        })
    }

    /// As the running step itself counts it, where it does.
    #[must_use]
    pub fn live(job: &Job, live: &ProgressMap) -> Option<Self> {
        let Progress {
            done,
            total,
            unit,
            rows,
        } = live.of(job.id)?;
        Some(Self {
            done,
            total,
            unit,
            rows,
            ..Self::of(job)?
        })
    }
}

/// How many jobs of the same database begin before it; none for a job that is not queued.
#[must_use]
pub fn queue_position(job: &Job, state: &State) -> Option<usize> {
    let database = state.database(job.database)?;
    let own = database.queue.iter().take_while(|it| it.id != job.id);
    let others = state.in_front(database).flat_map(|it| &it.queue);
    let in_front = own.chain(others).filter(|it| !it.started);
    (job.state == JobState::Queued).then(|| in_front.count())
}

/// Whether waiting for it any longer changes nothing: a stuck job waits for an operator.
#[must_use]
pub fn has_ended(job: &Job) -> bool {
    job.state.is_final() || job.state == JobState::Stuck
}

impl Service {
    /// The job of an id, where the caller may see its database.
    ///
    /// # Errors
    /// When there never was one that the caller may see.
    pub async fn visible_job(&self, caller: &Caller, id: &str) -> Result<Arc<Job>, LookupError> {
        let id: JobId = id.parse().map_err(|_| LookupError::NoJob(id.to_owned()))?;
        let job = self.known_job(id).await?;
        if !caller.covers(job.database_name.as_str()) {
            return Err(LookupError::NoJob(id.to_string()));
        }
        Ok(job)
    }

    /// The job, finished or not.
    ///
    /// # Errors
    /// When there never was one of that id.
    pub async fn known_job(&self, id: JobId) -> Result<Arc<Job>, LookupError> {
        if let Some(job) = self.control.current().state.job(id) {
            return Ok(job.clone());
        }
        self.listed_at(None).await?;
        let finished = self.control_db.job(id).await?;
        finished
            .map(Arc::new)
            .ok_or_else(|| LookupError::NoJob(id.to_string()))
    }

    /// The job as it is once it has ended, or when `wait` is over or the gateway stops.
    ///
    /// # Errors
    /// When there never was one of that id.
    pub async fn wait_for_job(&self, id: JobId, wait: Duration) -> Result<Arc<Job>, LookupError> {
        let deadline = Deadline::after(wait);
        let mut changes = self.control.changes();
        let goes_on = |job: Option<&Arc<Job>>| job.is_some_and(|job| !has_ended(job));
        while goes_on(changes.borrow_and_update().state.job(id)) {
            if !self.sees_change(&mut changes, deadline).await {
                break;
            }
        }
        self.known_job(id).await
    }
}
