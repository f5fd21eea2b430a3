//! Stored plans: a command is kept, looked at, and applied when nothing it rests on has changed.
use super::preview::Consequences;
use super::{CommandError, CommandRequest, Enqueued};
use crate::control::{Accepted, CurrentState};
use crate::domain::command::Command;
use crate::domain::command::lifecycle::{LifecycleCommand, Wording};
use crate::domain::command::refusal::Refusal;
use crate::domain::database::Limits;
use crate::domain::event::Event;
use crate::domain::event::recorded::RecordedEvent;
use crate::domain::ids::JobId;
use crate::domain::plan::Plan;
use crate::domain::state::State;
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::{AccessDenied, Caller};
use std::sync::Arc;

/// What came of applying a plan.
#[derive(Debug)]
pub enum AppliedPlan {
    /// A job carries it out.
    Job(Enqueued),
    /// It needed none.
    AtOnce {
        /// The plan as it is now.
        plan: Arc<Plan>,
        /// What happened.
        accepted: Accepted,
        /// What is true then.
        current: Arc<CurrentState>,
    },
}

impl Service {
    /// Keeps a command as a plan. Nothing happens to the database. The command is not looked at
    /// before the caller's rights.
    ///
    /// # Errors
    /// When the caller may not carry out the command itself, or it is refused.
    pub async fn make_plan<E: From<CommandError>>(
        &self,
        request: &CommandRequest,
        command: impl FnOnce() -> Result<LifecycleCommand, E>,
    ) -> Result<(Plan, Accepted), E> {
        let may = request.caller.require(Scope::Manage);
        may.map_err(CommandError::from)?;
        Ok(self.keep_plan(request, command()?).await?)
    }

    async fn keep_plan(
        &self,
        request: &CommandRequest,
        command: LifecycleCommand,
    ) -> Result<(Plan, Accepted), CommandError> {
        let caller = &request.caller;
        let make = |state: &State| {
            caller.require(command.scope())?;
            let target = command.target_as_written();
            match command.wording() {
                Wording::Create(_) => caller.require_name(&target)?,
                Wording::Change(change) => {
                    let found = caller.find_database(state, &target)?;
                    self.check_isolation(found, change.isolation)?;
                    let limits = Limits {
                        size_bytes: change.size_bytes.unwrap_or(found.limits.size_bytes),
                        memory_bytes: change.memory_bytes.unwrap_or(found.limits.memory_bytes),
                        cpu_millis: change.cpu_millis.unwrap_or(found.limits.cpu_millis),
                    };
                    self.require_room(found, Some(&limits))?;
                }
                Wording::Act(_, _) => {
                    caller.find_database(state, &target)?;
                }
            }
            let command = Box::new(command.clone());
            Ok(Command::MakePlan { command })
        };
        let accepted = self.carry_out(request, make).await?;
        let made = accepted.events.iter().find_map(Plan::begun_by);
        let made =
            made.ok_or_else(|| CommandError::internal("a plan was made without an event"))?;
        Ok((made, accepted))
    }

    /// Carries out a plan. Twice is the same as once: the same job.
    ///
    /// # Errors
    /// When the caller may not, there is no such plan, or what it rests on has changed.
    pub async fn apply_plan(
        &self,
        mut request: CommandRequest,
        id: &str,
    ) -> Result<AppliedPlan, CommandError> {
        request.caller.require(Scope::Manage)?;
        let current = self.control.current();
        let plan = find_plan(&request.caller, &current.state, id)?;
        request.caller.require(plan.command.scope())?;
        request.causation = Some(plan.sequence);
        let command = Command::ApplyPlan { plan: plan.id };
        let mut accepted = self.carry_out(&request, |_| Ok(command)).await?;
        let current = self.control.current();
        let plan = find_plan(&request.caller, &current.state, id)?.clone();
        let is_applied_now = |it: &RecordedEvent| matches!(it.event, Event::PlanApplied(_));
        accepted.replayed |= !accepted.events.iter().any(is_applied_now);
        match applied_job(&plan) {
            Some(job) => {
                let enqueued = self.follow_job(&request, accepted, job).await?;
                Ok(AppliedPlan::Job(enqueued))
            }
            None => Ok(AppliedPlan::AtOnce {
                plan,
                accepted,
                current,
            }),
        }
    }

    /// What applying a plan would do now; none once it was applied.
    ///
    /// # Errors
    /// When it cannot be applied any more.
    pub fn plan_consequences(&self, plan: &Plan) -> Result<Option<Consequences>, Refusal> {
        if plan.applied.is_some() {
            return Ok(None);
        }
        let apply = Command::ApplyPlan { plan: plan.id };
        self.consequences(&apply).map(Some)
    }
}

/// The job that applying a plan put in the queue.
#[must_use]
pub fn applied_job(plan: &Plan) -> Option<JobId> {
    plan.applied.as_ref()?.job
}

/// Every plan that the caller may see, oldest first.
///
/// # Errors
/// When the caller may see none.
pub fn visible_plans<'a>(
    caller: &Caller,
    state: &'a State,
) -> Result<Vec<&'a Arc<Plan>>, AccessDenied> {
    caller.require_sight()?;
    Ok(state.plans().filter(|plan| covers(caller, plan)).collect())
}

/// The plan of an id. One whose database the caller's token does not cover is not found.
///
/// # Errors
/// When there is none.
pub fn find_plan<'a>(
    caller: &Caller,
    state: &'a State,
    id: &str,
) -> Result<&'a Arc<Plan>, Refusal> {
    let found = id.parse().ok().and_then(|it| state.plan(it));
    found
        .filter(|it| covers(caller, it))
        .ok_or_else(|| Refusal::PlanNotFound(id.to_owned()))
}

fn covers(caller: &Caller, plan: &Plan) -> bool {
    caller.covers(plan.basis.name().as_str())
}
