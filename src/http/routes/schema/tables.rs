//! Tables: listed, shown, made, changed, removed.
use super::bodies::{AlterBody, ChangeParameters, TableBody};
use super::views::{SchemaView, TableView};
use super::written_elsewhere;
use crate::data::{TableChange, TableChanged, TableCommand};
use crate::http::Gateway;
use crate::http::extract::{JsonBody, NoParameters, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply::{self, Marked as _};
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What was done to a table.
#[derive(Serialize, ToSchema)]
#[schema(as = TableChanged)]
pub(super) struct ChangedView {
    /// The table's name now.
    table: String,
    /// The index that was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<String>,
    /// The statements that ran; with `dry_run`, those that would.
    statements: Vec<String>,
}

/// List tables
///
/// Tables and views with their columns, keys, indexes and triggers: as the schema.
#[utoipa::path(get, path = "/v1/databases/{db}/tables", tag = "schema",
    params(("db" = String, Path, description = "Name or id")),
    responses((status = 200, body = SchemaView<'_>)))]
pub(crate) async fn list_tables(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let schema = gateway.service.database_schema(&caller, &reference).await?;
    written_elsewhere(move || reply::json(StatusCode::OK, &SchemaView::new(&schema, None))).await
}

/// Show a table
#[utoipa::path(get, path = "/v1/databases/{db}/tables/{table}", tag = "schema",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Name of a table or view")),
    responses((status = 200, body = TableView<'_>)))]
pub(crate) async fn show_table(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    let service = &gateway.service;
    let schema = service.database_schema(&caller, &reference).await?;
    let found = service.find_table(&schema, &table)?;
    Ok(reply::json(StatusCode::OK, &TableView::from(found)))
}

/// Create a table
///
/// Types, defaults, checks and generated values are SQL; names are quoted.
#[utoipa::path(post, path = "/v1/databases/{db}/tables", tag = "schema",
    params(("db" = String, Path, description = "Name or id"), ChangeParameters),
    request_body = TableBody,
    responses((status = 201, body = ChangedView), (status = 200, body = ChangedView)))]
pub(crate) async fn create_table(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ChangeParameters>,
    JsonBody(body): JsonBody<TableBody>,
) -> Result<Response, Problem> {
    let change = TableChange::Create(body.into());
    let made = changed(&gateway, &caller, &reference, change, &parameters).await?;
    if parameters.dry_run {
        return Ok(reply::json(StatusCode::OK, &ChangedView::from(made)));
    }
    let encoded = percent_encoded(&made.table);
    let path = format!("/v1/databases/{reference}/tables/{encoded}");
    let made = reply::json(StatusCode::CREATED, &ChangedView::from(made));
    Ok(made.with(header::LOCATION, &path))
}

/// Change a table
///
/// All at once, in one transaction. What SQLite's ALTER TABLE cannot do is done by making the table
/// anew: rows with their numbers, indexes, triggers, views and other tables' references are kept.
#[utoipa::path(patch, path = "/v1/databases/{db}/tables/{table}", tag = "schema",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Name of a table"), ChangeParameters),
    request_body = AlterBody,
    responses((status = 200, body = ChangedView)))]
pub(crate) async fn alter_table(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    StrictQuery(parameters): StrictQuery<ChangeParameters>,
    JsonBody(body): JsonBody<AlterBody>,
) -> Result<Response, Problem> {
    let change = TableChange::Alter(body.of(table));
    let made = changed(&gateway, &caller, &reference, change, &parameters).await?;
    Ok(reply::json(StatusCode::OK, &ChangedView::from(made)))
}

/// Drop a table
///
/// Or a view. 409 when foreign keys, views or triggers use it.
#[utoipa::path(delete, path = "/v1/databases/{db}/tables/{table}", tag = "schema",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Name of a table or view"), ChangeParameters),
    responses((status = 200, body = ChangedView)))]
pub(crate) async fn drop_table(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    StrictQuery(parameters): StrictQuery<ChangeParameters>,
) -> Result<Response, Problem> {
    let change = TableChange::Drop { table };
    let made = changed(&gateway, &caller, &reference, change, &parameters).await?;
    Ok(reply::json(StatusCode::OK, &ChangedView::from(made)))
}

/// Makes a change as the parameters say.
pub(super) async fn changed(
    gateway: &Gateway,
    caller: &Caller,
    reference: &str,
    change: TableChange,
    parameters: &ChangeParameters,
) -> Result<TableChanged, Problem> {
    let command = TableCommand {
        change,
        is_dry_run: parameters.dry_run,
    };
    let timeout = parameters.timeout();
    let changed = gateway
        .service
        .change_table(caller, reference, command, timeout);
    Ok(changed.await?)
}

/// A name as a part of a path.
fn percent_encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}

impl From<TableChanged> for ChangedView {
    fn from(changed: TableChanged) -> Self {
        Self {
            table: changed.table,
            index: changed.index,
            statements: changed.statements,
        }
    }
}
