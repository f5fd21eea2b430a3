//! What time ends: databases past their ttl go to the trash, trash past its time is purged.
use crate::clock::timestamp::Timestamp;
use crate::control::{ControlPlane, Submission};
use crate::domain::command::Command;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::Actor;
use crate::domain::job::JobKind;
use crate::domain::state::State;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most commands in one look, so that a night's worth of them does not fill the queue.
const COMMANDS_AT_ONCE: usize = 100;

/// Looks for what is due whenever it is woken, until `stop`.
pub async fn run(control: Arc<ControlPlane>, wake: Arc<Notify>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        submit_due(&control).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
        }
    }
}

/// Submits what is due now.
pub async fn submit_due(control: &ControlPlane) {
    let present = control.present();
    if present.read_only.is_some() {
        return;
    }
    for command in due(&present.state, control.clock().now()) {
        let request = control.fresh_request();
        let submission = Submission::new(command, Actor::named("retention"), request);
        if let Err(error) = control.submit(submission).await {
            tracing::warn!(request.id = %request, %error, "the retention was refused");
        }
    }
}

/// The commands that time asks for.
fn due(state: &State, now: Timestamp) -> Vec<Command> {
    state
        .databases()
        .filter(|it| !it.stuck)
        .filter_map(|it| due_for(it, now))
        .take(COMMANDS_AT_ONCE)
        .collect()
}

fn due_for(it: &Database, now: Timestamp) -> Option<Command> {
    let database = it.id;
    let waits_for = |kind: JobKind| it.queue.iter().any(|job| job.kind == kind);
    match it.condition {
        Condition::Trashed { purge_at } => {
            let is_due = purge_at <= now && it.queue.is_empty();
            is_due.then_some(Command::PurgeDatabase { database })
        }
        // A stopped database never ends by itself.
        Condition::Stopped => None,
        Condition::Creating | Condition::Ready => {
            let is_due = it.expires_at.is_some_and(|at| at <= now)
                && !it.protected
                && !waits_for(JobKind::DeleteDatabase)
                && !waits_for(JobKind::PurgeDatabase);
            is_due.then_some(Command::DeleteDatabase { database })
        }
    }
}
