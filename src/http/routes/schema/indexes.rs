//! Indexes: made and removed.
use super::bodies::{ChangeParameters, IndexBody};
use super::tables::{ChangedView, changed};
use crate::data::TableChange;
use crate::http::Gateway;
use crate::http::extract::{JsonBody, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::sync::Arc;

/// Create an index
#[utoipa::path(post, path = "/v1/databases/{db}/tables/{table}/indexes", tag = "schema",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Name of a table"), ChangeParameters),
    request_body = IndexBody,
    responses((status = 201, body = ChangedView), (status = 200, body = ChangedView)))]
pub(crate) async fn create_index(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    StrictQuery(parameters): StrictQuery<ChangeParameters>,
    JsonBody(body): JsonBody<IndexBody>,
) -> Result<Response, Problem> {
    let index = body.into();
    let change = TableChange::CreateIndex { table, index };
    let made = changed(&gateway, &caller, &reference, change, &parameters).await?;
    let status = match parameters.dry_run {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    Ok(reply::json(status, &ChangedView::from(made)))
}

/// Drop an index
///
/// 409 for one that a constraint made, and for one that a foreign key of another table needs.
#[utoipa::path(delete, path = "/v1/databases/{db}/tables/{table}/indexes/{index}", tag = "schema",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Name of a table"),
        ("index" = String, Path, description = "Name of an index"), ChangeParameters),
    responses((status = 200, body = ChangedView)))]
pub(crate) async fn drop_index(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table, index)): PathParts<(String, String, String)>,
    StrictQuery(parameters): StrictQuery<ChangeParameters>,
) -> Result<Response, Problem> {
    let change = TableChange::DropIndex { table, index };
    let made = changed(&gateway, &caller, &reference, change, &parameters).await?;
    Ok(reply::json(StatusCode::OK, &ChangedView::from(made)))
}
