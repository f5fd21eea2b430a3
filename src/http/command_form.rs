//! Lifecycle commands as JSON, for what is carried out later: `{"delete_database":{"database":"shop"}}`.
use super::bodies::CreateBody;
use super::error::Problem;
use crate::domain::lifecycle::{LifecycleCommand, Named};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// One lifecycle command: its name, and in it what the call of that name takes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = LifecycleCommand)]
#[expect(
    clippy::enum_variant_names,
    reason = "the words are those of the API, and other things than databases will come"
)]
pub(super) enum CommandForm {
    /// The `name` may hold `{date}` and `{time}`, filled in when the command is carried out.
    CreateDatabase(CreateBody),
    StopDatabase(NamedForm),
    StartDatabase(NamedForm),
    RestartDatabase(NamedForm),
    DeleteDatabase(NamedForm),
    UndeleteDatabase(NamedForm),
    /// Needs the scope `admin`.
    PurgeDatabase(NamedForm),
}

/// A database by its name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NamedDatabase)]
pub(super) struct NamedForm {
    /// Whichever has the name when the command is carried out; `{date}` and `{time}` are filled
    /// in then. An id serves as well.
    #[schema(example = "shop")]
    database: String,
}

impl CommandForm {
    /// The command that these words are for.
    pub(super) fn command(&self) -> Result<LifecycleCommand, Problem> {
        let named = |it: &NamedForm| Named {
            database: it.database.clone(),
        };
        Ok(match self {
            Self::CreateDatabase(it) => LifecycleCommand::CreateDatabase(it.wanted()?),
            Self::StopDatabase(it) => LifecycleCommand::StopDatabase(named(it)),
            Self::StartDatabase(it) => LifecycleCommand::StartDatabase(named(it)),
            Self::RestartDatabase(it) => LifecycleCommand::RestartDatabase(named(it)),
            Self::DeleteDatabase(it) => LifecycleCommand::DeleteDatabase(named(it)),
            Self::UndeleteDatabase(it) => LifecycleCommand::UndeleteDatabase(named(it)),
            Self::PurgeDatabase(it) => LifecycleCommand::PurgeDatabase(named(it)),
        })
    }
}

/// The words for a command: what [`CommandForm`] reads.
pub(super) fn words(command: &LifecycleCommand) -> Value {
    let inner = match command {
        LifecycleCommand::CreateDatabase(it) => json!({
            "name": it.name,
            "engine": it.engine,
            "ttl": it.ttl_seconds,
            "labels": it.labels,
            "limits": it.limits,
            "durability": it.durability,
            "protect": it.protected,
        }),
        LifecycleCommand::StopDatabase(it)
        | LifecycleCommand::StartDatabase(it)
        | LifecycleCommand::RestartDatabase(it)
        | LifecycleCommand::DeleteDatabase(it)
        | LifecycleCommand::UndeleteDatabase(it)
        | LifecycleCommand::PurgeDatabase(it) => json!({"database": it.database}),
    };
    json!({ command.as_str(): inner })
}
