//! Moves expired databases to the trash, and purges the trash when its time is over.
use crate::clock::timestamp::Timestamp;
use crate::control::{ControlPlane, Submission};
use crate::domain::command::Command;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::{Actor, DatabaseId};
use crate::domain::job::JobKind;
use crate::domain::verb::Verb;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most commands at a time, so that many expired databases do not fill the queue.
const COMMANDS_AT_ONCE: usize = 100;
/// The pause before a failed command is submitted again; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Submits what is due, and retries failures with a back-off.
#[derive(Default)]
pub struct Retention {
    asked: HashMap<DatabaseId, Asked>,
}

/// The commands that were submitted for a database.
struct Asked {
    times: u32,
    again_at: Timestamp,
}

/// Submits what is due whenever it is woken, until `stop`.
pub async fn run(control: Arc<ControlPlane>, wake: Arc<Notify>, stop: CancellationToken) {
    let mut retention = Retention::default();
    while !stop.is_cancelled() {
        retention.submit_due(&control).await;
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.notified() => {}
        }
    }
}

impl Retention {
    /// Submits what is due now, except what is in its back-off.
    pub async fn submit_due(&mut self, control: &ControlPlane) {
        let current = control.current();
        if current.read_only.is_some() {
            return;
        }
        let now = control.clock().now();
        let is_open = |it: &Arc<Database>| !it.queue.is_empty() || due_for(it, now).is_some();
        self.asked
            .retain(|id, _| current.state.database(*id).is_some_and(is_open));
        let due = current
            .state
            .own_databases()
            .filter(|database| !database.stuck);
        let due = due.filter_map(|database| Some((database.id, due_for(database, now)?)));
        let due: Vec<_> = due
            .filter(|(id, _)| self.may_ask(*id, now))
            .take(COMMANDS_AT_ONCE)
            .collect();
        for (database, command) in due {
            self.note(database, now);
            let request = control.fresh_request();
            let submission = Submission::new(command, Actor::named("retention"), request);
            if let Err(error) = control.submit(submission).await {
                tracing::warn!(request.id = %request, %error, "failed to apply retention");
            }
        }
    }

    /// Whether its back-off is over. One that ends later than the longest pause was computed with a
    /// clock that has been set back since.
    fn may_ask(&self, database: DatabaseId, now: Timestamp) -> bool {
        let asked = self.asked.get(&database);
        asked.is_none_or(|asked| asked.again_at <= now || asked.again_at.since(now) > LONGEST_PAUSE)
    }

    fn note(&mut self, database: DatabaseId, now: Timestamp) {
        let times = self.asked.get(&database).map_or(0, |it| it.times);
        let pause = FIRST_PAUSE.saturating_mul(1 << times.min(10));
        let asked = Asked {
            times: times.saturating_add(1),
            again_at: now.after(pause.min(LONGEST_PAUSE)),
        };
        self.asked.insert(database, asked);
    }
}

/// The command that is due.
fn due_for(it: &Database, now: Timestamp) -> Option<Command> {
    let database = it.id;
    let waits_for = |kind: JobKind| it.queue.iter().any(|job| job.kind == kind);
    match it.condition {
        Condition::Trashed { purge_at } => {
            let is_due = purge_at <= now && it.queue.is_empty();
            is_due.then_some(Verb::Purge.on(database))
        }
        Condition::Creating | Condition::Ready | Condition::Stopped => {
            let is_due = it.has_expired(now)
                && !it.protected
                && !waits_for(JobKind::DeleteDatabase)
                && !waits_for(JobKind::PurgeDatabase);
            is_due.then_some(Verb::Delete.on(database))
        }
        // Its job continues by itself.
        Condition::Purging => None,
    }
}
