//! What runs, and what is in it.
use super::instances::{find_living, is_running, not_running, worker_of};
use crate::clock::timestamp::Timestamp;
use crate::data::legacy_rows::TableFacts;
use crate::domain::database::Database;
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::PathParts;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use crate::service::sql::RunError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What is said of every database that is shown here.
const RUNNING: &str = "running";

/// A database that runs.
#[derive(Serialize, ToSchema)]
struct RunningDatabase<'a> {
    name: &'a str,
    container_id: String,
    #[schema(example = "running")]
    status: &'static str,
}

/// A database that can be connected to.
#[derive(Serialize, ToSchema)]
struct DiscoveredDatabase<'a> {
    db_name: &'a str,
    #[schema(example = "running")]
    status: &'static str,
}

/// A database with what is in it.
#[derive(Serialize, ToSchema)]
struct DatabaseContents<'a> {
    database: Contents<'a>,
}

#[derive(Serialize, ToSchema)]
struct Contents<'a> {
    name: &'a str,
    #[schema(example = "running")]
    status: &'static str,
    container_id: String,
    #[schema(value_type = String)]
    created_at: Timestamp,
    /// Below the folder that holds everything.
    file_path: String,
    size_bytes: u64,
    tables: Vec<TableSummary>,
    indexes: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct TableSummary {
    name: String,
    row_count: u64,
}

/// List what runs
#[utoipa::path(get, path = "/admin/databases", tag = "original",
    responses((status = 200, body = Vec<RunningDatabase<'_>>)))]
pub(in crate::http) async fn list_running_databases(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let current = gateway.service.control.current();
    let running = running(
        &current.state,
        &caller,
        gateway.service.control.clock().now(),
    )?;
    let databases: Vec<_> = running
        .map(|it| RunningDatabase {
            name: it.name.as_str(),
            container_id: worker_of(it),
            status: RUNNING,
        })
        .collect();
    Ok(reply::json(StatusCode::OK, &databases))
}

/// List what can be connected to
#[utoipa::path(get, path = "/admin/discovery", tag = "original",
    responses((status = 200, body = Vec<DiscoveredDatabase<'_>>)))]
pub(in crate::http) async fn discover_databases(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
) -> Result<Response, Problem> {
    let current = gateway.service.control.current();
    let running = running(
        &current.state,
        &caller,
        gateway.service.control.clock().now(),
    )?;
    let discovered: Vec<_> = running
        .map(|it| DiscoveredDatabase {
            db_name: it.name.as_str(),
            status: RUNNING,
        })
        .collect();
    Ok(reply::json(StatusCode::OK, &discovered))
}

/// Show what is in a database
///
/// Its tables with their numbers of rows, and its indexes.
#[utoipa::path(get, path = "/admin/databases/{db}", tag = "original",
    params(("db" = String, Path, description = "Its name")),
    responses((status = 200, body = DatabaseContents<'_>)))]
pub(in crate::http) async fn inspect_database(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(name): PathParts<String>,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    if !caller.covers(&name) {
        return Err(not_running());
    }
    let current = gateway.service.control.current();
    let database = find_living(&current.state, &name, gateway.service.control.clock().now());
    let database = database.ok_or_else(not_running)?;
    let reference = database.id.to_string();
    let schema = gateway.service.schema(&caller, &reference).await;
    let schema = schema.map_err(|error| match error {
        // It runs, so it is known.
        RunError::Resolve(error) => error.into(),
        other => gateway.in_legacy_words(&reference, other),
    })?;
    let details = Contents {
        name: database.name.as_str(),
        status: RUNNING,
        container_id: worker_of(database),
        created_at: database.created_at,
        file_path: format!("databases/{}/main.db", database.id),
        size_bytes: gateway.service.data.size_bytes(database),
        tables: schema.tables.into_iter().map(TableSummary::from).collect(),
        indexes: schema.indexes,
    };
    Ok(reply::json(
        StatusCode::OK,
        &DatabaseContents { database: details },
    ))
}

impl From<TableFacts> for TableSummary {
    fn from(it: TableFacts) -> Self {
        Self {
            name: it.name,
            row_count: it.row_count,
        }
    }
}

/// Every running database that the caller may see, oldest first.
fn running<'a>(
    state: &'a ForgeState,
    caller: &Caller,
    now: Timestamp,
) -> Result<impl Iterator<Item = &'a Arc<Database>>, Problem> {
    caller.require(Scope::Manage)?;
    let is_shown =
        move |it: &&Arc<Database>| is_running(it, now) && caller.covers(it.name.as_str());
    Ok(state.databases().filter(is_shown))
}
