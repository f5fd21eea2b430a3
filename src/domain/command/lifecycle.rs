//! Lifecycle commands as people write them ahead of time: databases by name, found when the
//! command is carried out.
pub use super::settings::{Changed, ChangedTtl, Wanted};

use super::Command;
use super::refusal::Refusal;
use crate::domain::ids::DatabaseId;
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use crate::domain::token::Scope;
use crate::domain::verb::Verb;
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

/// What a lifecycle command says.
#[derive(Debug, Clone, Copy)]
pub enum Wording<'a> {
    /// Settings for a new database.
    Create(&'a Wanted),
    /// New settings for a database.
    Change(&'a Changed),
    /// A verb and a database.
    Act(Verb, &'a Named),
}

impl LifecycleCommand {
    /// The command that is a verb and a database.
    #[must_use]
    pub fn act(verb: Verb, named: Named) -> Self {
        match verb {
            Verb::Stop => Self::StopDatabase(named),
            Verb::Start => Self::StartDatabase(named),
            Verb::Restart => Self::RestartDatabase(named),
            Verb::Delete => Self::DeleteDatabase(named),
            Verb::Undelete => Self::UndeleteDatabase(named),
            Verb::Purge => Self::PurgeDatabase(named),
        }
    }

    /// What it says.
    #[must_use]
    pub fn wording(&self) -> Wording<'_> {
        match self {
            Self::CreateDatabase(it) => Wording::Create(it),
            Self::StopDatabase(it) => Wording::Act(Verb::Stop, it),
            Self::StartDatabase(it) => Wording::Act(Verb::Start, it),
            Self::RestartDatabase(it) => Wording::Act(Verb::Restart, it),
            Self::DeleteDatabase(it) => Wording::Act(Verb::Delete, it),
            Self::UndeleteDatabase(it) => Wording::Act(Verb::Undelete, it),
            Self::PurgeDatabase(it) => Wording::Act(Verb::Purge, it),
            Self::ChangeDatabase(it) => Wording::Change(it),
        }
    }

    /// The word shown in the API: `create_database`.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self.wording() {
            Wording::Create(_) => "create_database",
            Wording::Change(_) => "change_database",
            Wording::Act(verb, _) => verb.row().command,
        }
    }

    /// The scope that it takes.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self.wording() {
            Wording::Create(_) | Wording::Change(_) => Scope::Manage,
            Wording::Act(verb, _) => verb.row().scope,
        }
    }

    /// The name it is about, its placeholders filled in.
    #[must_use]
    pub fn target(&self, moment: &Placeholders) -> String {
        moment.fill(match self.wording() {
            Wording::Create(it) => &it.name,
            Wording::Change(it) => &it.database,
            Wording::Act(_, it) => &it.database,
        })
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
        match self.wording() {
            Wording::Create(_) => {
                let reason = "a database that exists is not created".to_owned();
                Err(Refusal::Invalid(reason))
            }
            Wording::Act(verb, _) => Ok(verb.on(database)),
            Wording::Change(it) => {
                let found = state.database(database);
                let limits = found.ok_or_else(|| Refusal::no_database(database))?.limits;
                let change = it.over(limits);
                Ok(Command::ChangeDatabase { database, change })
            }
        }
    }

    /// Checks what can be checked ahead of time: its settings, and that its name will be one.
    ///
    /// # Errors
    /// When it will not.
    pub fn check(&self, sample: &Placeholders) -> Result<(), Refusal> {
        match self.wording() {
            Wording::Create(it) => it.check(),
            Wording::Change(it) => it.check(),
            Wording::Act(_, _) => Ok(()),
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
