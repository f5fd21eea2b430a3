//! Everything the events have made true.
mod text;

use super::command::refusal::Refusal;
use super::command::{Command, Facts};
use super::database::Database;
use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{
    DatabaseId, InstanceId, JobId, NodeId, PlanId, ScheduleId, Sequence, TokenId, WebhookId,
};
use super::job::{Job, JobKind, JobState};
use super::name::{DatabaseName, free_dns_label, name_key};
use super::plan::Plan;
use super::rules;
use super::schedule::Schedule;
use super::token::Token;
use super::webhook::Webhook;
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};
use std::iter;
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
    pub fn decide(&self, command: &Command, facts: &Facts) -> Result<Vec<Event>, Refusal> {
        rules::decide(self, command, facts)
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

    /// The database that `{db}` in a path means: the living one of that name, else the latest of
    /// that name in the trash, else the one with that id.
    #[must_use]
    pub fn find_database(&self, reference: &str) -> Option<&Arc<Database>> {
        let key = name_key(reference);
        let id = self
            .names
            .get(&key)
            .or_else(|| self.trash.get(&key).and_then(|them| them.last()))
            .copied()
            .or_else(|| reference.parse().ok())?;
        self.databases.get(&id)
    }

    /// The database that a command is about; of a create the one that has the name.
    #[must_use]
    pub fn subject(&self, command: &Command) -> Option<DatabaseId> {
        let Command::CreateDatabase(wanted) = command else {
            return command.database();
        };
        let name = wanted.name.as_ref()?;
        self.names.get(&name.key()).copied()
    }

    /// The host label that a database of this name would get: that of one which has the very name
    /// is not taken, since the two are never there together.
    pub(super) fn free_dns_label(&self, name: &DatabaseName) -> String {
        let holder = self.names.get(&name.key());
        free_dns_label(&name.dns_label(), |label| {
            self.dns_labels
                .get(label)
                .is_some_and(|id| Some(id) != holder)
        })
    }

    /// Another database that has this one's name or host label by now.
    pub(super) fn other_holder(&self, database: &Database) -> Option<&Arc<Database>> {
        let by_name = self.names.get(&database.name.key());
        let by_label = self.dns_labels.get(&database.dns_label);
        let mut holders = by_name.into_iter().chain(by_label);
        let other = holders.find(|id| **id != database.id)?;
        self.databases.get(other)
    }

    /// A database by its id.
    #[must_use]
    pub fn database(&self, id: DatabaseId) -> Option<&Arc<Database>> {
        self.databases.get(&id)
    }

    /// Every living and trashed database, oldest first.
    pub fn databases(&self) -> impl Iterator<Item = &Arc<Database>> {
        self.databases.values()
    }

    /// The node on which the forge was founded.
    #[must_use]
    pub fn founding_node(&self) -> Option<NodeId> {
        self.instance.map(NodeId::founding)
    }

    /// The node that this program runs on: the founding one, as long as no other can join.
    #[must_use]
    pub fn own_node(&self) -> Option<NodeId> {
        self.founding_node()
    }

    /// The node on which a database belongs.
    #[must_use]
    pub fn node_of(&self, database: &Database) -> Option<NodeId> {
        database.placed_on.or_else(|| self.founding_node())
    }

    /// The databases that belong on the own node, oldest first.
    pub fn own_databases(&self) -> impl Iterator<Item = &Arc<Database>> {
        let own = self.own_node();
        self.databases().filter(move |it| self.node_of(it) == own)
    }

    /// An unfinished job.
    #[must_use]
    pub fn job(&self, id: JobId) -> Option<&Arc<Job>> {
        self.jobs.get(&id)
    }

    /// Every unfinished job, oldest first.
    pub fn jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.jobs.values()
    }

    /// The first job of every database on the own node that has one, oldest database first: what
    /// may run next to each other.
    pub fn own_first_jobs(&self) -> impl Iterator<Item = &Arc<Job>> {
        let own = self.own_node();
        self.busy.iter().filter_map(move |id| {
            let database = self.databases.get(id)?;
            if self.node_of(database) != own {
                return None;
            }
            let first = database.queue.first()?;
            self.jobs
                .get(&first.id)
                .filter(|_| database.behind.is_none())
        })
    }

    /// How many jobs are in front of this one: of the same database, and of one that has to be
    /// gone first since it has the name.
    #[must_use]
    pub fn queue_position(&self, job: &Job) -> Option<usize> {
        let database = self.databases.get(&job.database)?;
        let own = database.queue.iter().position(|it| it.id == job.id)?;
        let before = self.in_front(database).map(|it| it.queue.len());
        Some(own + before.sum::<usize>())
    }

    /// The databases that have to be gone before this one's first job may begin, the nearest
    /// first.
    pub fn in_front(&self, database: &Database) -> impl Iterator<Item = &Arc<Database>> {
        let nearest = database.behind.and_then(|id| self.databases.get(&id));
        iter::successors(nearest, |it| self.databases.get(&it.behind?))
    }

    /// The database that waits until this one is gone, since both have one name.
    #[must_use]
    pub fn follower(&self, id: DatabaseId) -> Option<&Arc<Database>> {
        let key = self.databases.get(&id)?.name.key();
        let waits = |id: &DatabaseId| self.databases.get(id).is_some_and(|it| it.behind.is_some());
        let returning = self
            .trash
            .get(&key)
            .and_then(|ids| ids.iter().find(|id| waits(id)));
        let last = *returning.or_else(|| self.names.get(&key))?;
        let mut chain = iter::successors(self.databases.get(&last), |it| {
            self.databases.get(&it.behind?)
        });
        chain.find(|it| it.behind == Some(id))
    }

    /// How many jobs wait to be taken up.
    #[must_use]
    pub fn queued_jobs(&self) -> usize {
        self.jobs
            .values()
            .filter(|it| it.state == JobState::Queued)
            .count()
    }

    /// The accepted token with this hash of its secret.
    #[must_use]
    pub fn token_by_hash(&self, hash: &str) -> Option<&Arc<Token>> {
        self.tokens.get(self.token_hashes.get(hash)?)
    }

    /// An accepted token by its id.
    #[must_use]
    pub fn token(&self, id: TokenId) -> Option<&Arc<Token>> {
        self.tokens.get(&id)
    }

    /// Every accepted token, oldest first.
    pub fn tokens(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.tokens.values()
    }

    /// A schedule by its id.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> Option<&Arc<Schedule>> {
        self.schedules.get(&id)
    }

    /// A schedule by its name, in any case, or its id.
    #[must_use]
    pub fn find_schedule(&self, reference: &str) -> Option<&Arc<Schedule>> {
        let mut schedules = self.schedules.values();
        schedules
            .find(|it| it.name.eq_ignore_ascii_case(reference))
            .or_else(|| self.schedule(reference.parse().ok()?))
    }

    /// Every schedule, oldest first.
    pub fn schedules(&self) -> impl Iterator<Item = &Arc<Schedule>> {
        self.schedules.values()
    }

    /// A plan by its id.
    #[must_use]
    pub fn plan(&self, id: PlanId) -> Option<&Arc<Plan>> {
        self.plans.get(&id)
    }

    /// Every plan that is not forgotten, oldest first.
    pub fn plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.plans.values()
    }

    /// A new plan is the moment at which those that have expired are forgotten.
    fn add_plan(&mut self, recorded: &RecordedEvent) {
        let now = recorded.commit.wall_time();
        let expired = self.plans().filter(|it| it.expires_at <= now);
        for id in expired.map(|it| it.id).collect::<Vec<_>>() {
            self.plans.remove(&id);
        }
        if let Some(plan) = Plan::begun_by(recorded) {
            self.plans.insert(plan.id, Arc::new(plan));
        }
    }

    /// A webhook by its id.
    #[must_use]
    pub fn webhook(&self, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id)
    }

    /// Every webhook, oldest first.
    pub fn webhooks(&self) -> impl DoubleEndedIterator<Item = &Arc<Webhook>> {
        self.webhooks.values()
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

    /// The living database that has the name and has to be gone before another takes it: not one
    /// whose time is over.
    fn holder_to_wait_for(
        &self,
        name: &DatabaseName,
        recorded: &RecordedEvent,
    ) -> Option<DatabaseId> {
        let holder = self.databases.get(self.names.get(&name.key())?)?;
        let waits = holder.is_leaving() && !holder.has_expired(recorded.commit.wall_time());
        waits.then_some(holder.id)
    }

    /// A database that comes back to a name which another is about to leave waits for that.
    fn wait_for_name(&mut self, id: DatabaseId, recorded: &RecordedEvent) {
        let name = self.databases.get(&id).map(|it| it.name.clone());
        let holder = name.and_then(|it| self.holder_to_wait_for(&it, recorded));
        if let Some(database) = self.databases.get_mut(&id)
            && holder != Some(id)
        {
            Arc::make_mut(database).behind = holder;
        }
    }

    /// Lets a database be found by a name that is not its own any more.
    fn keep_findable(
        &mut self,
        id: DatabaseId,
        add: impl FnOnce(&mut Vec<DatabaseId>, DatabaseId),
    ) {
        if let Some(database) = self.databases.get(&id) {
            let ids = self.trash.entry(database.name.key()).or_default();
            ids.retain(|it| *it != id);
            add(ids, id);
        }
    }

    /// Gives an active database its name again if it is free: it had expired, and
    /// does not any more.
    fn return_free_name(&mut self, id: DatabaseId) {
        let Some(database) = self.databases.get(&id).filter(|it| it.is_living()).cloned() else {
            return;
        };
        let owner = *self.names.entry(database.name.key()).or_insert(id);
        if owner == id {
            self.remove_from_trash(id);
            self.dns_labels
                .entry(database.dns_label.clone())
                .or_insert(id);
        }
    }

    fn forget_database(&mut self, id: DatabaseId) {
        self.release_names(id);
        self.remove_from_trash(id);
        self.busy.remove(&id);
        self.databases.remove(&id);
    }

    /// Releases a database's name and host label. A database that waits for them gets them, or waits for
    /// the one before it; if they are free then, an active one before it gets them back.
    fn release_names(&mut self, id: DatabaseId) {
        let Some(database) = self.databases.get(&id).cloned() else {
            return;
        };
        if let Some(follower) = self.follower(id).map(|it| it.id)
            && let Some(follower) = self.databases.get_mut(&follower)
        {
            Arc::make_mut(follower).behind = database.behind;
        }
        let in_front = database
            .behind
            .and_then(|it| self.databases.get(&it))
            .cloned();
        let key = database.name.key();
        // In the trash the same name may by now be another's.
        if self.names.get(&key) == Some(&id) {
            self.names.remove(&key);
            if let Some(in_front) = &in_front {
                self.names.insert(key, in_front.id);
            }
        }
        if self.dns_labels.get(&database.dns_label) == Some(&id) {
            self.dns_labels.remove(&database.dns_label);
            if let Some(in_front) = in_front {
                self.dns_labels
                    .insert(in_front.dns_label.clone(), in_front.id);
            }
        }
    }

    fn remove_from_trash(&mut self, id: DatabaseId) {
        let Some(key) = self.databases.get(&id).map(|it| it.name.key()) else {
            return;
        };
        if let Some(ids) = self.trash.get_mut(&key) {
            ids.retain(|it| *it != id);
            if ids.is_empty() {
                self.trash.remove(&key);
            }
        }
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
