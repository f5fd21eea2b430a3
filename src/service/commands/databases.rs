//! Databases: created, changed, and acted on by lifecycle commands.
use super::{CommandError, CommandRequest, Enqueued, Outcome};
use crate::control::Accepted;
use crate::domain::command::{Command, CreateDatabase, DatabaseChange};
use crate::domain::database::{Condition, Database, EngineName, Isolation, Limits};
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use crate::domain::token::Scope;
use crate::domain::verb::Verb;
use crate::service::Service;
use crate::service::caller::{AccessDenied, Caller};
use crate::service::resolver::ResolveError;
use std::sync::Arc;

/// What came of a create.
#[derive(Debug)]
pub enum Creation {
    /// A job makes it.
    Enqueued(Enqueued),
    /// It was there.
    Existing(Shown),
}

/// A database after a command about it.
#[derive(Debug)]
pub struct Shown {
    /// The database.
    pub database: Arc<Database>,
    /// What happened.
    pub accepted: Accepted,
    /// The end of the log when it was looked at.
    pub seen: Sequence,
}

impl Service {
    /// Creates a database, or finds the one that has the name where the command allows it. What is
    /// `wanted` is not looked at before the caller's rights.
    ///
    /// # Errors
    /// When the caller may not, or the command is refused.
    pub async fn create_database<E: From<CommandError>>(
        &self,
        request: &CommandRequest,
        name: Option<&str>,
        wanted: impl FnOnce() -> Result<CreateDatabase, E>,
    ) -> Result<Outcome<Creation>, E> {
        may_create(&request.caller, name).map_err(CommandError::from)?;
        Ok(self.create(request, wanted()?).await?)
    }

    async fn create(
        &self,
        request: &CommandRequest,
        wanted: CreateDatabase,
    ) -> Result<Outcome<Creation>, CommandError> {
        let name = wanted
            .name
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        // One that is there is answered whatever its engine can do now.
        if self.control.current().state.find_database(&name).is_none() {
            self.require_engine(&wanted.engine)?;
        }
        let command = Command::CreateDatabase(wanted);
        let accepted = match self.carry_out_or_preview(request, |_| Ok(command)).await? {
            Outcome::Done(accepted) => accepted,
            Outcome::Preview(preview) => return Ok(Outcome::Preview(preview)),
        };
        Ok(Outcome::Done(if accepted.job().is_some() {
            Creation::Enqueued(self.follow(request, accepted).await?)
        } else {
            Creation::Existing(self.existing(request, &name, accepted).await?)
        }))
    }

    /// Refuses an engine whose databases cannot be made here.
    fn require_engine(&self, engine: &EngineName) -> Result<(), CommandError> {
        let Some(engine) = self.data.engines().find(&engine.0) else {
            return Ok(()); // it is refused as unknown
        };
        match engine.availability().trouble {
            None => Ok(()),
            Some(reason) => Err(CommandError::EngineUnavailable {
                engine: engine.name(),
                reason,
            }),
        }
    }

    /// Refuses limits that are too little for the database's engine.
    pub(super) fn require_room(
        &self,
        database: &Database,
        limits: Option<&Limits>,
    ) -> Result<(), CommandError> {
        let Some((limits, engine)) = limits.zip(self.data.engine_of(database).ok()) else {
            return Ok(());
        };
        let capabilities = engine.capabilities();
        match capabilities.too_small(limits) {
            Some((name, least)) if capabilities.least_limits != Limits::LEAST => {
                Err(CommandError::TooSmall {
                    engine: engine.name(),
                    name,
                    least,
                })
            }
            _ => Ok(()),
        }
    }

    /// The database of a create that found one; once it is created, where the caller waits.
    async fn existing(
        &self,
        request: &CommandRequest,
        name: &str,
        accepted: Accepted,
    ) -> Result<Shown, CommandError> {
        // Under a key the answer to a retry is about the same database.
        let find = |state: &State| match accepted.database() {
            Some(id) => state.database(id).cloned(),
            None => state.find_database(name).cloned(),
        };
        let created_by = find(&self.control.current().state)
            .filter(|it| it.condition == Condition::Creating)
            .and_then(|it| it.queue.first().map(|it| it.id));
        if let (Some(job), Some(wait)) = (created_by, request.wait) {
            self.wait_for_job(job, wait).await?;
        }
        let current = self.control.current();
        let database = find(&current.state).ok_or_else(|| CommandError::Gone(name.to_owned()))?;
        Ok(Shown {
            database,
            accepted,
            seen: current.head.sequence,
        })
    }

    /// Changes a database's settings. `change` is given the limits that it has.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, or the change is refused.
    pub async fn change_database(
        &self,
        request: &CommandRequest,
        reference: &str,
        change: impl Fn(Limits) -> DatabaseChange,
    ) -> Result<Outcome<Shown>, CommandError> {
        let caller = &request.caller;
        caller.require(Scope::Manage)?;
        let command = |state: &State| {
            let found = caller.find_database(state, reference)?;
            let change = change(found.limits);
            self.check_isolation(found, change.isolation)?;
            self.require_room(found, change.limits.as_ref())?;
            Ok(Command::ChangeDatabase {
                database: found.id,
                change,
            })
        };
        let accepted = match self.carry_out_or_preview(request, command).await? {
            Outcome::Done(accepted) => accepted,
            Outcome::Preview(preview) => return Ok(Outcome::Preview(preview)),
        };
        let current = self.control.current();
        // Where nothing was different and there is no key, no event names the database.
        let database = match accepted.database() {
            Some(id) => {
                let found = current.state.database(id);
                found.ok_or_else(|| CommandError::Gone(reference.to_owned()))?
            }
            None => caller.find_database(&current.state, reference)?,
        };
        Ok(Outcome::Done(Shown {
            database: database.clone(),
            accepted,
            seen: current.head.sequence,
        }))
    }

    /// Refuses an isolation that databases of this engine do not have.
    pub(super) fn check_isolation(
        &self,
        database: &Database,
        wanted: Option<Isolation>,
    ) -> Result<(), CommandError> {
        if wanted.is_none() {
            return Ok(());
        }
        let engine = self.data.engine_of(database);
        let engine = engine.map_err(ResolveError::from)?;
        let isolation = self.data.engines().isolation(engine.as_ref(), wanted);
        Ok(isolation.map(drop)?)
    }

    /// Does one thing to one database, which takes a job.
    ///
    /// # Errors
    /// When the caller lacks its scope, there is no such database, or the command is refused.
    pub async fn act_on_database(
        &self,
        request: &CommandRequest,
        reference: &str,
        verb: Verb,
    ) -> Result<Outcome<Enqueued>, CommandError> {
        let caller = &request.caller;
        caller.require(verb.row().scope)?;
        let found = |state: &State| {
            let database = caller.find_database(state, reference)?;
            Ok(verb.on(database.id))
        };
        self.enqueue(request, found).await
    }
}

fn may_create(caller: &Caller, name: Option<&str>) -> Result<(), AccessDenied> {
    caller.require(Scope::Manage)?;
    match name {
        Some(name) => caller.require_name(name),
        // Whether a generated name is covered is not known before it is made.
        None => caller.require_all(),
    }
}
