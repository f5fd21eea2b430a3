//! Events of the time when the gateway answered the SQL of every database, and no engine's files
//! belonged to one version of it.
use crate::clock::timestamp::Timestamp;
use crate::domain::command::lifecycle::{Changed, ChangedTtl, LifecycleCommand, Named, Wanted};
use crate::domain::database::{Durability, EngineName, Isolation, Labels, Limits};
use crate::domain::event::{
    DatabaseChanged, DatabaseKept, DatabaseRequested, Event, PlanMade, ScheduleChanged,
    ScheduleCreated,
};
use crate::domain::ids::{DatabaseId, PlanId, ScheduleId, TokenId};
use crate::domain::name::DatabaseName;
use crate::domain::plan::Basis;
use crate::domain::schedule::{Misfire, Overlap, SchedulePlan};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseRequestedV1 {
    database: DatabaseId,
    name: DatabaseName,
    dns_label: String,
    engine: EngineName,
    durability: Durability,
    labels: Labels,
    limits: Limits,
    protected: bool,
    expires_at: Option<Timestamp>,
}

impl From<DatabaseRequestedV1> for Event {
    fn from(it: DatabaseRequestedV1) -> Self {
        DatabaseRequested {
            database: it.database,
            name: it.name,
            dns_label: it.dns_label,
            engine: it.engine,
            durability: it.durability,
            labels: it.labels,
            limits: it.limits,
            protected: it.protected,
            expires_at: it.expires_at,
            isolation: Isolation::Gateway,
            engine_version: None,
        }
        .into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseChangedV1 {
    database: DatabaseId,
    labels: Labels,
    limits: Limits,
    protected: bool,
    expires_at: Option<Timestamp>,
}

impl From<DatabaseChangedV1> for Event {
    fn from(it: DatabaseChangedV1) -> Self {
        DatabaseChanged {
            database: it.database,
            labels: it.labels,
            limits: it.limits,
            protected: it.protected,
            expires_at: it.expires_at,
            isolation: Isolation::Gateway,
        }
        .into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseKeptV1 {
    database: DatabaseId,
    of: DatabaseId,
    name: DatabaseName,
    engine: EngineName,
    durability: Durability,
    labels: Labels,
    limits: Limits,
    purge_at: Timestamp,
}

impl From<DatabaseKeptV1> for Event {
    fn from(it: DatabaseKeptV1) -> Self {
        DatabaseKept {
            database: it.database,
            of: it.of,
            name: it.name,
            engine: it.engine,
            durability: it.durability,
            labels: it.labels,
            limits: it.limits,
            purge_at: it.purge_at,
            isolation: Isolation::Gateway,
            engine_version: None,
        }
        .into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleCreatedV1 {
    schedule: ScheduleId,
    name: String,
    plan: SchedulePlanV1,
    token: Option<TokenId>,
}

impl From<ScheduleCreatedV1> for Event {
    fn from(it: ScheduleCreatedV1) -> Self {
        ScheduleCreated {
            schedule: it.schedule,
            name: it.name,
            plan: it.plan.into(),
            token: it.token,
        }
        .into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleChangedV1 {
    schedule: ScheduleId,
    plan: SchedulePlanV1,
    token: Option<TokenId>,
}

impl From<ScheduleChangedV1> for Event {
    fn from(it: ScheduleChangedV1) -> Self {
        ScheduleChanged {
            schedule: it.schedule,
            plan: it.plan.into(),
            token: it.token,
        }
        .into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanMadeV1 {
    plan: PlanId,
    command: LifecycleCommandV1,
    basis: Basis,
    expires_at: Timestamp,
}

impl From<PlanMadeV1> for Event {
    fn from(it: PlanMadeV1) -> Self {
        PlanMade {
            plan: it.plan,
            command: it.command.into(),
            basis: it.basis,
            expires_at: it.expires_at,
        }
        .into()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchedulePlanV1 {
    cron: String,
    timezone: String,
    command: LifecycleCommandV1,
    misfire: Misfire,
    overlap: Overlap,
    enabled: bool,
}

impl From<SchedulePlanV1> for SchedulePlan {
    fn from(it: SchedulePlanV1) -> Self {
        Self {
            cron: it.cron,
            timezone: it.timezone,
            command: it.command.into(),
            misfire: it.misfire,
            overlap: it.overlap,
            enabled: it.enabled,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    clippy::enum_variant_names,
    reason = "the words are those of the stored form"
)]
enum LifecycleCommandV1 {
    CreateDatabase(WantedV1),
    StopDatabase(Named),
    StartDatabase(Named),
    RestartDatabase(Named),
    DeleteDatabase(Named),
    UndeleteDatabase(Named),
    PurgeDatabase(Named),
    ChangeDatabase(ChangedV1),
}

impl From<LifecycleCommandV1> for LifecycleCommand {
    fn from(it: LifecycleCommandV1) -> Self {
        match it {
            LifecycleCommandV1::CreateDatabase(it) => Self::CreateDatabase(it.into()),
            LifecycleCommandV1::StopDatabase(it) => Self::StopDatabase(it),
            LifecycleCommandV1::StartDatabase(it) => Self::StartDatabase(it),
            LifecycleCommandV1::RestartDatabase(it) => Self::RestartDatabase(it),
            LifecycleCommandV1::DeleteDatabase(it) => Self::DeleteDatabase(it),
            LifecycleCommandV1::UndeleteDatabase(it) => Self::UndeleteDatabase(it),
            LifecycleCommandV1::PurgeDatabase(it) => Self::PurgeDatabase(it),
            LifecycleCommandV1::ChangeDatabase(it) => Self::ChangeDatabase(it.into()),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedV1 {
    name: String,
    engine: EngineName,
    durability: Durability,
    labels: Labels,
    limits: Limits,
    protected: bool,
    ttl_seconds: Option<u64>,
}

impl From<WantedV1> for Wanted {
    fn from(it: WantedV1) -> Self {
        Self {
            name: it.name,
            engine: it.engine,
            durability: it.durability,
            labels: it.labels,
            limits: it.limits,
            protected: it.protected,
            ttl_seconds: it.ttl_seconds,
            isolation: Isolation::Gateway,
            engine_version: None,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangedV1 {
    database: String,
    labels: Option<Labels>,
    size_bytes: Option<u64>,
    memory_bytes: Option<u64>,
    cpu_millis: Option<u32>,
    protected: Option<bool>,
    ttl: Option<ChangedTtl>,
}

impl From<ChangedV1> for Changed {
    fn from(it: ChangedV1) -> Self {
        Self {
            database: it.database,
            labels: it.labels,
            size_bytes: it.size_bytes,
            memory_bytes: it.memory_bytes,
            cpu_millis: it.cpu_millis,
            protected: it.protected,
            ttl: it.ttl,
            isolation: None,
        }
    }
}
