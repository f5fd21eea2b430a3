//! Rules for schedules: made, changed, deleted, carried out.
use super::decide;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::DecisionContext;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::{
    Event, ScheduleChanged, ScheduleCreated, ScheduleDeleted, ScheduleFired, ScheduleRewound,
};
use crate::domain::ids::{JobId, ScheduleId, TokenId};
use crate::domain::schedule::recurrence::Recurrence;
use crate::domain::schedule::{Overlap, Schedule, SchedulePlan, moment};
use crate::domain::state::State;
use std::sync::Arc;

/// Most schedules of a forge: each is looked at every minute.
const MAX_SCHEDULES: usize = 1000;
/// Longest name of a schedule, in characters; it stands in the actor of its commands.
const MAX_NAME: usize = 63;

pub(super) fn create(
    state: &State,
    name: &str,
    plan: &SchedulePlan,
    token: Option<TokenId>,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_plain) {
        return Err(Refusal::Invalid(format!(
            "the name of a schedule has 1 to {MAX_NAME} letters, digits, `_`, `.` or `-`"
        )));
    }
    if state.find_schedule(name).is_some() {
        return Err(Refusal::ScheduleExists(name.to_owned()));
    }
    if state.schedules().count() >= MAX_SCHEDULES {
        return Err(Refusal::Invalid(format!(
            "a forge has at most {MAX_SCHEDULES} schedules"
        )));
    }
    check(plan, context)?;
    let created = ScheduleCreated {
        schedule: ScheduleId(context.fresh[0]),
        name: name.to_owned(),
        plan: plan.clone(),
        token,
    };
    Ok(vec![created.into()])
}

pub(super) fn change(
    state: &State,
    id: ScheduleId,
    plan: &SchedulePlan,
    token: Option<TokenId>,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let schedule = known(state, id)?;
    if schedule.plan == *plan && schedule.token == token {
        return Ok(Vec::new());
    }
    check(plan, context)?;
    let changed = ScheduleChanged {
        schedule: id,
        plan: plan.clone(),
        token,
    };
    Ok(vec![changed.into()])
}

pub(super) fn delete(state: &State, id: ScheduleId) -> Result<Vec<Event>, Refusal> {
    known(state, id)?;
    Ok(vec![ScheduleDeleted { schedule: id }.into()])
}

/// Only if it is ahead of the clock, so that a repeat changes nothing.
pub(super) fn rewind(
    state: &State,
    id: ScheduleId,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let schedule = known(state, id)?;
    let rewound = ScheduleRewound {
        schedule: id,
        done_until: context.now,
    };
    let is_ahead = schedule.is_ahead_of(context.now);
    Ok(is_ahead.then(|| rewound.into()).into_iter().collect())
}

/// Carries out one nominal time, or, without one, what the schedule is for, now. What the rules
/// say to its command is part of what happened: a time that was refused is done with, too.
///
/// A time that is done with already makes nothing happen, so that ticks may be late or doubled.
pub(super) fn fire(
    state: &State,
    id: ScheduleId,
    nominal: Option<Timestamp>,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let schedule = known(state, id)?;
    let is_done = |it: Timestamp| it <= schedule.done_until || !schedule.plan.enabled;
    if nominal.is_some_and(is_done) {
        return Ok(Vec::new());
    }
    let outcome = carry_out(state, schedule, nominal.unwrap_or(context.now), context);
    let (mut events, refusal) = match outcome {
        Ok(events) => (events, None),
        Err(refusal) => (Vec::new(), Some(refusal.to_string())),
    };
    let fired = ScheduleFired {
        schedule: id,
        nominal,
        job: events.iter().find_map(enqueued),
        refusal,
    };
    events.insert(0, fired.into());
    Ok(events)
}

fn carry_out(
    state: &State,
    schedule: &Schedule,
    at: Timestamp,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    let command = &schedule.plan.command;
    let moment = schedule.moment(at);
    if let Some(id) = schedule.token {
        let token = state
            .token(id)
            .filter(|token| !token.has_expired(context.now));
        let may = token.is_some_and(|token| {
            token.has_scope(command.scope()) && token.covers(&command.target(&moment))
        });
        if !may {
            return Err(Refusal::ScheduleWithoutRight(schedule.name.clone()));
        }
    }
    if schedule.plan.overlap == Overlap::Skip
        && let Some(job) = schedule.last_job.filter(|job| state.job(*job).is_some())
    {
        return Err(Refusal::ScheduleOverlaps(job));
    }
    decide(state, &command.resolve(state, &moment)?, context)
}

