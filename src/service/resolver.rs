//! The database resolver: from the name in a request to a database that is entered and answers SQL.
use super::Service;
use super::caller::{AccessDenied, Caller};
use super::freshness::Changes;
use crate::clock::timestamp::Timestamp;
use crate::clock::{Deadline, Stopwatch};
use crate::data::{QueryError, SharedGuard, Target};
use crate::domain::command::refusal::Refusal;
use crate::domain::database::{Condition, Database, DatabaseState, Prospect};
use crate::domain::ids::JobId;
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use crate::domain::verb::JobKind;
use crate::shares::waiting;
use std::sync::Arc;
use std::time::Duration;

/// A database whose files stay where they are for as long as this is held.
pub struct Entered {
    /// Holds the access lock, shared with others.
    pub guard: SharedGuard,
    /// Which database, and its limits.
    pub target: Target,
}

/// A name does not lead to a database that answers SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The caller may not touch it, whether it exists or not.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// None has this name or id.
    #[error("there is no database `{0}`")]
    NotFound(String),
    /// It did not become ready in time.
    #[error("database `{name}` is {state}")]
    NotReady {
        /// Its name.
        name: DatabaseName,
        /// Where it stands.
        state: DatabaseState,
        /// The job that is to make it ready.
        job: Option<JobId>,
    },
    /// A step of a job has its files for longer than the caller would wait.
    #[error("database `{name}` {doing}")]
    AtWork {
        /// Its name.
        name: DatabaseName,
        /// What happens to it, in words that follow its name.
        doing: &'static str,
        /// The job.
        job: Option<JobId>,
    },
    /// It is stopped, and nothing is on its way to start it.
    #[error("database `{name}` is {state}")]
    Stopped {
        /// Its name.
        name: DatabaseName,
        /// Where it stands.
        state: DatabaseState,
    },
    /// A job on it is stuck.
    #[error("a job on database `{name}` is stuck")]
    Stuck {
        /// Its name.
        name: DatabaseName,
        /// That job.
        job: JobId,
    },
    /// It is in the trash.
    #[error("database `{name}` is in the trash; it will be permanently deleted at {purge_at}")]
    Trashed {
        /// Its name.
        name: DatabaseName,
        /// When it is permanently deleted.
        purge_at: Timestamp,
    },
    /// It has expired, or is being purged.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// This gateway does not have its engine.
    #[error(transparent)]
    Engine(#[from] QueryError),
}

/// What SQL finds at a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// It is answered.
    Ready,
    /// It will be, once the jobs that wait are done.
    Coming,
    /// It is refused until another command comes.
    Closed,
}

impl Readiness {
    fn of(database: &Database) -> Self {
        match (database.condition, database.prospect()) {
            (Condition::Ready, _) => Self::Ready,
            (_, Prospect::Ready) if !database.stuck => Self::Coming,
            _ => Self::Closed,
        }
    }
}

impl Caller {
    /// The database that a name or id means. One that the token does not cover is not found, as
    /// if there were none: neither its name nor that it exists is told.
    ///
    /// # Errors
    /// When there is none, or it is not covered.
    pub fn find_database<'a>(
        &self,
        state: &'a State,
        reference: &str,
    ) -> Result<&'a Arc<Database>, ResolveError> {
        let found = state.find_database(reference);
        let covered = found.filter(|database| self.covers(database.name.as_str()));
        covered.ok_or_else(|| ResolveError::NotFound(reference.to_owned()))
    }
}

impl Service {
    /// Enters the database that a name or id means; waits, up to a bound, while it is on its way
    /// to answering SQL or a step of a job has its files.
    ///
    /// # Errors
    /// When there is none, the caller may not touch it, or it does not answer SQL in time.
    pub async fn enter(&self, caller: &Caller, reference: &str) -> Result<Entered, ResolveError> {
        self.enter_until(caller, reference, self.config.ready_wait)
            .await
    }

