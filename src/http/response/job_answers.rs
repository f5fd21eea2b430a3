//! Answers to commands that became jobs: at once, or once the job has ended.
use super::error::{ErrorCode, Problem};
use super::reply::{self, Marked};
use super::views::job::JobView;
use super::views::plan::PlanView;
use crate::control::Accepted;
use crate::domain::job::{Job, JobState};
use crate::http::Gateway;
use crate::service::commands::{Enqueued, Outcome};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Gateway {
    /// Answers a command that put a job in the queue, or that was a dry run.
    pub(crate) fn job_outcome(&self, outcome: Outcome<Enqueued>) -> Result<Response, Problem> {
        match outcome {
            Outcome::Done(enqueued) => self.enqueued(&enqueued),
            Outcome::Preview(preview) => Ok(PlanView::answer(preview)),
        }
    }

    /// Answers a command that put a job in the queue: 202 with the job, or, where the caller
    /// prefers to wait and the job has ended in time, what came of it.
    pub(crate) fn enqueued(&self, enqueued: &Enqueued) -> Result<Response, Problem> {
        let job = &enqueued.job;
        let response = match enqueued.ended_within {
            None => self.accepted_job(job),
            Some(wait) => {
                let applied = format!("wait={}", wait.as_secs());
                self.ended_job(job)?.with(PREFERENCE_APPLIED, &applied)
            }
        };
        Ok(mark_replayed(response, &enqueued.accepted))
    }

    /// Answers a command about a job: however it has ended, that is no error of the command.
    pub(crate) fn job_as_it_is(&self, enqueued: &Enqueued) -> Response {
        let job = &enqueued.job;
        let response = if job.state.is_final() {
            self.show_job(StatusCode::OK, job)
        } else {
            self.accepted_job(job)
        };
        let response = match enqueued.ended_within {
            Some(wait) => {
                let applied = format!("wait={}", wait.as_secs());
                response.with(PREFERENCE_APPLIED, &applied)
            }
            None => response,
        };
        mark_replayed(response, &enqueued.accepted)
    }

    /// 202: the job is in the queue, and here is where to look for it.
    pub(crate) fn accepted_job(&self, job: &Job) -> Response {
        self.show_job(StatusCode::ACCEPTED, job)
            .with(header::LOCATION, &format!("/v1/jobs/{}", job.id))
            .with(header::RETRY_AFTER, "1")
    }

    /// What came of a job that has ended.
    fn ended_job(&self, job: &Job) -> Result<Response, Problem> {
        if let Some(problem) = problem_of(job) {
            return Err(problem);
        }
        if !job.kind.creates() {
            return Ok(self.show_job(StatusCode::OK, job));
        }
        let location = format!("/v1/databases/{}", job.database_name);
        Ok(self
            .show_job(StatusCode::CREATED, job)
            .with(header::LOCATION, &location))
    }

    /// The job as an answer.
    pub(crate) fn show_job(&self, status: StatusCode, job: &Job) -> Response {
        let current = self.service.control.current();
        reply::json(
            status,
            &JobView::now(job, &current.state, &self.service.progress),
        )
        .seen(current.head.sequence.max(job.sequence))
        .etag(job.sequence)
    }
}

/// Says of an answer that an earlier request has brought it about.
pub(crate) fn mark_replayed(response: Response, accepted: &Accepted) -> Response {
    if accepted.replayed {
        response.with(IDEMPOTENT_REPLAYED, "true")
    } else {
        response
    }
}

/// Why a job that has ended did not reach its end.
pub(crate) fn problem_of(job: &Job) -> Option<Problem> {
    let look = format!("see GET /v1/jobs/{}", job.id);
    match job.state {
        JobState::Queued | JobState::Running | JobState::RetryWait | JobState::Succeeded => None,
        JobState::Failed => Some(match &job.error {
            Some(error) => Problem::from(error).hint(look),
            None => Problem::internal("a job failed without an error"),
        }),
        JobState::Stuck => {
            let error = job.error.as_ref().map(ToString::to_string);
            let detail = format!(
                "Job {} could not be rolled back: {}.",
                job.id,
                error.unwrap_or_default()
            );
            Some(Problem::new(ErrorCode::DatabaseStuck, detail).hint(look))
        }
        JobState::Cancelled => {
            let detail = format!("Job {} was cancelled and rolled back.", job.id);
            Some(Problem::new(ErrorCode::JobCancelled, detail).hint(look))
        }
    }
}
