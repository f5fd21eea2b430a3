//! Stored plans: a command that waits for a yes, and what it rests on.
use super::command::Command;
use super::command::lifecycle::{LifecycleCommand, Placeholders};
use super::command::refusal::Refusal;
use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{Actor, DatabaseId, JobId, PlanId, Sequence};
use super::name::DatabaseName;
use super::state::State;
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// What must still be so for a plan to be applied. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Nothing has happened to this database since.
    Unchanged {
        database: DatabaseId,
        name: DatabaseName,
        /// The last event about it.
        sequence: Sequence,
    },
    /// The name is free, and results in this host label.
    Free {
        /// The name.
        name: DatabaseName,
        /// The label that was free.
        dns_label: String,
    },
}

/// A command with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its permanent id.
    pub id: PlanId,
    /// What it would do.
    pub command: LifecycleCommand,
    /// What it rests on.
    pub basis: Basis,
    /// Past this moment it is forgotten.
    pub expires_at: Timestamp,
    /// The actor who created it.
    pub made_by: Actor,
    pub created_at: Timestamp,
    /// The event that made it.
    pub sequence: Sequence,
    /// The result of applying it, once it was applied.
    pub applied: Option<Applied>,
}

/// What came of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The job that it put in the queue.
    pub job: Option<JobId>,
    /// The actor who applied it.
    pub by: Actor,
    /// The event that says so.
    pub sequence: Sequence,
}

impl Plan {
    /// The plan that an event begins, where it begins one.
    #[must_use]
    pub fn begun_by(recorded: &RecordedEvent) -> Option<Self> {
        let Event::PlanMade(it) = &recorded.event else {
            return None;
        };
        Some(Self {
            id: it.plan,
            command: it.command.clone(),
            basis: it.basis.clone(),
            expires_at: it.expires_at,
            made_by: recorded.commit.actor.clone(),
            created_at: recorded.commit.time,
            sequence: recorded.sequence,
            applied: None,
        })
    }

    /// Remembers what came of it.
    pub fn apply(&mut self, job: Option<JobId>, recorded: &RecordedEvent) {
        self.applied = Some(Applied {
            job,
            by: recorded.commit.actor.clone(),
            sequence: recorded.sequence,
        });
    }

    /// The command, where nothing that it rests on has changed.
    ///
    /// # Errors
    /// [`Refusal::PlanStale`] with what has.
    pub fn command(&self, state: &State) -> Result<Command, Refusal> {
        let checked = self.basis.check(state);
        checked.map_err(|changed| self.stale(changed))?;
        let command = self.basis.command(&self.command, state);
        command.map_err(|refusal| self.stale(refusal.to_string()))
    }

    /// Says that it cannot be applied.
    #[must_use]
    pub fn stale(&self, changed: String) -> Refusal {
        Refusal::PlanStale {
            plan: self.id,
            changed,
        }
    }
}

impl Basis {
    /// What a command rests on in this state.
    ///
    /// # Errors
    /// When the database that it names is not there, or the name is none.
    pub fn of(command: &LifecycleCommand, state: &State) -> Result<Self, Refusal> {
        let target = command.target_as_written();
        if let LifecycleCommand::CreateDatabase(_) = command {
            let name = DatabaseName::parse(&target)
                .map_err(|error| Refusal::Invalid(error.to_string()))?;
            let dns_label = state.free_dns_label(&name);
            return Ok(Self::Free { name, dns_label });
        }
        let found = state.find_database(&target);
        let found = found.ok_or(Refusal::DatabaseNotFound(target))?;
        Ok(Self::Unchanged {
            database: found.id,
            name: found.name.clone(),
            sequence: found.sequence,
        })
    }

    /// What the command comes to on it.
    ///
    /// # Errors
    /// When the database is gone, or the name is none.
    pub fn command(&self, command: &LifecycleCommand, state: &State) -> Result<Command, Refusal> {
        match self {
            Self::Unchanged { database, .. } => command.on(*database, state),
            Self::Free { .. } => command.resolve(state, &Placeholders::none()),
        }
    }

    /// The name of the database.
    #[must_use]
    pub fn name(&self) -> &DatabaseName {
        match self {
            Self::Unchanged { name, .. } | Self::Free { name, .. } => name,
        }
    }

    /// Says what has changed, where something has. Whether a name is taken, the rules say.
    fn check(&self, state: &State) -> Result<(), String> {
        match self {
            Self::Unchanged {
                database,
                name,
                sequence,
            } => match state.database(*database) {
                None => Err(format!("database `{name}` no longer exists")),
                Some(it) if it.sequence != *sequence => Err(format!(
                    "database `{name}` was last changed by event {}, not by event {sequence}",
                    it.sequence
                )),
                Some(_) => Ok(()),
            },
            Self::Free { name, dns_label } => {
                if state.free_dns_label(name) != *dns_label {
                    return Err(format!("the host label `{dns_label}` is now taken"));
                }
                Ok(())
            }
        }
    }
}