    /// As [`Self::enter`]; waits as long as the statement may take, where the caller said how long.
    /// What it has waited beyond the usual wait is taken from the statement's time, so that both
    /// end before the request does.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub async fn enter_within(
        &self,
        caller: &Caller,
        reference: &str,
        timeout: &mut Option<Duration>,
    ) -> Result<Entered, ResolveError> {
        let usual = self.config.ready_wait;
        let since = Stopwatch::start();
        let entered = self.enter_until(caller, reference, timeout.unwrap_or(usual));
        let entered = entered.await?;
        if let Some(timeout) = timeout {
            // In whole milliseconds, as limits are told.
            let beyond = since.elapsed().saturating_sub(usual).as_millis();
            let beyond = Duration::from_millis(u64::try_from(beyond).unwrap_or(u64::MAX));
            *timeout = timeout.saturating_sub(beyond);
        }
        Ok(entered)
    }

    async fn enter_until(
        &self,
        caller: &Caller,
        reference: &str,
        wait: Duration,
    ) -> Result<Entered, ResolveError> {
        let deadline = Deadline::after(wait);
        let mut changes: Option<Changes> = None;
        loop {
            let current = match &mut changes {
                None => self.control.current(),
                Some(changes) => changes.borrow_and_update().clone(),
            };
            let database = caller.find_database(&current.state, reference)?;
            self.refuse_expired(database)?;
            match (Readiness::of(database), &mut changes) {
                (Readiness::Ready, _) => {
                    let entered = waiting(self.data.enter(database.id, deadline)).await;
                    // The last holder of the access lock may have moved the files elsewhere.
                    let current = self.control.current();
                    let now = current.state.database(database.id);
                    let guard = entered.map_err(|_| at_work(now.unwrap_or(database)))?;
                    if let Some(now) = now.filter(|it| Readiness::of(it) == Readiness::Ready) {
                        let target = self.data.target(now)?;
                        return Ok(Entered { guard, target });
                    }
                }
                // Looked at once more from now on, so that no change is missed in between.
                (Readiness::Coming, None) => changes = Some(self.control.changes()),
                (Readiness::Coming, Some(changes)) => {
                    if !self.sees_change(changes, deadline).await {
                        return Err(not_ready(database));
                    }
                }
                (Readiness::Closed, _) => return Err(closed(database)),
            }
        }
    }

    /// Refuses a database whose time to live is over, before it is moved to the trash.
    ///
    /// # Errors
    /// When it has expired.
    pub fn refuse_expired(&self, database: &Database) -> Result<(), Refusal> {
        Refusal::if_expired(database, || self.control.clock().now())
    }
}

fn not_ready(database: &Database) -> ResolveError {
    ResolveError::NotReady {
        name: database.name.clone(),
        state: database.state(),
        job: database.queue.first().map(|it| it.id),
    }
}

/// A ready database whose files a job has.
fn at_work(database: &Database) -> ResolveError {
    let first = database.queue.first();
    if Readiness::of(database) != Readiness::Ready {
        return not_ready(database);
    }
    let doing = match first.map(|it| &it.kind) {
        Some(
            JobKind::LoadDatabase { .. }
            | JobKind::CreateFromUpload { .. }
            | JobKind::ExchangeContents { .. },
        ) => "is being loaded",
        _ => "is being worked on by a job",
    };
    ResolveError::AtWork {
        name: database.name.clone(),
        doing,
        job: first.map(|it| it.id),
    }
}

/// Why a database will not become ready by itself.
fn closed(database: &Database) -> ResolveError {
    let name = database.name.clone();
    if let (true, Some(job)) = (database.stuck, database.queue.first()) {
        return ResolveError::Stuck { name, job: job.id };
    }
    match database.condition {
        Condition::Trashed { purge_at } => ResolveError::Trashed { name, purge_at },
        Condition::Purging => Refusal::DatabasePurging(name).into(),
        Condition::Stopped if database.prospect() == Prospect::Stopped => {
            let state = database.state();
            ResolveError::Stopped { name, state }
        }
        Condition::Creating | Condition::Ready | Condition::Stopped => not_ready(database),
    }
}
