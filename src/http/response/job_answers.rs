//! Answers to commands that became jobs: at once, or once the job has ended.
use super::error::{ErrorCode, Problem};
use super::reply;
use super::reply::Marked;
use crate::clock::Deadline;
use crate::control::Accepted;
use crate::domain::ids::JobId;
use crate::domain::job::{Job, JobKind, JobState};
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::routes::jobs::view::JobView;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

impl Gateway {
    /// Answers a command that put a job in the queue: 202 with the job, or, where the caller
    /// prefers to wait and the job ends in time, what came of it.
    pub(crate) async fn answer_with_job<T>(
        &self,
        mutation: &Mutation<T>,
        accepted: &Accepted,
    ) -> Result<Response, Problem> {
        let id = accepted
            .job()
            .ok_or_else(|| Problem::internal("a lifecycle command put no job in the queue"))?;
        self.answer_with(mutation, accepted, id).await
    }

    /// The same with a job that an earlier command may have put there.
    pub(crate) async fn answer_with<T>(
        &self,
        mutation: &Mutation<T>,
        accepted: &Accepted,
        id: JobId,
    ) -> Result<Response, Problem> {
        let response = match mutation.wait {
            None => self.accepted_answer(&*self.known_job(id).await?),
            Some(wait) => {
                let job = self.wait_for_job(id, wait).await?;
                if has_ended(&job) {
                    let applied = format!("wait={}", wait.as_secs());
                    self.final_answer(&job)?.with(PREFERENCE_APPLIED, &applied)
                } else {
                    self.accepted_answer(&job)
                }
            }
        };
        Ok(mark_replayed(response, accepted))
    }

    /// 202: the job is in the queue, and here is where to look for it.
    pub(crate) fn accepted_answer(&self, job: &Job) -> Response {
        self.show_job(StatusCode::ACCEPTED, job)
            .with(header::LOCATION, &format!("/v1/jobs/{}", job.id))
            .with(header::RETRY_AFTER, "1")
    }

    /// What came of the job.
    fn final_answer(&self, job: &Job) -> Result<Response, Problem> {
        if let Some(problem) = problem_of(job) {
            return Err(problem);
        }
        if job.kind != JobKind::CreateDatabase {
            return Ok(self.show_job(StatusCode::OK, job));
        }
        let location = format!("/v1/databases/{}", job.database_name);
        Ok(self
            .show_job(StatusCode::CREATED, job)
            .with(header::LOCATION, &location))
    }

    /// The job as an answer.
    pub(crate) fn show_job(&self, status: StatusCode, job: &Job) -> Response {
        let present = self.control.present();
        reply::json(status, &JobView::now(job, &present.state, &self.live))
            .seen(present.head.sequence.max(job.sequence))
            .etag(job.sequence)
    }

    /// The job as it is once it has ended, or when `wait` is over or the gateway stops.
    pub(crate) async fn wait_for_job(
        &self,
        id: JobId,
        wait: Duration,
    ) -> Result<Arc<Job>, Problem> {
        let deadline = Deadline::after(wait);
        let mut changes = self.control.changes();
        let goes_on = |job: Option<&Arc<Job>>| job.is_some_and(|it| !has_ended(it));
        while goes_on(changes.borrow_and_update().state.job(id)) {
            if !self.sees_change(&mut changes, deadline).await {
                break;
            }
        }
        self.known_job(id).await
    }

    /// The job, finished or not.
    ///
    /// # Errors
    /// When there never was one of that id.
    pub(crate) async fn known_job(&self, id: JobId) -> Result<Arc<Job>, Problem> {
        if let Some(job) = self.control.present().state.job(id) {
            return Ok(job.clone());
        }
        self.listed_at(None).await?;
        let finished = self.control_db.job(id).await?;
        finished
            .map(Arc::new)
            .ok_or_else(|| no_job(&id.to_string()))
    }
}

/// The problem of a path that names no job.
pub(crate) fn no_job(reference: &str) -> Problem {
    Problem::new(
        ErrorCode::JobNotFound,
        format!("There is no job `{reference}`."),
    )
    .hint("GET /v1/jobs lists them")
}

/// Says of an answer that an earlier request has brought it about.
pub(crate) fn mark_replayed(response: Response, accepted: &Accepted) -> Response {
    if accepted.replayed {
        response.with(IDEMPOTENT_REPLAYED, "true")
    } else {
        response
    }
}

/// Whether waiting for it any longer changes nothing: a stuck job waits for a person.
fn has_ended(job: &Job) -> bool {
    job.state.is_final() || job.state == JobState::Stuck
}

/// Why a job that has ended did not reach its end.
pub(crate) fn problem_of(job: &Job) -> Option<Problem> {
    let look = format!("look at GET /v1/jobs/{}", job.id);
    match job.state {
        JobState::Queued | JobState::Running | JobState::RetryWait | JobState::Succeeded => None,
        JobState::Failed => Some(match &job.error {
            Some(error) => Problem::from(error).hint(look),
            None => Problem::internal("a job failed without an error"),
        }),
        JobState::Stuck => {
            let error = job.error.as_ref().map(ToString::to_string);
            let detail = format!(
                "What job {} had done could not be undone: {}.",
                job.id,
                error.unwrap_or_default()
            );
            Some(Problem::new(ErrorCode::DatabaseStuck, detail).hint(look))
        }
        JobState::Cancelled => {
            let detail = format!("Job {} was cancelled; what it had done was undone.", job.id);
            Some(Problem::new(ErrorCode::JobCancelled, detail).hint(look))
        }
    }
}