fn check(plan: &SchedulePlan, context: &DecisionContext) -> Result<(), Refusal> {
    let recurrence = Recurrence::parse(&plan.cron, &plan.timezone)
        .map_err(|error| Refusal::Invalid(error.to_string()))?;
    plan.command.check(&moment(Some(&recurrence), context.now))
}

fn enqueued(event: &Event) -> Option<JobId> {
    let Event::JobEnqueued(it) = event else {
        return None;
    };
    Some(it.job)
}

fn known(state: &State, id: ScheduleId) -> Result<&Arc<Schedule>, Refusal> {
    state
        .schedule(id)
        .ok_or_else(|| Refusal::ScheduleNotFound(id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::scenario::Scenario;
    use super::*;
    use crate::domain::command::Command;
    use crate::domain::command::lifecycle::{LifecycleCommand, Named};
    use crate::domain::event::EventKind;
    use crate::domain::schedule::Misfire;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn every_minute(forge: &mut Scenario) -> ScheduleId {
        let database = "shop".to_owned();
        let plan = SchedulePlan {
            cron: "* * * * *".to_owned(),
            timezone: "UTC".to_owned(),
            command: LifecycleCommand::RestartDatabase(Named { database }),
            misfire: Misfire::Latest,
            overlap: Overlap::Queue,
            enabled: true,
        };
        let created = Command::CreateSchedule {
            name: "often".to_owned(),
            plan: Box::new(plan),
            token: None,
        };
        forge.when(created).unwrap();
        forge.state.find_schedule("often").unwrap().id
    }

    #[test]
    fn a_schedule_that_is_made_while_the_log_is_ahead_of_the_clock_begins_now() {
        let mut forge = Scenario::new();
        forge.now = forge.now.after(HOUR * 24);
        forge.ready("shop");
        forge.now = Timestamp::from_millis(1_000);
        let id = every_minute(&mut forge);
        let schedule = forge.state.schedule(id).unwrap();
        assert_eq!(
            schedule.next(forge.now),
            Some(Timestamp::from_millis(60_000))
        );
        let later = Timestamp::from_millis(61_000);
        assert_eq!(schedule.due(later), [Timestamp::from_millis(60_000)]);
    }

    #[test]
    fn a_schedule_that_was_carried_out_ahead_of_time_recovers_once_the_clock_is_right() {
        for ahead in [HOUR, HOUR * 24, HOUR * 24 * 365] {
            let mut forge = Scenario::new();
            forge.ready("shop");
            let schedule = every_minute(&mut forge);
            forge.now = forge.now.after(ahead);
            let nominal = forge.state.schedule(schedule).unwrap().due(forge.now);
            let key = |forge: &Scenario, at| forge.state.schedule(schedule).unwrap().key_of(at);
            let first_key = key(&forge, nominal[0]);
            let fire = |nominal| Command::FireSchedule { schedule, nominal };
            forge.when(fire(nominal.first().copied())).unwrap();

            forge.now = Timestamp::from_millis(90_000);
            let rewind = Command::RewindSchedule { schedule };
            let told = forge.state.schedule(schedule).unwrap();
            assert_eq!(told.next(forge.now), Some(Timestamp::from_millis(120_000)));
            assert_eq!(told.due(forge.now), [], "not before it is set back");
            let happened = forge.when(rewind.clone()).unwrap();
            assert_eq!(happened, [EventKind::ScheduleRewound]);
            assert_eq!(forge.when(rewind), Ok(vec![]), "twice is the same as once");
            forge.now = Timestamp::from_millis(121_000);
            let due = forge.state.schedule(schedule).unwrap().due(forge.now);
            assert_eq!(due, [Timestamp::from_millis(120_000)]);
            let fired = forge.when(fire(due.first().copied())).unwrap();
            assert_eq!(fired[0], EventKind::ScheduleFired);
            assert_ne!(key(&forge, nominal[0]), first_key, "once more, for real");
        }
    }

    #[test]
    fn a_clock_that_is_set_back_a_little_fires_nothing_twice() {
        let mut forge = Scenario::new();
        forge.ready("shop");
        let schedule = every_minute(&mut forge);
        forge.now = Timestamp::from_millis(120_100);
        let nominal = Some(Timestamp::from_millis(120_000));
        forge
            .when(Command::FireSchedule { schedule, nominal })
            .unwrap();
        forge.now = Timestamp::from_millis(119_000);
        assert_eq!(forge.when(Command::RewindSchedule { schedule }), Ok(vec![]));
        let told = forge.state.schedule(schedule).unwrap();
        assert_eq!(told.due(Timestamp::from_millis(120_500)), []);
    }
}
