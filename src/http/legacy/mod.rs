//! The original's routes, in the shapes and words that its clients know.
//!
//! What those clients call an instance is a running database here: one that answers SQL.
mod health;
mod lifecycle;
mod machine;
mod query;
mod rows;
mod running;
mod statistics;

use super::Gateway;
use super::response::error::{ErrorCode, Problem};
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database};
use crate::domain::state::State;
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Commands, and questions about what came of them.
pub(super) fn control_routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(lifecycle::spawn_database))
        .routes(routes!(lifecycle::prune_database))
        .routes(routes!(running::list_running_databases))
        .routes(routes!(running::discover_databases))
        .routes(routes!(
            running::inspect_database,
            lifecycle::trash_database
        ))
}

/// Numbers, and what is in databases.
pub(super) fn data_routes() -> OpenApiRouter<Arc<Gateway>> {
    OpenApiRouter::new()
        .routes(routes!(statistics::show_gateway_statistics))
        .routes(routes!(statistics::show_statistics))
        .routes(routes!(health::show_health))
        .routes(routes!(query::run_original_query))
        .routes(routes!(rows::create_original_table))
        .routes(routes!(
            rows::insert_original_rows,
            rows::select_original_rows
        ))
}

/// The living database of this name, whose time is not over. Ids and the trash are not known to
/// clients of the original.
fn find_living<'a>(state: &'a State, name: &str, now: Timestamp) -> Option<&'a Arc<Database>> {
    state.find_database(name).filter(|it| {
        let has_name = it.name.as_str().eq_ignore_ascii_case(name);
        has_name && it.is_living() && !it.has_expired(now)
    })
}

/// Whether it answers SQL.
fn is_running(database: &Database, now: Timestamp) -> bool {
    database.condition == Condition::Ready && !database.has_expired(now)
}

/// What tells its worker apart: the id under the runtime, or the name where no id is known yet.
fn worker_of(database: &Database) -> String {
    database
        .worker
        .clone()
        .unwrap_or_else(|| database.worker_name())
}

/// The answer of the `/admin` routes when no such database runs.
fn not_running() -> Problem {
    Problem::new(ErrorCode::DatabaseNotFound, "Database instance not found.")
        .hint("GET /admin/databases lists those that run")
}
