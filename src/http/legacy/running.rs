//! What runs, and what is in it.
use super::instances::{find_living, is_running, not_running, worker_of};
use crate::clock::timestamp::Timestamp;
use crate::data::legacy_rows::TableFacts;
use crate::domain::database::{Condition, Database};
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use crate::service::sql::RunError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// What is said of every database that is shown here.
const RUNNING: &str = "running";

/// A database of the list.
#[derive(Serialize, ToSchema)]
struct ListedDatabase<'a> {
    name: &'a str,
    container_id: String,
    #[schema(inline)]
    status: Status,
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

/// Which databases are listed. Other parameters are ignored.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListParameters {
    /// Which databases are listed.
    #[serde(default)]
    #[param(inline)]
    status: Status,
    /// Most databases.
    limit: Option<u64>,
    /// Databases to leave out first.
    #[serde(default)]
    offset: u64,
}

/// How a database is. One that is being created, restored or deleted is none of these.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// It answers SQL.
    #[default]
    Running,
    /// It was pruned.
    Stopped,
    /// A job on it is stuck, and it does not answer SQL.
    Error,
}

impl Status {
    fn of(database: &Database, now: Timestamp) -> Option<Self> {
        match database.condition {
            _ if !database.is_living() || database.has_expired(now) => None,
            Condition::Ready => Some(Self::Running),
            _ if database.stuck => Some(Self::Error),
            Condition::Stopped => Some(Self::Stopped),
            Condition::Creating | Condition::Trashed { .. } | Condition::Purging => None,
        }
    }
}

/// List databases
///
/// Those that run, unless `status` says otherwise; oldest first.
#[utoipa::path(get, path = "/admin/databases", tag = "original",
    params(ListParameters),
    responses((status = 200, body = Vec<ListedDatabase<'_>>)))]
pub(in crate::http) async fn list_running_databases(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(parameters): StrictQuery<ListParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let current = gateway.service.control.current();
    let now = gateway.service.control.clock().now();
    let status = parameters.status;
    let limit = parameters
        .limit
        .map_or(Ok(usize::MAX), |it| size("limit", it))?;
    let offset = size("offset", parameters.offset)?;
    let databases: Vec<_> = (current.state.databases())
        .filter(|it| Status::of(it, now) == Some(status) && caller.covers(it.name.as_str()))
        .skip(offset)
        .take(limit)
        .map(|it| ListedDatabase {
            name: it.name.as_str(),
            container_id: worker_of(it),
            status,
        })
        .collect();
    Ok(reply::json(StatusCode::OK, &databases))
}

/// A number of databases. What is beyond signed 64 bits is refused, as everywhere.
fn size(name: &str, number: u64) -> Result<usize, Problem> {
    let fits = i64::try_from(number).is_ok();
    let size = usize::try_from(number).ok().filter(|_| fits);
    size.ok_or_else(|| Problem::invalid(format!("`{name}` is too large.")))
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
