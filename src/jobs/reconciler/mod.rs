//! Compares what should run with what runs, and submits ordinary jobs where they differ.
//!
//! Level-triggered: it runs at the start, when the runtime reports a change, and once a minute.
//! A worker that cannot be inspected is unknown, never missing.
mod finding;
mod memory;
mod plan;

pub use finding::{Finding, Look, ReconcilePlan, Waiting};
pub use memory::Memory;
pub use plan::plan;

use super::JobContext;
use super::drift::ReconcilerPass;
use crate::control::{CurrentState, Submission, SubmitError};
use crate::data::{DataFile, FolderError, FolderPlace};
use crate::domain::command::Command;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::{Actor, RequestId};
use crate::runtime::{RuntimeError, Worker};
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Collects changes that happen at the same time into one pass.
const SETTLE_TIME: Duration = Duration::from_millis(200);
/// The pause before the next pass when a worker was missing, or its repair has to wait.
const SOON: Duration = Duration::from_secs(2);
/// The longest pause between passes when neither the runtime nor the ticker wakes it.
const LONGEST_NAP: Duration = Duration::from_secs(90);

/// The most findings of one pass that are logged one by one: an unmounted disk is one problem,
/// not thousands.
const LINES: usize = 20;

/// Inspects, plans, submits.
pub struct Reconciler {
    job_context: Arc<JobContext>,
    memory: Mutex<Memory>,
}

/// Why a pass did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PassError {
    /// The workers could not be listed.
    #[error("cannot list the workers, so none is changed: {0}")]
    Unseen(RuntimeError),
    /// The folders could not be listed.
    #[error("cannot list the database folders, so nothing is changed: {0}")]
    Folders(String),
    /// The log may be incomplete.
    #[error("the event log is read-only, so nothing is changed")]
    ReadOnly,
}

impl From<FolderError> for PassError {
    fn from(error: FolderError) -> Self {
        Self::Folders(error.to_string())
    }
}

impl Reconciler {
    /// A reconciler before its first pass.
    #[must_use]
    pub fn new(job_context: Arc<JobContext>) -> Self {
        Self {
            job_context,
            memory: Mutex::default(),
        }
    }

