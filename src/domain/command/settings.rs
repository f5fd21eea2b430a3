//! Settings of databases: as a create and a change name them, now or later, and what they come to.
//! A new setting is added here, to its events and to the state.
use super::refusal::Refusal;
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Database, Durability, EngineName, Isolation, Labels, Limits};
use crate::domain::event::{DatabaseChanged, DatabaseRequested};
use crate::domain::ids::{DatabaseId, UploadId};
use crate::domain::name::DatabaseName;
use crate::domain::printable::is_printable;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Most labels on a database, and most characters in a key and in a value: a row in a list stays
/// below 8 KiB.
const MAX_LABELS: usize = 32;
/// Most characters of a label's key.
pub const MAX_LABEL_KEY: usize = 63;
const MAX_LABEL_VALUE: usize = 128;
/// Largest file: SQLite itself could do 281 TB, a laptop's disk could not.
const MAX_SIZE_BYTES: u64 = 1 << 40;
const MAX_MEMORY_BYTES: u64 = 1 << 40;
const MAX_CPU_MILLIS: u32 = 64_000;
/// Shorter lives than this could end before the first answer.
const MIN_TTL: Duration = Duration::from_secs(1);

/// What a new database is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateDatabase {
    /// Its name; one is made when none is given.
    pub name: Option<DatabaseName>,
    /// Which engine serves it.
    pub engine: EngineName,
    /// That engine's version, where its files belong to one.
    pub engine_version: Option<String>,
    /// Which process answers its SQL.
    pub isolation: Isolation,
    /// What an answered write survives.
    pub durability: Durability,
    /// The owner's own key-value marks.
    pub labels: Labels,
    /// What it may use.
    pub limits: Limits,
    /// Whether it refuses to be deleted.
    pub protected: bool,
    /// When it goes to the trash by itself, from now.
    pub ttl: Option<Duration>,
    /// What is done where a database has the name.
    pub if_exists: IfExists,
    /// The file that it is made of; none for an empty one.
    pub from: Option<UploadId>,
}

/// What a create does where a database has the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfExists {
    /// It is refused.
    #[default]
    Refuse,
    /// Nothing, where that database's engine is the wanted one.
    Return,
}

/// New settings; what is `None` stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DatabaseChange {
    /// The owner's marks, all of them.
    pub labels: Option<Labels>,
    /// What it may use.
    pub limits: Option<Limits>,
    /// Whether it refuses to be deleted.
    pub protected: Option<bool>,
    /// When it goes to the trash by itself, from now; `Some(None)` for never.
    pub ttl: Option<Option<Duration>>,
    /// The same as a moment, which counts where both are there: what an undo puts back.
    pub expires_at: Option<Option<Timestamp>>,
    /// Which process answers its SQL.
    pub isolation: Option<Isolation>,
}

/// New settings of a database; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changed {
    /// Its name, with `{date}` and `{time}`, or its id.
    pub database: String,
    /// The owner's marks, all of them.
    pub labels: Option<Labels>,
    /// Most bytes its file may grow to.
    pub size_bytes: Option<u64>,
    /// Most bytes of memory for its worker.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor for its worker.
    pub cpu_millis: Option<u32>,
    /// Whether it refuses to be deleted.
    pub protected: Option<bool>,
    /// When it goes to the trash by itself.
    pub ttl: Option<ChangedTtl>,
    /// Which process answers its SQL.
    pub isolation: Option<Isolation>,
}

/// A new time to live. Stored: arms are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangedTtl {
    /// It exists until it is deleted.
    Never,
    /// This many seconds from the change.
    Seconds(u64),
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
    /// Which process answers its SQL.
    #[serde(default)]
    pub isolation: Isolation,
    /// The engine's version, where its files belong to one.
    pub engine_version: Option<String>,
}

impl CreateDatabase {
    /// A database with every setting at its default.
    #[must_use]
    pub fn of_engine(engine: &str, limits: Limits) -> Self {
        Self {
            name: None,
            engine: EngineName(engine.to_owned()),
            engine_version: None,
            isolation: Isolation::default(),
            durability: Durability::default(),
            labels: Labels::new(),
            limits,
            protected: false,
            ttl: None,
            if_exists: IfExists::Refuse,
            from: None,
        }
    }

    /// Refuses settings that no database may have.
    pub(in crate::domain) fn check(&self) -> Result<(), Refusal> {
        check_labels(&self.labels)?;
        check_limits(&self.limits)?;
        check_ttl(self.ttl)
    }

    /// The event that begins the database.
    pub(in crate::domain) fn requested(
        &self,
        database: DatabaseId,
        name: DatabaseName,
        dns_label: String,
        now: Timestamp,
    ) -> DatabaseRequested {
        DatabaseRequested {
            database,
            name,
            dns_label,
            engine: self.engine.clone(),
            durability: self.durability,
            labels: self.labels.clone(),
            limits: self.limits,
            protected: self.protected,
            expires_at: self.ttl.map(|ttl| now.after(ttl)),
            isolation: self.isolation,
            engine_version: self.engine_version.clone(),
        }
    }
}

impl DatabaseChange {
    /// Refuses settings that no database may have.
    pub(in crate::domain) fn check(&self) -> Result<(), Refusal> {
        if let Some(labels) = &self.labels {
            check_labels(labels)?;
        }
        if let Some(limits) = &self.limits {
            check_limits(limits)?;
        }
        check_ttl(self.ttl.flatten())
    }

