//! Settings of databases, as the bodies of lifecycle calls hold them.
use crate::domain::command::lifecycle::{Changed, ChangedTtl, Wanted};
use crate::domain::command::{CreateDatabase, DatabaseChange, IfExists};
use crate::domain::database::{Durability, EngineName, Isolation, Labels, Limits};
use crate::domain::name::DatabaseName;
use crate::engine::Engine;
use crate::engine::registry::{DEFAULT_ENGINE, Engines};
use crate::http::extract::fields;
use crate::http::extract::span::Span;
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::refusals::sentence;
use crate::service::commands::CommandError;
use serde::de::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

/// Settings of a new database.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateDatabase)]
pub(crate) struct CreateBody {
    /// Letters, digits, `_`, `.` and `-`, at most 63; generated if omitted.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", example = "shop")]
    pub(crate) name: Option<String>,
    /// Default: `sqlite`.
    #[schema(schema_with = schemas::engine)]
    engine: Option<String>,
    /// Time to live from now: `2h`, `30s`, or seconds. When it ends, the database is moved to the
    /// trash.
    #[schema(schema_with = schemas::lifetime)]
    ttl: Option<Span>,
    /// Labels.
    #[schema(schema_with = schemas::labels)]
    labels: Option<Labels>,
    #[serde(default, deserialize_with = "fields::optional_object")]
    limits: Option<LimitsBody>,
    /// `full`, or `relaxed` for faster writes that may be lost on power failure.
    #[schema(schema_with = schemas::durability)]
    durability: Option<Durability>,
    /// Which process answers its SQL; default: `DBFORGE_ISOLATION`, or the engine's only one.
    #[schema(schema_with = schemas::isolation)]
    isolation: Option<Isolation>,
    /// Protect the database from deletion.
    protect: Option<bool>,
    /// What the database begins with; empty if omitted.
    #[serde(default, deserialize_with = "fields::optional_object")]
    from: Option<FromBody>,
}

/// What a new database begins with.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateFrom)]
struct FromBody {
    /// Id of an upload: SQL text or a SQLite file.
    #[schema(format = Uuid)]
    upload: String,
}

/// New settings; omitted fields keep their value.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeDatabase)]
pub(crate) struct ChangeBody {
    /// Time to live from now: `2h`, `30s`, or seconds; null for no limit. When it ends, the database
    /// is moved to the trash.
    #[serde(default, deserialize_with = "null_or_value")]
    #[schema(schema_with = schemas::lifetime)]
    ttl: Option<Option<Span>>,
    /// Labels; replaces all existing labels.
    #[schema(schema_with = schemas::labels)]
    labels: Option<Labels>,
    #[serde(default, deserialize_with = "fields::optional_object")]
    limits: Option<LimitsBody>,
    /// Protect the database from deletion.
    protect: Option<bool>,
    /// Which process answers its SQL; a change restarts the worker of a running database.
    #[schema(schema_with = schemas::isolation)]
    isolation: Option<Isolation>,
}

/// Resource limits; omitted fields keep their value or default.
#[derive(Debug, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LimitsInput)]
struct LimitsBody {
    /// Maximum size of the database file, in bytes.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 65_536, maximum = 1_099_511_627_776_i64)]
    size_bytes: Option<u64>,
    /// Memory limit of the worker, in bytes.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 16_777_216, maximum = 1_099_511_627_776_i64)]
    memory_bytes: Option<u64>,
    /// CPU limit of the worker, in thousandths of a CPU.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 10, maximum = 64_000)]
    cpu_millis: Option<u32>,
}

impl CreateBody {
    /// The domain command.
    pub(crate) fn command(
        &self,
        if_exists: IfExists,
        engines: &Engines,
    ) -> Result<CreateDatabase, Problem> {
        let name = self.name.as_deref().map(DatabaseName::parse).transpose();
        let name = name.map_err(|error| Problem::invalid(sentence(&error)))?;
        let engine = self.engine(engines)?;
        let limits = self.limits(engine)?;
        Ok(CreateDatabase {
            name,
            engine: EngineName(engine.name().to_owned()),
            engine_version: engine.version_of_new(),
            isolation: engines.isolation(engine, self.isolation)?,
            durability: self.durability.unwrap_or_default(),
            labels: self.labels.clone().unwrap_or_default(),
            limits,
            protected: self.protect.unwrap_or(false),
            ttl: self.ttl.map(|it| it.0),
            if_exists,
            from: None,
        })
    }

    /// The upload that the database is made of.
    pub(crate) fn upload(&self) -> Option<&str> {
        self.from.as_ref().map(|from| from.upload.as_str())
    }

    /// The same for plans and schedules: the name may contain placeholders.
    pub(crate) fn wanted(&self, engines: &Engines) -> Result<Wanted, Problem> {
        let name = self.name.clone().ok_or_else(|| {
            Problem::invalid("`create_database` requires a `name`.")
                .hint("use {date} or {time} to make names unique: \"copy-{date}\"")
        })?;
        if self.from.is_some() {
            return Err(Problem::invalid(
                "`from` is not available in plans that are stored and in schedules: an upload is \
                 kept for a day.",
            )
            .hint("POST /v1/databases?dry_run=plan shows what would happen"));
        }
        let engine = self.engine(engines)?;
        let limits = self.limits(engine)?;
        Ok(Wanted {
            name,
            engine: EngineName(engine.name().to_owned()),
            durability: self.durability.unwrap_or_default(),
            labels: self.labels.clone().unwrap_or_default(),
            limits,
            protected: self.protect.unwrap_or(false),
            ttl_seconds: self.ttl.map(|life| life.0.as_secs()),
            isolation: engines.isolation(engine, self.isolation)?,
            // It is made later, maybe by another version.
            engine_version: None,
        })
    }

