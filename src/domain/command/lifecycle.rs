//! Lifecycle commands as people write them ahead of time: databases by name, found when the
//! command is carried out.
pub use super::settings::{Changed, ChangedTtl, Wanted};

use super::Command;
use super::refusal::Refusal;
use crate::domain::ids::DatabaseId;
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use crate::domain::token::Scope;
use serde::{Deserialize, Serialize};

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
    /// Change its settings.
    ChangeDatabase(Changed),
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
            Self::ChangeDatabase(_) => "change_database",
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
            | Self::UndeleteDatabase(_)
            | Self::ChangeDatabase(_) => Scope::Manage,
            Self::PurgeDatabase(_) => Scope::Admin,
        }
    }

    /// The name it is about, its placeholders filled in.
    #[must_use]
    pub fn target(&self, moment: &Placeholders) -> String {
        match self {
            Self::CreateDatabase(it) => moment.fill(&it.name),
            Self::StopDatabase(it)
            | Self::StartDatabase(it)
            | Self::RestartDatabase(it)
            | Self::DeleteDatabase(it)
            | Self::UndeleteDatabase(it)
            | Self::PurgeDatabase(it) => moment.fill(&it.database),
            Self::ChangeDatabase(it) => moment.fill(&it.database),
        }
    }

    /// The name it is about, as it was written.
    #[must_use]
    pub fn target_as_written(&self) -> String {
        self.target(&Placeholders::none())
    }

    /// The command that it comes to in this state.
    ///
    /// # Errors
    /// When its name is none, or no database has it.
    pub fn resolve(&self, state: &State, moment: &Placeholders) -> Result<Command, Refusal> {
        let target = self.target(moment);
        if let Self::CreateDatabase(it) = self {
            return Ok(Command::CreateDatabase(it.under(parsed(&target)?)));
        }
        let found = state.find_database(&target).map(|it| it.id);
        self.on(found.ok_or(Refusal::DatabaseNotFound(target))?, state)
    }

    /// The command that it comes to on a database, whatever its name is by now.
    ///
    /// # Errors
    /// When the database is gone, or it makes a new one.
    pub fn on(&self, database: DatabaseId, state: &State) -> Result<Command, Refusal> {
        Ok(match self {
            Self::CreateDatabase(_) => {
                let reason = "a database that exists is not created".to_owned();
                return Err(Refusal::Invalid(reason));
            }
            Self::StopDatabase(_) => Command::StopDatabase { database },
            Self::StartDatabase(_) => Command::StartDatabase { database },
            Self::RestartDatabase(_) => Command::RestartWorker { database },
            Self::DeleteDatabase(_) => Command::DeleteDatabase { database },
            Self::UndeleteDatabase(_) => Command::UndeleteDatabase { database },
            Self::PurgeDatabase(_) => Command::PurgeDatabase { database },
            Self::ChangeDatabase(it) => {
                let found = state.database(database);
                let limits = found.ok_or_else(|| Refusal::no_database(database))?.limits;
                let change = it.over(limits);
                Command::ChangeDatabase { database, change }
            }
        })
    }

    /// Checks what can be checked ahead of time: its settings, and that its name will be one.
    ///
    /// # Errors
    /// When it will not.
    pub fn check(&self, sample: &Placeholders) -> Result<(), Refusal> {
        match self {
            Self::CreateDatabase(it) => it.check(),
            Self::ChangeDatabase(it) => it.check(),
            Self::StopDatabase(_)
            | Self::StartDatabase(_)
            | Self::RestartDatabase(_)
            | Self::DeleteDatabase(_)
            | Self::UndeleteDatabase(_)
            | Self::PurgeDatabase(_) => Ok(()),
        }?;
        parsed(&self.target(sample)).map(drop)
    }
}

fn parsed(name: &str) -> Result<DatabaseName, Refusal> {
    DatabaseName::parse(name).map_err(|error| Refusal::Invalid(error.to_string()))
}

/// What placeholders stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placeholders {
    /// The day: `20260301`.
    pub date: String,
    /// Hour and minute: `0230`.
    pub time: String,
}

impl Placeholders {
    /// Fills nothing in: what is for one moment alone has no placeholders, and braces stand in
    /// no name.
    #[must_use]
    pub fn none() -> Self {
        Self {
            date: "{date}".to_owned(),
            time: "{time}".to_owned(),
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{date}", &self.date)
            .replace("{time}", &self.time)
    }
}
