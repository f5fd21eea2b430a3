//! Lifecycle commands as people write them ahead of time: databases by name, found when the
//! command is carried out.
use super::command::{Command, CreateDatabase};
use super::database::{Durability, EngineName, Labels, Limits};
use super::name::DatabaseName;
use super::refusal::Refusal;
use super::state::State;
use super::token::Scope;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is to be done, later or again and again. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifecycleCommand {
    /// Make a database.
    CreateDatabase(Wanted),
    /// Take its worker away, keep its data.
    StopDatabase(Named),
    /// Bring it back with its data.
    StartDatabase(Named),
    /// Replace its worker by a fresh one.
    RestartDatabase(Named),
    /// Move it to the trash.
    DeleteDatabase(Named),
    /// Bring it back from the trash.
    UndeleteDatabase(Named),
    /// Remove it for good.
    PurgeDatabase(Named),
}

/// A new database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Its name, in which `{date}` and `{time}` stand for the day and the minute.
    pub name: String,
    /// Which engine serves it.
    pub engine: EngineName,
    /// What an answered write survives.
    pub durability: Durability,
    /// The owner's own key-value marks.
    pub labels: Labels,
    /// What it may use.
    pub limits: Limits,
    /// Whether it refuses to be deleted.
    pub protected: bool,
    /// When it goes to the trash by itself, in seconds from its creation.
    pub ttl_seconds: Option<u64>,
}

/// A database by its name, whichever has it then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Its name, with `{date}` and `{time}`, or its id.
    pub database: String,
}

impl LifecycleCommand {
    /// The word shown in the API: `create_database`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::CreateDatabase(_) => "create_database",
            Self::StopDatabase(_) => "stop_database",
            Self::StartDatabase(_) => "start_database",
            Self::RestartDatabase(_) => "restart_database",
            Self::DeleteDatabase(_) => "delete_database",
            Self::UndeleteDatabase(_) => "undelete_database",
            Self::PurgeDatabase(_) => "purge_database",
        }
    }

    /// The scope that it takes.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::CreateDatabase(_)
            | Self::StopDatabase(_)
            | Self::StartDatabase(_)
            | Self::RestartDatabase(_)
            | Self::DeleteDatabase(_)
            | Self::UndeleteDatabase(_) => Scope::Manage,
            Self::PurgeDatabase(_) => Scope::Admin,
        }
    }

    /// The name it is about, its placeholders filled in.
    #[must_use]
    pub fn target(&self, moment: &Moment) -> String {
        match self {
            Self::CreateDatabase(it) => moment.fill(&it.name),
            Self::StopDatabase(it)
            | Self::StartDatabase(it)
            | Self::RestartDatabase(it)
            | Self::DeleteDatabase(it)
            | Self::UndeleteDatabase(it)
            | Self::PurgeDatabase(it) => moment.fill(&it.database),
        }
    }

    /// The command that it comes to in this state.
    ///
    /// # Errors
    /// When its name is none, or no database has it.
    pub fn resolve(&self, state: &State, moment: &Moment) -> Result<Command, Refusal> {
        let target = self.target(moment);
        let found = || {
            let found = state.find_database(&target);
            found
                .map(|it| it.id)
                .ok_or_else(|| Refusal::DatabaseNotFound(target.clone()))
        };
        Ok(match self {
            Self::CreateDatabase(it) => Command::CreateDatabase(it.under(parsed(&target)?)),
            Self::StopDatabase(_) => Command::StopDatabase { database: found()? },
            Self::StartDatabase(_) => Command::StartDatabase { database: found()? },
            Self::RestartDatabase(_) => Command::RestartWorker { database: found()? },
            Self::DeleteDatabase(_) => Command::DeleteDatabase { database: found()? },
            Self::UndeleteDatabase(_) => Command::UndeleteDatabase { database: found()? },
            Self::PurgeDatabase(_) => Command::PurgeDatabase { database: found()? },
        })
    }

    /// Checks what can be checked ahead of time: that its name will be one.
    ///
    /// # Errors
    /// When it will not.
    pub fn check(&self, sample: &Moment) -> Result<(), Refusal> {
        parsed(&self.target(sample)).map(drop)
    }
}

impl Wanted {
    fn under(&self, name: DatabaseName) -> CreateDatabase {
        CreateDatabase {
            name: Some(name),
            engine: self.engine.clone(),
            durability: self.durability,
            labels: self.labels.clone(),
            limits: self.limits,
            protected: self.protected,
            ttl: self.ttl_seconds.map(Duration::from_secs),
        }
    }
}

fn parsed(name: &str) -> Result<DatabaseName, Refusal> {
    DatabaseName::parse(name).map_err(|error| Refusal::Invalid(error.to_string()))
}

/// What placeholders stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The day: `20260301`.
    pub date: String,
    /// Hour and minute: `0230`.
    pub time: String,
}

impl Moment {
    fn fill(&self, text: &str) -> String {
        text.replace("{date}", &self.date)
            .replace("{time}", &self.time)
    }
}