    /// What the database may use: what the engine gives, where nothing is said.
    fn limits(&self, engine: &dyn Engine) -> Result<Limits, Problem> {
        let capabilities = engine.capabilities();
        let default = capabilities.default_limits;
        let limits = self.limits.as_ref();
        let limits = limits.map_or(default, |limits| limits.over(default));
        // What is too little for every engine is the rules' to refuse.
        match capabilities.too_small(&limits) {
            Some((name, least)) if capabilities.least_limits != Limits::LEAST => {
                Err(CommandError::TooSmall {
                    engine: engine.name(),
                    name,
                    least,
                }
                .into())
            }
            _ => Ok(limits),
        }
    }

    fn engine<'e>(&self, engines: &'e Engines) -> Result<&'e dyn Engine, Problem> {
        let name = self.engine.as_deref().unwrap_or(DEFAULT_ENGINE);
        let engine = engines.find(name).map(|engine| engine.as_ref());
        engine.ok_or_else(|| {
            let known: Vec<_> = engines.all().iter().map(|engine| engine.name()).collect();
            Problem::invalid(format!("Unknown engine `{name}`."))
                .hint(format!("available: {}", known.join(", ")))
        })
    }
}

impl ChangeBody {
    /// The domain change, of a database with these limits.
    pub(crate) fn change(&self, limits: Limits) -> DatabaseChange {
        DatabaseChange {
            labels: self.labels.clone(),
            limits: self.limits.as_ref().map(|it| it.over(limits)),
            protected: self.protect,
            ttl: self.ttl.map(|it| it.map(|it| it.0)),
            expires_at: None,
            isolation: self.isolation,
        }
    }

    /// The same for plans and schedules.
    pub(crate) fn changed(&self, database: &str) -> Changed {
        let limits = self.limits.as_ref();
        Changed {
            database: database.to_owned(),
            labels: self.labels.clone(),
            size_bytes: limits.and_then(|it| it.size_bytes),
            memory_bytes: limits.and_then(|it| it.memory_bytes),
            cpu_millis: limits.and_then(|it| it.cpu_millis),
            protected: self.protect,
            ttl: self.ttl.map(|it| match it {
                Some(Span(it)) => ChangedTtl::Seconds(it.as_secs()),
                None => ChangedTtl::Never,
            }),
            isolation: self.isolation,
        }
    }
}

impl LimitsBody {
    fn over(&self, limits: Limits) -> Limits {
        Limits {
            size_bytes: self.size_bytes.unwrap_or(limits.size_bytes),
            memory_bytes: self.memory_bytes.unwrap_or(limits.memory_bytes),
            cpu_millis: self.cpu_millis.unwrap_or(limits.cpu_millis),
        }
    }
}

/// A create that is carried out later, in the words of [`CreateBody`].
pub(super) fn created(it: &Wanted) -> Value {
    json!({
        "name": it.name,
        "engine": it.engine,
        "ttl": it.ttl_seconds,
        "labels": it.labels,
        "limits": it.limits,
        "durability": it.durability,
        "isolation": it.isolation,
        "protect": it.protected,
    })
}

/// A change that is carried out later, in the words of [`ChangeBody`].
pub(super) fn changed(it: &Changed) -> Value {
    let limits = [
        ("size_bytes", it.size_bytes.map(Value::from)),
        ("memory_bytes", it.memory_bytes.map(Value::from)),
        ("cpu_millis", it.cpu_millis.map(Value::from)),
    ];
    let ttl = it.ttl.map(|it| match it {
        ChangedTtl::Never => Value::Null,
        ChangedTtl::Seconds(it) => it.into(),
    });
    let fields = [
        ("ttl", ttl),
        ("labels", it.labels.as_ref().map(|it| json!(it))),
        ("limits", object(limits)),
        ("protect", it.protected.map(Value::from)),
        ("isolation", it.isolation.map(|it| it.as_str().into())),
    ];
    object(fields).unwrap_or_else(|| json!({}))
}

/// Those fields that are there; nothing where none is.
fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Option<Value> {
    let there = fields
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let there: Map<String, Value> = there.collect();
    (!there.is_empty()).then_some(Value::Object(there))
}

/// Distinguishes `null` from an absent field.
fn null_or_value<'de, D, T>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn change(text: &str) -> Result<DatabaseChange, serde_json::Error> {
        let body: ChangeBody = serde_json::from_str(text)?;
        Ok(body.change(Limits::default()))
    }

    #[test]
    fn a_ttl_may_be_left_out_taken_away_or_set() {
        let seconds = |n| Some(Some(Duration::from_secs(n)));
        assert_eq!(change("{}").unwrap().ttl, None);
        assert_eq!(change("{\"ttl\":null}").unwrap().ttl, Some(None));
        assert_eq!(change("{\"ttl\":\"2h\"}").unwrap().ttl, seconds(7200));
        assert_eq!(change("{\"ttl\":90}").unwrap().ttl, seconds(90));
        for wrong in ["-1", "1.5", "true", "\"soon\"", "99999999999"] {
            let error = change(&format!("{{\"ttl\":{wrong}}}")).unwrap_err();
            assert!(error.to_string().contains("duration"), "{error}");
        }
    }

    #[test]
    fn limits_that_are_left_out_stay() {
        let limits = change("{\"limits\":{\"cpu_millis\":100}}").unwrap().limits;
        let expected = Limits {
            cpu_millis: 100,
            ..Limits::default()
        };
        assert_eq!(limits, Some(expected));
    }
}
