//! Jobs: cancelled, and released when they are stuck.
use super::{CommandError, CommandRequest, Enqueued, Outcome};
use crate::control::SubmitError;
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::ids::JobId;
use crate::domain::token::Scope;
use crate::service::Service;

impl Service {
    /// Does one thing to one unfinished job. Returns the job as it is then, or, if
    /// the caller prefers to wait, at its end.
    ///
    /// # Errors
    /// When the caller may not, there is no such job, or it is over.
    pub async fn act_on_job(
        &self,
        request: &CommandRequest,
        id: &str,
        command: fn(JobId) -> Command,
    ) -> Result<Outcome<Enqueued>, CommandError> {
        request.caller.require(Scope::Manage)?;
        let job = self.visible_job(&request.caller, id).await?.id;
        let done = self.carry_out_or_preview(request, |_| Ok(command(job)));
        let accepted = match done.await {
            Ok(Outcome::Done(accepted)) => accepted,
            Ok(Outcome::Preview(preview)) => return Ok(Outcome::Preview(preview)),
            // The rules know unfinished jobs alone, and this one was there: it has ended, a while
            // ago or just now.
            Err(CommandError::Submit(SubmitError::Refused(Refusal::JobNotFound(_)))) => {
                let state = self.known_job(job).await?.state;
                return Err(CommandError::JobOver { job, state });
            }
            Err(error) => return Err(error),
        };
        Ok(Outcome::Done(
            self.follow_job(request, accepted, job).await?,
        ))
    }
}