    /// All settings of a database after this change.
    pub(in crate::domain) fn over(&self, database: &Database, now: Timestamp) -> DatabaseChanged {
        DatabaseChanged {
            database: database.id,
            labels: self.labels.as_ref().unwrap_or(&database.labels).clone(),
            limits: self.limits.unwrap_or(database.limits),
            protected: self.protected.unwrap_or(database.protected),
            expires_at: match (self.expires_at, self.ttl) {
                (Some(moment), _) => moment,
                (None, Some(ttl)) => ttl.map(|ttl| now.after(ttl)),
                (None, None) => database.expires_at,
            },
            isolation: self.isolation.unwrap_or(database.isolation),
        }
    }

    /// What puts those settings back that are another in `after` than in `before`.
    pub(in crate::domain) fn back(before: &DatabaseChanged, after: &DatabaseChanged) -> Self {
        Self {
            labels: (before.labels != after.labels).then(|| before.labels.clone()),
            limits: (before.limits != after.limits).then_some(before.limits),
            protected: (before.protected != after.protected).then_some(before.protected),
            ttl: None,
            expires_at: (before.expires_at != after.expires_at).then_some(before.expires_at),
            isolation: (before.isolation != after.isolation).then_some(before.isolation),
        }
    }

    /// Whether one of the settings that this changes is another in `one` than in `other`.
    pub(in crate::domain) fn differs_between(
        &self,
        one: &DatabaseChanged,
        other: &DatabaseChanged,
    ) -> bool {
        (self.labels.is_some() && one.labels != other.labels)
            || (self.limits.is_some() && one.limits != other.limits)
            || (self.protected.is_some() && one.protected != other.protected)
            || (self.expires_at.is_some() && one.expires_at != other.expires_at)
            || (self.isolation.is_some() && one.isolation != other.isolation)
    }
}

/// All settings that can be changed, as a database has them.
pub(in crate::domain) fn settings_of(database: &Database) -> DatabaseChanged {
    DatabaseChanged {
        database: database.id,
        labels: database.labels.clone(),
        limits: database.limits,
        protected: database.protected,
        expires_at: database.expires_at,
        isolation: database.isolation,
    }
}

impl Wanted {
    /// Refuses settings that no database may have.
    pub(in crate::domain) fn check(&self) -> Result<(), Refusal> {
        check_labels(&self.labels)?;
        check_limits(&self.limits)?;
        check_ttl(self.ttl_seconds.map(Duration::from_secs))
    }

    /// The command, under the name that it comes to.
    pub(in crate::domain) fn under(&self, name: DatabaseName) -> CreateDatabase {
        CreateDatabase {
            name: Some(name),
            engine: self.engine.clone(),
            engine_version: self.engine_version.clone(),
            isolation: self.isolation,
            durability: self.durability,
            labels: self.labels.clone(),
            limits: self.limits,
            protected: self.protected,
            ttl: self.ttl_seconds.map(Duration::from_secs),
            if_exists: IfExists::Refuse,
            from: None,
        }
    }
}

impl Changed {
    /// Refuses settings that no database may have.
    pub(in crate::domain) fn check(&self) -> Result<(), Refusal> {
        self.over(Limits::default()).check()
    }

    /// The change of a database that has these limits.
    pub(in crate::domain) fn over(&self, limits: Limits) -> DatabaseChange {
        let wanted = Limits {
            size_bytes: self.size_bytes.unwrap_or(limits.size_bytes),
            memory_bytes: self.memory_bytes.unwrap_or(limits.memory_bytes),
            cpu_millis: self.cpu_millis.unwrap_or(limits.cpu_millis),
        };
        DatabaseChange {
            labels: self.labels.clone(),
            limits: Some(wanted),
            protected: self.protected,
            ttl: self.ttl.map(|it| match it {
                ChangedTtl::Never => None,
                ChangedTtl::Seconds(it) => Some(Duration::from_secs(it)),
            }),
            expires_at: None,
            isolation: self.isolation,
        }
    }
}

fn check_labels(labels: &Labels) -> Result<(), Refusal> {
    let key_is_wrong =
        |key: &String| key.is_empty() || key.chars().count() > MAX_LABEL_KEY || !is_printable(key);
    if labels.len() > MAX_LABELS {
        return Err(Refusal::Invalid(format!(
            "a database has at most {MAX_LABELS} labels"
        )));
    }
    if labels.keys().any(key_is_wrong) {
        return Err(Refusal::Invalid(format!(
            "the key of a label has 1 to {MAX_LABEL_KEY} characters and no control characters"
        )));
    }
    let value_is_wrong =
        |value: &String| value.chars().count() > MAX_LABEL_VALUE || !is_printable(value);
    if labels.values().any(value_is_wrong) {
        return Err(Refusal::Invalid(format!(
            "the value of a label has at most {MAX_LABEL_VALUE} characters and no control characters"
        )));
    }
    Ok(())
}

fn check_limits(limits: &Limits) -> Result<(), Refusal> {
    let Limits {
        size_bytes,
        memory_bytes,
        cpu_millis,
    } = *limits;
    check_range(
        "limits.size_bytes",
        size_bytes,
        Limits::LEAST.size_bytes,
        MAX_SIZE_BYTES,
    )?;
    check_range(
        "limits.memory_bytes",
        memory_bytes,
        Limits::LEAST.memory_bytes,
        MAX_MEMORY_BYTES,
    )?;
    check_range(
        "limits.cpu_millis",
        cpu_millis,
        Limits::LEAST.cpu_millis,
        MAX_CPU_MILLIS,
    )
}

fn check_range<T: PartialOrd + std::fmt::Display>(
    what: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), Refusal> {
    if value < least || value > most {
        return Err(Refusal::Invalid(format!(
            "{what} must be {least} to {most}, not {value}"
        )));
    }
    Ok(())
}

fn check_ttl(ttl: Option<Duration>) -> Result<(), Refusal> {
    if ttl.is_some_and(|life| life < MIN_TTL) {
        return Err(Refusal::Invalid("a ttl must be at least one second".into()));
    }
    Ok(())
}
