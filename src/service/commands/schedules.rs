//! Schedules: created, changed, run by hand, deleted.
use super::{CommandError, CommandRequest, Enqueued};
use crate::control::{Accepted, CurrentState};
use crate::domain::command::Command;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::Event;
use crate::domain::ids::ScheduleId;
use crate::domain::schedule::recurrence::Recurrence;
use crate::domain::schedule::{Schedule, SchedulePlan, moment};
use crate::domain::state::State;
use crate::service::Service;
use crate::service::caller::{AccessDenied, Caller};
use std::sync::Arc;

/// What came of a schedule that was run by hand.
pub enum RunSchedule {
    /// A job carries its command out.
    Job(Enqueued),
    /// Its command needed none.
    AtOnce {
        /// The schedule as it is now.
        schedule: Arc<Schedule>,
        /// What happened.
        accepted: Accepted,
        /// What is true then.
        current: Arc<CurrentState>,
    },
}

impl Service {
    /// Creates a schedule with the caller's rights.
    ///
    /// # Errors
    /// When the caller may not do what it will do, or it is refused.
    pub async fn create_schedule(
        &self,
        request: &CommandRequest,
        name: String,
        plan: SchedulePlan,
    ) -> Result<(Schedule, Accepted), CommandError> {
        require_rights(self, &request.caller, &plan)?;
        let command = Command::CreateSchedule {
            name,
            plan: Box::new(plan),
            token: request.caller.token_id(),
        };
        let accepted = self.carry_out(request, |_| Ok(command)).await?;
        let created = accepted.events.iter().find_map(Schedule::begun_by);
        let created = created
            .ok_or_else(|| CommandError::internal("a schedule was created without an event"))?;
        Ok((created, accepted))
    }

    /// Changes a schedule, which has the caller's rights from then on. `change` is given what it
    /// does now.
    ///
    /// # Errors
    /// When the caller may not do what it did or will do, or it is refused.
    pub async fn change_schedule(
        &self,
        request: &CommandRequest,
        reference: &str,
        change: impl Fn(&SchedulePlan) -> SchedulePlan,
    ) -> Result<(Arc<Schedule>, Accepted, Arc<CurrentState>), CommandError> {
        let caller = &request.caller;
        let command = |state: &State| {
            let schedule = find_schedule(caller, state, reference)?;
            let plan = change(&schedule.plan);
            require_rights(self, caller, &schedule.plan)?;
            require_rights(self, caller, &plan)?;
            Ok(Command::ChangeSchedule {
                schedule: schedule.id,
                plan: Box::new(plan),
                token: caller.token_id(),
            })
        };
        let accepted = self.carry_out(request, command).await?;
        let current = self.control.current();
        let schedule = find_schedule(caller, &current.state, reference)?.clone();
        Ok((schedule, accepted, current))
    }

    /// Deletes a schedule. Jobs that it has put in the queue go on.
    ///
    /// # Errors
    /// When the caller may not do what it does, or there is none.
    pub async fn delete_schedule(
        &self,
        request: &CommandRequest,
        reference: &str,
    ) -> Result<Accepted, CommandError> {
        let command = |state: &State| {
            let schedule = self.find_owned(&request.caller, state, reference)?;
            Ok(Command::DeleteSchedule { schedule })
        };
        self.carry_out(request, command).await
    }

    /// Runs a schedule now, and waits for its job, if it needs one, as long as the caller wants.
    ///
    /// # Errors
    /// When the caller may not do what it does, there is none, or its command is refused.
    pub async fn run_schedule(
        &self,
        request: &CommandRequest,
        reference: &str,
    ) -> Result<RunSchedule, CommandError> {
        let command = |state: &State| {
            let schedule = self.find_owned(&request.caller, state, reference)?;
            Ok(Command::FireSchedule {
                schedule,
                nominal: None,
            })
        };
        let accepted = self.carry_out(request, command).await?;
        if let Some(refusal) = refusal(&accepted) {
            return Err(CommandError::NotFired {
                schedule: reference.to_owned(),
                refusal,
            });
        }
        if let Some(job) = accepted.job() {
            let enqueued = self.follow_job(request, accepted, job).await?;
            return Ok(RunSchedule::Job(enqueued));
        }
        let current = self.control.current();
        let schedule = find_schedule(&request.caller, &current.state, reference)?.clone();
        Ok(RunSchedule::AtOnce {
            schedule,
            accepted,
            current,
        })
    }

    /// The schedule of a name or id, if the caller may run its command.
    fn find_owned(
        &self,
        caller: &Caller,
        state: &State,
        reference: &str,
    ) -> Result<ScheduleId, CommandError> {
        let schedule = find_schedule(caller, state, reference)?;
        require_rights(self, caller, &schedule.plan)?;
        Ok(schedule.id)
    }
}

/// Every schedule that the caller may see, oldest first.
///
/// # Errors
/// When the caller may see none.
pub fn visible_schedules<'a>(
    caller: &Caller,
    state: &'a State,
) -> Result<Vec<&'a Arc<Schedule>>, AccessDenied> {
    caller.require_sight()?;
    Ok(state
        .schedules()
        .filter(|schedule| covers(caller, schedule))
        .collect())
}

/// The schedule of a name or id. One that the caller's token does not cover is not found.
///
/// # Errors
/// When there is none.
pub fn find_schedule<'a>(
    caller: &Caller,
    state: &'a State,
    reference: &str,
) -> Result<&'a Arc<Schedule>, Refusal> {
    let found = state
        .find_schedule(reference)
        .filter(|it| covers(caller, it));
    found.ok_or_else(|| Refusal::ScheduleNotFound(reference.to_owned()))
}

/// The creator of a schedule must have the rights of its command.
pub(super) fn require_rights(
    service: &Service,
    caller: &Caller,
    plan: &SchedulePlan,
) -> Result<(), CommandError> {
    caller.require(plan.command.scope())?;
    let recurrence = Recurrence::parse(&plan.cron, &plan.timezone)
        .map_err(|error| Refusal::Invalid(error.to_string()))?;
    let now = moment(Some(&recurrence), service.control.clock().now());
    Ok(caller.require_name(&plan.command.target(&now))?)
}

fn covers(caller: &Caller, schedule: &Schedule) -> bool {
    let command = &schedule.plan.command;
    caller.covers(&command.target(&schedule.moment(schedule.created_at)))
}

fn refusal(accepted: &Accepted) -> Option<String> {
    accepted.events.iter().find_map(|it| match &it.event {
        Event::ScheduleFired(fired) => fired.refusal.clone(),
        _ => None,
    })
}
