//! Rules for stored plans: made, applied once.
use super::decide;
use crate::domain::command::DecisionContext;
use crate::domain::command::lifecycle::LifecycleCommand;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::{Event, PlanApplied, PlanMade};
use crate::domain::ids::{JobId, PlanId};
use crate::domain::plan::Basis;
use crate::domain::state::State;
use std::time::Duration;

/// How long a plan can be applied: until the same hour of the next day.
const LIFE: Duration = Duration::from_secs(86_400);
/// Most plans that wait: each is some hundred bytes of state and of every checkpoint.
const MOST: usize = 1000;

/// Only what the rules allow now is worth a plan.
pub(super) fn make(
    state: &State,
    command: &LifecycleCommand,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let waiting = state.plans().filter(|plan| plan.expires_at > context.now);
    if waiting.count() >= MOST {
        return Err(Refusal::TooManyPlans { most: MOST });
    }
    let basis = Basis::of(command, state)?;
    let made = PlanMade {
        plan: PlanId(context.fresh[0]),
        command: command.clone(),
        basis,
        expires_at: context.now.after(LIFE),
    };
    decide(state, &made.basis.command(command, state)?, context)?;
    Ok(vec![made.into()])
}

/// A plan that was applied already makes nothing happen again.
pub(super) fn apply(
    state: &State,
    id: PlanId,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let plan = state.plan(id);
    let plan = plan.ok_or_else(|| Refusal::PlanNotFound(id.to_string()))?;
    if plan.applied.is_some() {
        return Ok(Vec::new());
    }
    if plan.expires_at <= context.now {
        return Err(plan.stale(format!("it expired at {}", plan.expires_at)));
    }
    let decided = decide(state, &plan.command(state)?, context);
    let mut events = decided.map_err(|refusal| {
        if matches!(refusal, Refusal::QueueFull { .. }) {
            refusal
        } else {
            plan.stale(refusal.to_string())
        }
    })?;
    let job = events.iter().find_map(enqueued);
    events.insert(0, PlanApplied { plan: id, job }.into());
    Ok(events)
}

fn enqueued(event: &Event) -> Option<JobId> {
    let Event::JobEnqueued(it) = event else {
        return None;
    };
    Some(it.job)
}
