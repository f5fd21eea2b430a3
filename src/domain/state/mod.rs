//! Everything the events have made true.
mod lookups;
mod names;
mod text;

pub use self::lookups::BY_HOST;

use super::command::refusal::Refusal;
use super::command::{Command, DecisionContext};
use super::database::Database;
use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{
    DatabaseId, InstanceId, JobId, NodeId, PlanId, ScheduleId, Sequence, TokenId, WebhookId,
};
use super::job::{Job, JobKind};
use super::plan::Plan;
use super::rules;
use super::schedule::Schedule;
use super::token::Token;
use super::webhook::Webhook;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The fold of all events: what decisions rest on.
///
/// Cloning costs nothing to speak of: the maps share what is equal, so the writer decides on a
/// private copy and readers keep theirs. It holds living and trashed databases, unfinished jobs
/// and accepted tokens; what is finished lives on in the log and its projections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Marks every worker of this forge.
    pub instance: Option<InstanceId>,
    /// Where workers run: `docker`, `process` or `simulated`.
    pub runtime: Option<String>,
    /// The last event it follows.
    pub sequence: Sequence,
    /// What the nodes are called that have joined the founding one.
    pub(super) nodes: OrdMap<NodeId, String>,
    pub(super) databases: OrdMap<DatabaseId, Arc<Database>>,
    /// Living databases by the key of their name.
    pub(super) names: OrdMap<String, DatabaseId>,
    /// Living databases by their host label.
    pub(super) dns_labels: OrdMap<String, DatabaseId>,
    /// Trashed databases by the key of their name, the latest last.
    pub(super) trash: OrdMap<String, Vec<DatabaseId>>,
    pub(super) jobs: OrdMap<JobId, Arc<Job>>,
    pub(super) tokens: OrdMap<TokenId, Arc<Token>>,
    /// Accepted tokens by the hash of their secret.
    pub(super) token_hashes: OrdMap<String, TokenId>,
    /// Databases with at least one unfinished job.
    pub(super) busy: OrdSet<DatabaseId>,
    /// Workers in quarantine, by their ids under the runtime.
    pub quarantined: OrdSet<String>,
    pub(super) schedules: OrdMap<ScheduleId, Arc<Schedule>>,
    /// Plans until they are forgotten, applied or not.
    pub(super) plans: OrdMap<PlanId, Arc<Plan>>,
    pub(super) webhooks: OrdMap<WebhookId, Arc<Webhook>>,
}

impl State {
    /// Decides what `command` makes happen.
    ///
    /// # Errors
    /// Refuses what the rules do not allow; nothing has happened then.
    pub fn decide(
        &self,
        command: &Command,
        context: &DecisionContext,
    ) -> Result<Vec<Event>, Refusal> {
        rules::decide(self, command, context)
    }

