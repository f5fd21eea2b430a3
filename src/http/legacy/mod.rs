//! The legacy API, with the shapes and messages that its clients know.
//!
//! An instance of the legacy API is a running database: one that answers SQL.
mod health;
mod instances;
mod lifecycle;
mod machine;
mod query;
mod rows;
mod running;
mod schema;
mod statistics;

use super::routing::{Group, group};

/// Routes of the control plane.
pub(super) fn control_routes() -> Group {
    group![
        lifecycle::spawn_database,
        lifecycle::prune_database,
        running::list_running_databases,
        running::discover_databases,
        running::inspect_database,
        lifecycle::trash_database,
    ]
}

/// Routes of statistics and data.
pub(super) fn data_routes() -> Group {
    group![
        statistics::show_gateway_statistics,
        statistics::show_statistics,
        health::show_health,
        query::run_original_query,
        rows::create_original_table,
        rows::insert_original_rows,
        rows::select_original_rows,
        schema::show_original_schema,
    ]
}
