//! The schema of a database.
pub(crate) mod migrations;
mod views;

use self::views::SchemaView;
use crate::http::Gateway;
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use crate::shares::{Pass, on_thread};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};

/// In which form a schema is shown.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SchemaParameters {
    /// Form of the answer.
    #[serde(default)]
    #[param(inline)]
    format: SchemaFormat,
    /// Count the rows of every table, with `json`. Takes as long as reading them.
    #[serde(default)]
    row_counts: bool,
}

/// The forms of a schema.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum SchemaFormat {
    /// Everything about tables, columns, keys, indexes and triggers.
    #[default]
    Json,
}

/// Show the schema
///
/// Tables and views with their columns, keys, indexes and triggers.
#[utoipa::path(get, path = "/v1/databases/{db}/schema", tag = "schema",
    params(("db" = String, Path, description = "Name or id"), SchemaParameters),
    responses((status = 200, body = SchemaView<'_>)))]
pub(crate) async fn show_schema(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<SchemaParameters>,
) -> Result<Response, Problem> {
    let service = &gateway.service;
    let schema = service.database_schema(&caller, &reference).await?;
    let counts = match parameters.row_counts {
        true => Some(service.count_rows(&caller, &reference, &schema).await?),
        false => None,
    };
    let write = move || match parameters.format {
        SchemaFormat::Json => {
            reply::json(StatusCode::OK, &SchemaView::new(&schema, counts.as_ref()))
        }
    };
    written_elsewhere(write).await
}

/// Writes an answer on another thread: a large schema takes a while, and others wait for this one.
async fn written_elsewhere(
    write: impl FnOnce() -> Response + Send + 'static,
) -> Result<Response, Problem> {
    let pass = Pass::here();
    let written = tokio::task::spawn_blocking(move || on_thread(pass, write)).await;
    written.map_err(|error| Problem::internal("the thread ended").because(&error))
}
