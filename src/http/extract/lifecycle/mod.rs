//! Lifecycle commands as JSON, for plans and schedules: `{"delete_database":{"database":"shop"}}`.
mod settings;

pub(crate) use self::settings::{ChangeBody, CreateBody};

use crate::domain::command::lifecycle::{LifecycleCommand, Named, Wording};
use crate::domain::verb::Verb;
use crate::engine::registry::Engines;
use crate::http::extract::fields;
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// One lifecycle command: an object with the command name as its only key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schema(as = LifecycleCommand)]
#[expect(
    clippy::enum_variant_names,
    reason = "the words are those of the API, and other things than databases will come"
)]
pub(crate) enum CommandForm {
    /// In a schedule, `name` may contain `{date}` and `{time}`, filled in when the command runs.
    #[serde(deserialize_with = "fields::object")]
    CreateDatabase(CreateForm),
    #[serde(deserialize_with = "fields::object")]
    StopDatabase(NamedForm),
    #[serde(deserialize_with = "fields::object")]
    StartDatabase(NamedForm),
    #[serde(deserialize_with = "fields::object")]
    RestartDatabase(NamedForm),
    #[serde(deserialize_with = "fields::object")]
    DeleteDatabase(NamedForm),
    #[serde(deserialize_with = "fields::object")]
    UndeleteDatabase(NamedForm),
    /// Requires scope `admin`.
    #[serde(deserialize_with = "fields::object")]
    PurgeDatabase(NamedForm),
    #[serde(deserialize_with = "fields::object")]
    ChangeDatabase(ChangeForm),
}

/// Settings of a database to be created later; `name` is required.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct CreateForm(CreateBody);

impl PartialSchema for CreateForm {
    fn schema() -> RefOr<Schema> {
        let schema = CreateBody::schema();
        let RefOr::T(Schema::Object(mut object)) = schema else {
            return schema;
        };
        object.required.push("name".to_owned());
        object
            .properties
            .insert("name".to_owned(), schemas::name_for_later());
        Schema::Object(object).into()
    }
}

impl ToSchema for CreateForm {
    fn name() -> Cow<'static, str> {
        "CreateDatabaseLater".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        CreateBody::schemas(schemas);
    }
}

/// A database, and its new settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeNamedDatabase)]
pub(crate) struct ChangeForm {
    /// Name or id.
    #[schema(example = "shop")]
    database: String,
    /// Settings as in `PATCH /v1/databases/{db}`.
    #[serde(deserialize_with = "fields::object")]
    change: ChangeBody,
}

/// A database by its name.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NamedDatabase)]
pub(crate) struct NamedForm {
    /// Name or id, resolved when the command runs; in a schedule, `{date}` and `{time}` are filled in
    /// then.
    #[schema(example = "shop")]
    database: String,
}

impl CommandForm {
    /// The domain command.
    pub(crate) fn command(&self, engines: &Engines) -> Result<LifecycleCommand, Problem> {
        let (verb, it) = match self {
            Self::CreateDatabase(it) => {
                return Ok(LifecycleCommand::CreateDatabase(it.0.wanted(engines)?));
            }
            Self::ChangeDatabase(it) => {
                return Ok(LifecycleCommand::ChangeDatabase(
                    it.change.changed(&it.database),
                ));
            }
            Self::StopDatabase(it) => (Verb::Stop, it),
            Self::StartDatabase(it) => (Verb::Start, it),
            Self::RestartDatabase(it) => (Verb::Restart, it),
            Self::DeleteDatabase(it) => (Verb::Delete, it),
            Self::UndeleteDatabase(it) => (Verb::Undelete, it),
            Self::PurgeDatabase(it) => (Verb::Purge, it),
        };
        let database = it.database.clone();
        Ok(LifecycleCommand::act(verb, Named { database }))
    }
}

/// A command as JSON, as [`CommandForm`] reads it.
pub(crate) fn words(command: &LifecycleCommand) -> Value {
    let inner = match command.wording() {
        Wording::Create(it) => settings::created(it),
        Wording::Change(it) => json!({"database": it.database, "change": settings::changed(it)}),
        Wording::Act(_, it) => json!({"database": it.database}),
    };
    json!({ command.as_str(): inner })
}
