//! From the name in a path to a database that is entered and answers SQL.
use super::Gateway;
use super::middleware::auth::Caller;
use super::response::error::{ErrorCode, Problem};
use crate::clock::Deadline;
use crate::control::Present;
use crate::data::{SharedGuard, Target};
use crate::domain::database::{Condition, Database, Prospect};
use crate::domain::refusal::Refusal;
use crate::shares::waiting;
use std::sync::Arc;
use tokio::sync::watch;

/// Tells when the present becomes another.
type Changes = watch::Receiver<Arc<Present>>;

/// A database whose files stay where they are for as long as this is held.
pub(crate) struct Entered {
    pub(crate) guard: SharedGuard,
    pub(crate) target: Target,
}

/// What SQL finds at a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// It is answered.
    Ready,
    /// It will be, once the jobs that wait are done.
    Coming,
    /// It is refused until somebody asks for something.
    Closed,
}

impl Outlook {
    fn of(database: &Database) -> Self {
        match (database.condition, database.prospect()) {
            (Condition::Ready, _) => Self::Ready,
            (_, Prospect::Ready) if !database.stuck => Self::Coming,
            _ => Self::Closed,
        }
    }
}

impl Gateway {
    /// Enters the database that a path means; waits, up to a bound, while it is on its way to
    /// answering SQL or a step of a job has its files.
    ///
    /// # Errors
    /// When there is none, the caller may not touch it, or it does not answer SQL in time.
    pub(crate) async fn enter(&self, caller: &Caller, reference: &str) -> Result<Entered, Problem> {
        let deadline = Deadline::after(self.config.ready_wait);
        let mut changes: Option<Changes> = None;
        loop {
            let present = match &mut changes {
                None => self.control.present(),
                Some(changes) => changes.borrow_and_update().clone(),
            };
            let database = caller.find_database(&present.state, reference)?;
            self.refuse_expired(database)?;
            match (Outlook::of(database), &mut changes) {
                (Outlook::Ready, _) => {
                    let entered = waiting(self.data.enter(database.id, deadline)).await;
                    // Whoever had the gate until now may have moved the files elsewhere.
                    let present = self.control.present();
                    let now = present.state.database(database.id);
                    let guard = entered.map_err(|_| not_ready(now.unwrap_or(database)))?;
                    if let Some(now) = now.filter(|it| Outlook::of(it) == Outlook::Ready) {
                        let target = target_of(now);
                        return Ok(Entered { guard, target });
                    }
                }
                // Looked at once more from now on, so that no change is missed in between.
                (Outlook::Coming, None) => changes = Some(self.control.changes()),
                (Outlook::Coming, Some(changes)) => {
                    if !self.sees_change(changes, deadline).await {
                        return Err(not_ready(database));
                    }
                }
                (Outlook::Closed, _) => return Err(closed(database)),
            }
        }
    }

    /// Waits until the present becomes another. `false` when it is time to answer: at the
    /// deadline, or when the gateway stops.
    pub(crate) async fn sees_change(&self, changes: &mut Changes, deadline: Deadline) -> bool {
        let change = tokio::time::timeout_at(deadline.instant(), changes.changed());
        waiting(async {
            tokio::select! {
                changed = change => matches!(changed, Ok(Ok(()))),
                () = self.stopping.cancelled() => false,
            }
        })
        .await
    }

    /// A database whose time is over is refused before the trash has it.
    pub(crate) fn refuse_expired(&self, database: &Database) -> Result<(), Problem> {
        match database.expires_at {
            Some(at) if database.has_expired(self.control.clock().now()) => {
                let name = database.name.clone();
                Err(Refusal::DatabaseExpired { name, at }.into())
            }
            _ => Ok(()),
        }
    }
}

fn target_of(database: &Database) -> Target {
    Target {
        database: database.id,
        durability: database.durability,
        size_bytes: database.limits.size_bytes,
    }
}

/// The answer when a database did not become ready in time.
fn not_ready(database: &Database) -> Problem {
    let problem = Problem::new(
        ErrorCode::DatabaseNotReady,
        format!("Database `{}` is {}.", database.name, database.state()),
    );
    match database.queue.first() {
        Some(job) => problem.hint(format!("follow its job: GET /v1/jobs/{}?wait=20", job.id)),
        None => problem,
    }
}

/// The answer when a database will not become ready by itself.
fn closed(database: &Database) -> Problem {
    let name = &database.name;
    if let (true, Some(job)) = (database.stuck, database.queue.first()) {
        return Problem::new(
            ErrorCode::DatabaseStuck,
            format!("A job on database `{name}` is stuck."),
        )
        .hint(format!(
            "look at GET /v1/jobs/{0}; POST /v1/jobs/{0}/retry tries again",
            job.id
        ));
    }
    match database.condition {
        Condition::Trashed { purge_at } => Problem::new(
            ErrorCode::DatabaseDeleted,
            format!("Database `{name}` was deleted; the trash keeps it until {purge_at}."),
        )
        .hint(format!("POST /v1/databases/{name}/undelete brings it back")),
        Condition::Purging => Refusal::DatabasePurging(name.clone()).into(),
        Condition::Stopped if database.prospect() == Prospect::Stopped => {
            let state = database.state();
            Problem::new(
                ErrorCode::DatabaseNotReady,
                format!("Database `{name}` is {state}."),
            )
            .hint(format!("POST /v1/databases/{name}/start starts it"))
            .lasting()
        }
        Condition::Creating | Condition::Ready | Condition::Stopped => not_ready(database),
    }
}
