//! The original's routes, in the shapes and words that its clients know.
//!
//! What those clients call an instance is a running database here: one that answers SQL.
mod health;
mod instances;
mod lifecycle;
mod machine;
mod query;
mod rows;
mod running;
mod statistics;

use super::Gateway;
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
