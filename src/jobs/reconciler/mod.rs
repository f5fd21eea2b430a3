//! Compares what should run with what runs, and asks for ordinary jobs where they differ.
//!
//! Level-triggered: at start, when the runtime says that something happened, and once a minute.
//! What cannot be seen whole is unknown, never missing.
mod plan;

pub use plan::{Finding, Memory, plan};

use super::Workshop;
use crate::control::{Submission, SubmitError};
use crate::domain::command::Command;
use crate::domain::ids::Actor;
use crate::runtime::RuntimeError;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

/// Several things that happen at once are looked at once.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// The wait before the next look at a worker that was missing, or whose repair has to wait.
const SOON: Duration = Duration::from_secs(2);
/// The longest wait for the next look when neither the runtime nor the alarm clock wakes it.
const LONGEST_NAP: Duration = Duration::from_secs(90);

/// Observes, plans, submits.
pub struct Reconciler {
    workshop: Arc<Workshop>,
    memory: Mutex<Memory>,
}

/// Why a pass did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The workers could not be seen.
    #[error("the workers could not be seen, so nothing is done: {0}")]
    Unseen(#[from] RuntimeError),
    /// What the log says cannot be trusted to be all.
    #[error("the event log is read-only, so nothing is done")]
    ReadOnly,
}

impl Reconciler {
    /// A reconciler that has seen nothing yet.
    #[must_use]
    pub fn new(workshop: Arc<Workshop>) -> Self {
        Self {
            workshop,
            memory: Mutex::default(),
        }
    }

    /// Passes whenever woken, until `stop`.
    pub async fn run(self: Arc<Self>, wake: Arc<Notify>, stop: CancellationToken) {
        let mut changes = self.workshop.runtime.changes();
        while !stop.is_cancelled() {
            if let Err(error) = self.pass().await {
                tracing::warn!("{error}");
            }
            let nap = if self.memory.lock().await.wants_another_look() {
                SOON
            } else {
                LONGEST_NAP
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = wake.notified() => {}
                Some(()) = changes.next() => tokio::time::sleep(SETTLE_TIME).await,
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// One look, and what follows from it. Returns what was found.
    ///
    /// # Errors
    /// When the workers cannot be seen or the log is read-only; nothing is done then.
    pub async fn pass(&self) -> Result<Vec<Finding>, PassError> {
        // The state is taken before the look: a worker that is started between the two belongs
        // to a database that is busy in this state.
        let present = self.workshop.control.present();
        let workers = self.workshop.runtime.list().await?;
        self.workshop
            .observed
            .replace(workers.iter().map(|it| (it.database, it.state)));
        if present.read_only.is_some() {
            return Err(PassError::ReadOnly);
        }
        let now = self.workshop.control.clock().now();
        let folders = self.workshop.data.folders();
        let findings = {
            let mut memory = self.memory.lock().await;
            let folder_of = |id| folders.living(id);
            plan(&present.state, &workers, &folder_of, &mut memory, now)
        };
        for finding in &findings {
            self.submit(finding).await;
        }
        Ok(findings)
    }

    async fn submit(&self, finding: &Finding) {
        let request = self.workshop.control.fresh_request();
        let (database, command) = match finding.clone() {
            Finding::Repair { database, finding } => {
                (database, Command::RepairWorker { database, finding })
            }
            Finding::GiveUp { database, reason } => {
                (database, Command::DegradeDatabase { database, reason })
            }
        };
        let submission = Submission::new(command, Actor::named("reconciler"), request);
        match self.workshop.control.submit(submission).await {
            Ok(_) => tracing::info!(database.id = %database, request.id = %request, "{finding}"),
            // The state moved on since the look: the next one sees it.
            Err(SubmitError::Refused(refusal)) => {
                tracing::debug!(database.id = %database, %refusal, "{finding}");
            }
            Err(error) => tracing::warn!(database.id = %database, %error, "{finding}"),
        }
    }
}