    /// Runs a pass whenever it is woken, until `stop`.
    pub async fn run(self: Arc<Self>, wake: Arc<Notify>, stop: CancellationToken) {
        let mut changes = self.job_context.runtime.changes();
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
                () = self.job_context.worker_status.drift.asked() => {}
                Some(()) = changes.next() => tokio::time::sleep(SETTLE_TIME).await,
                () = tokio::time::sleep(nap) => {}
            }
        }
    }

    /// Inspects everything once and acts on it. Returns the findings.
    ///
    /// # Errors
    /// When something cannot be inspected, or the log is read-only; nothing is changed then.
    pub async fn pass(&self) -> Result<Vec<Finding>, PassError> {
        let drift = &self.job_context.worker_status.drift;
        let (plan, trouble) = match self.look_and_plan().await {
            Ok((plan, unseen)) => (plan, unseen.map(PassError::Unseen)),
            Err(error) => (ReconcilePlan::default(), Some(error)),
        };
        drift.note(ReconcilerPass {
            at: Some(self.job_context.control.clock().now()),
            trouble: trouble.as_ref().map(ToString::to_string),
            plan: plan.clone(),
        });
        if !plan.halted.is_empty() {
            tracing::error!(
                "reconcile_halted: {} workers without a database would be stopped; \
                 see GET /v1/drift, then POST /v1/drift/allow to allow one pass",
                plan.halted.len()
            );
        }
        let (told, acted_upon): (Vec<_>, Vec<_>) =
            plan.findings.iter().partition(|it| it.needs_an_operator());
        // A failed pass reports nothing new.
        if !matches!(trouble, Some(PassError::Folders(_) | PassError::ReadOnly)) {
            tell(&self.memory.lock().await.news(told));
        }
        for finding in acted_upon {
            self.act(finding).await;
        }
        trouble.map_or(Ok(plan.findings), Err)
    }

    /// The plan, and why the workers could not be listed: files are checked
    /// nevertheless.
    async fn look_and_plan(&self) -> Result<(ReconcilePlan, Option<RuntimeError>), PassError> {
        // The state is taken before the inspection: a worker that is started in between belongs
        // to a database that is busy in this state.
        let before = self.job_context.control.current();
        let (workers, unseen) = match self.job_context.runtime.list().await {
            Ok(workers) => (Some(workers), None),
            Err(error) => (None, Some(error)),
        };
        if let Some(workers) = &workers {
            let living = workers.iter().filter(|worker| !worker.is_quarantined());
            self.job_context
                .worker_status
                .replace(living.map(|worker| (worker.database, worker.state)));
        }
        if before.read_only.is_some() {
            return Err(PassError::ReadOnly);
        }
        let look = self.look_at_folders(before.clone(), workers).await?;
        let after = self.job_context.control.current();
        let now = self.job_context.control.clock().now();
        let mut memory = self.memory.lock().await;
        let no_request = RequestId(Uuid::nil()); // not a part of the spec's hash
        let wanted = |database: &Database| {
            let instance = before.state.instance?;
            let spec = self.job_context.worker_spec(database, instance, no_request);
            Some(spec.hash())
        };
        let mut plan = plan(
            &before.state,
            &look,
            &after.state,
            &wanted,
            &mut memory,
            now,
        );
        // An approval that was given while nothing could be inspected is kept.
        if unseen.is_none() && self.job_context.worker_status.drift.take_allowance() {
            plan.findings.append(&mut plan.halted);
        }
        Ok((plan, unseen))
    }

    async fn look_at_folders(
        &self,
        current: Arc<CurrentState>,
        workers: Option<Vec<Worker>>,
    ) -> Result<Look, PassError> {
        let data = self.job_context.data.clone();
        let look = move || {
            let folders = data.folders();
            let mut without_file = Vec::new();
            for database in current
                .state
                .own_databases()
                .filter(|database| database.queue.is_empty())
            {
                let place = match database.condition {
                    Condition::Ready | Condition::Stopped => FolderPlace::Living,
                    Condition::Trashed { .. } => FolderPlace::Trash,
                    Condition::Creating | Condition::Purging => continue,
                };
                match data.data_file(database, place)? {
                    DataFile::InPlace => {}
                    seen @ (DataFile::Missing | DataFile::Link | DataFile::TwoNames) => {
                        without_file.push((database.id, place, seen))
                    }
                }
            }
            Ok(Look {
                workers,
                folders: folders.entries()?,
                without_file,
            })
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.unwrap_or_else(|panicked| Err(PassError::Folders(panicked.to_string())))
    }

    async fn act(&self, finding: &Finding) {
        let command = match finding.clone() {
            Finding::Repair { database, finding } => Command::RepairWorker { database, finding },
            Finding::GiveUp { database, reason } => Command::DegradeDatabase { database, reason },
            Finding::Quarantine {
                worker,
                name,
                labelled,
            } => Command::QuarantineWorker {
                worker,
                name,
                labelled,
            },
            Finding::QuarantineEnded { worker } => Command::EndQuarantine { worker },
            Finding::DataMissing { .. } | Finding::UnknownFolder { .. } => return,
        };
        let request = self.job_context.control.fresh_request();
        let submission = Submission::new(command, Actor::named("reconciler"), request);
        match self.job_context.control.submit(submission).await {
            Ok(_) => tracing::info!(request.id = %request, "{finding}"),
            // The state has changed since the inspection: the next pass sees it.
            Err(SubmitError::Refused(refusal)) => {
                tracing::debug!(%refusal, "{finding}");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "{finding}");
                return;
            }
        }
        // The decision is in the log before it is executed; if this fails, the next pass
        // does it.
        if let Finding::Quarantine { worker, .. } = finding
            && let Err(error) = self.job_context.runtime.quarantine(worker).await
        {
            tracing::warn!(%error, "{finding}");
        }
    }
}

/// Reports findings that only an operator can fix.
fn tell(news: &[&Finding]) {
    for finding in news.iter().take(LINES) {
        if matches!(finding, Finding::DataMissing { .. }) {
            tracing::error!("data_missing: {finding}");
        } else {
            tracing::warn!("{finding}");
        }
    }
    if let Some(more) = news.len().checked_sub(LINES).filter(|more| *more > 0) {
        tracing::error!("{more} more findings; see GET /v1/drift");
    }
}
