//! Runs schedules when they are due.
use crate::clock::timestamp::Timestamp;
use crate::control::{ControlPlane, Submission};
use crate::domain::command::Command;
use crate::domain::event::recorded::Idempotency;
use crate::domain::ids::Actor;
use crate::domain::schedule::Schedule;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Runs what is due whenever it is woken, until `stop`.
pub async fn run(control: Arc<ControlPlane>, wake: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        fire_due(&control).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
        }
    }
}

/// Runs what is due now, the times of one schedule in order.
pub async fn fire_due(control: &ControlPlane) {
    let current = control.current();
    if current.read_only.is_some() {
        return;
    }
    let now = control.clock().now();
    for schedule in current
        .state
        .schedules()
        .filter(|schedule| schedule.is_ahead_of(now))
    {
        rewind(control, schedule).await;
    }
    let current = control.current();
    for schedule in current.state.schedules() {
        for nominal in schedule.due(now) {
            fire(control, schedule, nominal).await;
        }
    }
}

/// Rewinds a schedule that ran future times because the clock was ahead.
async fn rewind(control: &ControlPlane, schedule: &Schedule) {
    tracing::warn!(
        schedule.id = %schedule.id,
        "schedule `{}` already ran for times up to {}, which are in the future: the clock was \
         ahead. It continues from now",
        schedule.name,
        schedule.done_until,
    );
    let request = control.fresh_request();
    let command = Command::RewindSchedule {
        schedule: schedule.id,
    };
    let submission = Submission::new(command, actor(schedule), request);
    if let Err(error) = control.submit(submission).await {
        tracing::warn!(request.id = %request, schedule.id = %schedule.id, %error, "failed to rewind schedule `{}`", schedule.name);
    }
}

/// Submits one nominal time with its own idempotency key, so that a repeat changes nothing.
async fn fire(control: &ControlPlane, schedule: &Schedule, nominal: Timestamp) {
    let request = control.fresh_request();
    let command = Command::FireSchedule {
        schedule: schedule.id,
        nominal: Some(nominal),
    };
    let key = schedule.key_of(nominal);
    let submission = Submission {
        idempotency: Some(Idempotency {
            fingerprint: key.clone(),
            key,
        }),
        ..Submission::new(command, actor(schedule), request)
    };
    if let Err(error) = control.submit(submission).await {
        tracing::warn!(request.id = %request, schedule.id = %schedule.id, %error, "failed to run schedule `{}`", schedule.name);
    }
}

/// The actor of a schedule's commands.
#[must_use]
pub fn actor(schedule: &Schedule) -> Actor {
    Actor(format!("schedule/{}", schedule.name))
}
