//! What the legacy API calls an instance: a running database.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database};
use crate::domain::state::State;
use crate::http::response::error::{ErrorCode, Problem};
use std::sync::Arc;

/// The database of this name, if it is neither deleted nor expired. The legacy API knows neither ids
/// nor the trash.
pub(super) fn find_living<'a>(
    state: &'a State,
    name: &str,
    now: Timestamp,
) -> Option<&'a Arc<Database>> {
    state.find_database(name).filter(|it| {
        let has_name = it.name.as_str().eq_ignore_ascii_case(name);
        has_name && it.is_living() && !it.has_expired(now)
    })
}

/// Whether it answers SQL.
pub(super) fn is_running(database: &Database, now: Timestamp) -> bool {
    database.condition == Condition::Ready && !database.has_expired(now)
}

/// What tells its worker apart: the id under the runtime, or the name where no id is known yet.
pub(super) fn worker_of(database: &Database) -> String {
    database
        .worker
        .clone()
        .unwrap_or_else(|| database.worker_name())
}

/// The answer of the `/admin` routes when no such database runs.
pub(super) fn not_running() -> Problem {
    Problem::new(ErrorCode::DatabaseNotFound, "Database instance not found.")
        .hint("GET /admin/databases lists those that run")
}
