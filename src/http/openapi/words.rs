//! Words of the API as named schemas, so that generated clients have one enum for each.
use super::schemas::word;
use crate::domain::database::{DatabaseState as State, Isolation as OfSql};
use crate::domain::event::EventKind as Event;
use crate::domain::job::{JobKind as Kind, JobState as OfJob};
use crate::domain::token::Scope as OfToken;
use crate::engine::registry::Engines;
use std::borrow::Cow;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Declares schemas: what each means, its name, its words.
macro_rules! words {
    ($($(#[doc = $about:literal])+ $name:ident = $words:expr;)*) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug)]
            pub(crate) enum $name {}

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let about = concat!($($about),+).trim();
                    word($words).description(Some(about)).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    stringify!($name).into()
                }
            }
        )*

        /// Each with its name. Parameters name them without bringing them along.
        pub(super) fn all() -> impl Iterator<Item = (String, RefOr<Schema>)> {
            [$(($name::name().into_owned(), $name::schema()),)*].into_iter()
        }
    };
}

words! {
    /// State of a database; `expired` as soon as the time to live ends.
    DatabaseState = State::ALL.iter().map(|state| state.as_str());
    /// State of a job; `succeeded`, `failed` and `cancelled` are final.
    JobState = OfJob::ALL.iter().map(|state| state.as_str());
    /// Kind of job.
    JobKind = Kind::WORDS.iter().copied();
    /// Kind of event.
    EventKind = Event::ALL.iter().map(|kind| kind.as_str());
    /// What a token may do.
    Scope = OfToken::ALL.iter().map(|scope| scope.as_str());
    /// Kind of database.
    EngineName = Engines::standard().all().iter().map(|engine| engine.name());
    /// `full`: acknowledged writes survive a power failure; `relaxed`: they may not.
    Durability = ["full", "relaxed"];
    /// Which process answers the SQL of a database: `gateway`, next to others, or `worker`, its own.
    Isolation = Engines::standard().isolations().into_iter().map(OfSql::as_str);
    /// What to do about missed runs.
    Misfire = ["skip", "latest", "all"];
    /// What to do if the previous job is still running.
    Overlap = ["skip", "queue"];
    /// State of a worker; `recorded` in past states, where the actual state is unknown.
    WorkerState = ["starting", "healthy", "unhealthy", "exited", "missing", "recorded"];
    /// What progress is counted in: steps, seconds of the longest wait, or bytes of a file.
    ProgressUnit = ["steps", "seconds", "bytes"];
    /// Whether the gateway is ready.
    ReadinessStatus = ["ready", "not_ready"];
    /// What differs.
    FindingKind = [
        "repair_worker",
        "degrade",
        "quarantine_worker",
        "quarantine_ended",
        "data_missing",
        "unknown_folder",
    ];
    /// `now`: handled in that run. `waits`: until `due_at` or the next run. `halted`: needs operator
    /// approval. `reported`: no automatic action.
    FindingStanding = ["now", "waits", "halted", "reported"];
    /// What a command acts on.
    EffectTarget = ["worker", "file", "job", "settings", "token", "schedule"];
    /// Signature algorithm.
    KeyAlgorithm = ["ed25519"];
}
