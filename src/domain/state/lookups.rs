//! What the state holds, found by id, by name or in order.
use super::State;
use crate::domain::command::Command;
use crate::domain::database::Database;
use crate::domain::ids::{DatabaseId, JobId, NodeId, PlanId, ScheduleId, TokenId, WebhookId};
use crate::domain::job::Job;
use crate::domain::name::name_key;
use crate::domain::plan::Plan;
use crate::domain::schedule::Schedule;
use crate::domain::token::Token;
use crate::domain::webhook::Webhook;
use std::iter;
use std::sync::Arc;

/// What stands before a host label that is to be read as one. No name and no id has a colon.
pub const BY_HOST: &str = "host:";

impl State {
    /// The database that `{db}` in a path means: the living one of that name, else the latest of
    /// that name in the trash, else the one with that id; after [`BY_HOST`] the one of a host label.
    #[must_use]
    pub fn find_database(&self, reference: &str) -> Option<&Arc<Database>> {
        if let Some(label) = reference.strip_prefix(BY_HOST) {
            return self.find_by_host(label);
        }
        let key = name_key(reference);
        let id = self
            .names
            .get(&key)
            .or_else(|| self.trash.get(&key).and_then(|them| them.last()))
            .copied()
            .or_else(|| reference.parse().ok())?;
        self.databases.get(&id)
    }

    /// The living database of a host label, else the latest in the trash that had its name as its
    /// label.
    fn find_by_host(&self, label: &str) -> Option<&Arc<Database>> {
        let label = label.to_ascii_lowercase();
        if let Some(id) = self.dns_labels.get(&label) {
            return self.databases.get(id);
        }
        let trashed = self.trash.get(&label)?.iter().rev();
        let mut trashed = trashed.filter_map(|id| self.databases.get(id));
        trashed.find(|database| database.dns_label == label)
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
        self.databases()
            .filter(move |database| self.node_of(database) == own)
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
        let before = self.in_front(database).map(|database| database.queue.len());
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
        let waits = |id: &DatabaseId| {
            self.databases
                .get(id)
                .is_some_and(|database| database.behind.is_some())
        };
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
            .find(|schedule| schedule.name.eq_ignore_ascii_case(reference))
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

    /// A webhook by its id.
    #[must_use]
    pub fn webhook(&self, id: WebhookId) -> Option<&Arc<Webhook>> {
        self.webhooks.get(&id)
    }

    /// Every webhook, oldest first.
    pub fn webhooks(&self) -> impl DoubleEndedIterator<Item = &Arc<Webhook>> {
        self.webhooks.values()
    }
}