    /// Follows one event. Never fails: what is in the log has happened.
    pub fn evolve(&mut self, recorded: &RecordedEvent) {
        self.sequence = recorded.sequence;
        if let Some(job) = Job::begun_by(recorded) {
            self.jobs.insert(job.id, Arc::new(job));
        } else if let Some(id) = recorded.event.job() {
            self.evolve_job(id, recorded);
        }
        match &recorded.event {
            Event::ForgeFounded(it) => self.instance = Some(it.instance),
            Event::RuntimeChosen(it) => self.runtime = Some(it.runtime.clone()),
            Event::NodeJoined(it) => drop(self.nodes.insert(it.node, it.name.clone())),
            Event::TokenIssued(_) => self.add_token(recorded),
            Event::TokenRevoked(it) => self.remove_token(it.token),
            Event::LogHealed(_)
            | Event::FolderTrashed(_)
            | Event::PassAllowed(_)
            | Event::NothingChanged(_) => {}
            Event::WorkerQuarantined(it) => drop(self.quarantined.insert(it.worker.clone())),
            Event::QuarantineEnded(it) => drop(self.quarantined.remove(&it.worker)),
            Event::ScheduleCreated(_) => {
                if let Some(schedule) = Schedule::begun_by(recorded) {
                    self.schedules.insert(schedule.id, Arc::new(schedule));
                }
            }
            Event::ScheduleChanged(it) => self.evolve_schedule(it.schedule, recorded),
            Event::ScheduleRewound(it) => self.evolve_schedule(it.schedule, recorded),
            Event::ScheduleFired(it) => self.evolve_schedule(it.schedule, recorded),
            Event::ScheduleDeleted(it) => drop(self.schedules.remove(&it.schedule)),
            Event::PlanMade(_) => self.add_plan(recorded),
            Event::PlanApplied(it) => {
                if let Some(plan) = self.plans.get_mut(&it.plan) {
                    Arc::make_mut(plan).apply(it.job, recorded);
                }
            }
            Event::WebhookCreated(_) => {
                if let Some(webhook) = Webhook::begun_by(recorded) {
                    self.webhooks.insert(webhook.id, Arc::new(webhook));
                }
            }
            Event::WebhookChanged(it) => self.evolve_webhook(it.webhook, recorded),
            Event::WebhookDisabled(it) => self.evolve_webhook(it.webhook, recorded),
            Event::WebhookEnabled(it) => self.evolve_webhook(it.webhook, recorded),
            Event::WebhookDeleted(it) => drop(self.webhooks.remove(&it.webhook)),
            Event::DatabaseRequested(it) => {
                let mut database = Database::begun_by(it, recorded);
                database.behind = self.holder_to_wait_for(&database.name, recorded);
                if let Some(expired) = self.names.get(&database.name.key()).copied()
                    && database.behind.is_none()
                {
                    self.keep_findable(expired, |trash, id| trash.insert(0, id));
                }
                self.names.insert(database.name.key(), database.id);
                self.dns_labels
                    .insert(database.dns_label.clone(), database.id);
                self.databases.insert(database.id, Arc::new(database));
            }
            Event::DatabaseKept(it) => {
                let kept = Database::kept_by(it, recorded);
                self.databases.insert(kept.id, Arc::new(kept));
                self.keep_findable(it.database, |trash, id| trash.push(id));
            }
            Event::DatabaseAbandoned(it) => self.forget_database(it.database),
            Event::DatabasePurged(it) => self.forget_database(it.database),
            Event::DatabaseTrashed(it) => {
                self.release_names(it.database);
                self.evolve_database(it.database, recorded);
                self.keep_findable(it.database, |trash, id| trash.push(id));
            }
            Event::DatabaseSetAside(it) => {
                self.release_names(it.database);
                self.evolve_database(it.database, recorded);
                // What may still come back is found first.
                self.keep_findable(it.database, |trash, id| trash.insert(0, id));
            }
            Event::JobEnqueued(it) if it.kind == JobKind::UndeleteDatabase => {
                self.evolve_database(it.database, recorded);
                self.wait_for_name(it.database, recorded);
            }
            Event::DatabaseUndeleted(it) => {
                self.remove_from_trash(it.database);
                self.evolve_database(it.database, recorded);
                if let Some(database) = self.databases.get(&it.database) {
                    self.names.insert(database.name.key(), database.id);
                    self.dns_labels
                        .insert(database.dns_label.clone(), database.id);
                }
            }
            Event::DatabaseChanged(it) => {
                self.evolve_database(it.database, recorded);
                self.return_free_name(it.database);
            }
            Event::DatabaseReady(_)
            | Event::DatabasePlaced(_)
            | Event::DatabaseLoaded(_)
            | Event::ContentsExchanged(_)
            | Event::DatabaseStopped(_)
            | Event::DatabaseStarted(_)
            | Event::DatabaseDegraded(_)
            | Event::WorkerStarted(_)
            | Event::WorkerRemoved(_)
            | Event::JobEnqueued(_)
            | Event::JobStarted(_)
            | Event::StepStarted(_)
            | Event::StepFinished(_)
            | Event::JobRetryScheduled(_)
            | Event::JobCompensating(_)
            | Event::StepUndone(_)
            | Event::JobSucceeded(_)
            | Event::JobFailed(_)
            | Event::JobStuck(_)
            | Event::JobCancelRequested(_)
            | Event::JobCancelled(_)
            | Event::JobReleased(_) => {
                if let Some(id) = recorded.event.database() {
                    self.evolve_database(id, recorded);
                }
            }
        }
    }

    /// A new plan is the moment at which those that have expired are forgotten.
    fn add_plan(&mut self, recorded: &RecordedEvent) {
        let now = recorded.commit.wall_time();
        let expired = self.plans().filter(|plan| plan.expires_at <= now);
        for id in expired.map(|it| it.id).collect::<Vec<_>>() {
            self.plans.remove(&id);
        }
        if let Some(plan) = Plan::begun_by(recorded) {
            self.plans.insert(plan.id, Arc::new(plan));
        }
    }

    fn evolve_webhook(&mut self, id: WebhookId, recorded: &RecordedEvent) {
        if let Some(webhook) = self.webhooks.get_mut(&id) {
            Arc::make_mut(webhook).evolve(recorded);
        }
    }

    fn evolve_schedule(&mut self, id: ScheduleId, recorded: &RecordedEvent) {
        if let Some(schedule) = self.schedules.get_mut(&id) {
            Arc::make_mut(schedule).evolve(recorded);
        }
    }

    fn evolve_database(&mut self, id: DatabaseId, recorded: &RecordedEvent) {
        if let Some(database) = self.databases.get_mut(&id) {
            let database = Arc::make_mut(database);
            database.evolve(recorded);
            if database.queue.is_empty() {
                self.busy.remove(&id);
            } else {
                self.busy.insert(id);
            }
        }
    }

    fn evolve_job(&mut self, id: JobId, recorded: &RecordedEvent) {
        if let Some(job) = self.jobs.get_mut(&id) {
            let job = Arc::make_mut(job);
            job.evolve(recorded);
            if job.state.is_final() {
                self.jobs.remove(&id);
            }
        }
    }

    fn forget_database(&mut self, id: DatabaseId) {
        self.release_names(id);
        self.remove_from_trash(id);
        self.busy.remove(&id);
        self.databases.remove(&id);
    }

    fn add_token(&mut self, recorded: &RecordedEvent) {
        if let Some(token) = Token::begun_by(recorded) {
            self.token_hashes.insert(token.hash.clone(), token.id);
            self.tokens.insert(token.id, Arc::new(token));
        }
    }

    fn remove_token(&mut self, id: TokenId) {
        if let Some(token) = self.tokens.remove(&id) {
            self.token_hashes.remove(&token.hash);
        }
    }
}
