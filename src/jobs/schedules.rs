//! Carries out schedules when their time has come.
use crate::clock::timestamp::Timestamp;
use crate::control::{ControlPlane, Submission};
use crate::domain::command::Command;
use crate::domain::ids::Actor;
use crate::domain::recorded::Idempotency;
use crate::domain::schedule::Schedule;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Looks for what is due whenever it is woken, until `stop`.
pub async fn run(control: Arc<ControlPlane>, wake: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        fire_due(&control).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
        }
    }
}

/// Carries out what is due now: the times of one schedule in their order.
pub async fn fire_due(control: &ControlPlane) {
    let present = control.present();
    if present.read_only.is_some() {
        return;
    }
    let now = control.clock().now();
    for schedule in present.state.schedules() {
        for nominal in schedule.due(now) {
            fire(control, schedule, nominal).await;
        }
    }
}

/// Submits one time under a key of its own: whoever submits it again changes nothing.
async fn fire(control: &ControlPlane, schedule: &Schedule, nominal: Timestamp) {
    let request = control.fresh_request();
    let command = Command::FireSchedule {
        schedule: schedule.id,
        nominal: Some(nominal),
    };
    let key = format!("{}@{nominal}", schedule.id);
    let submission = Submission {
        idempotency: Some(Idempotency {
            fingerprint: key.clone(),
            key,
        }),
        ..Submission::new(command, actor(schedule), request)
    };
    if let Err(error) = control.submit(submission).await {
        tracing::warn!(request.id = %request, schedule.id = %schedule.id, %error, "schedule `{}` was not carried out", schedule.name);
    }
}

/// Who signs what a schedule submits.
#[must_use]
pub fn actor(schedule: &Schedule) -> Actor {
    Actor(format!("schedule/{}", schedule.name))
}
