//! The schema of a database.
mod bodies;
pub(crate) mod explain;
pub(crate) mod indexes;
pub(crate) mod migrations;
pub(crate) mod tables;
mod views;

use self::views::SchemaView;
use crate::http::Gateway;
use crate::http::extract::{PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use crate::service::schema_texts;
use crate::shares::{Pass, on_thread};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
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
    /// A script that makes the same schema.
    Sql,
    /// An entity-relationship diagram of Mermaid.
    Mermaid,
    /// Types of rows for TypeScript.
    Typescript,
    /// Types of rows as JSON Schema.
    Jsonschema,
}

/// Show the schema
///
/// Tables and views with their columns, keys, indexes and triggers.
#[utoipa::path(get, path = "/v1/databases/{db}/schema", tag = "schema",
    params(("db" = String, Path, description = "Name or id"), SchemaParameters),
    responses((status = 200, content(
        (SchemaView<'_> = "application/json"),
        (String = "application/sql"),
        (String = "text/vnd.mermaid"),
        (String = "text/plain"),
        (Object = "application/schema+json")))))]
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
        SchemaFormat::Sql => text("application/sql", schema_texts::script(&schema)),
        SchemaFormat::Mermaid => text("text/vnd.mermaid", schema_texts::mermaid(&schema)),
        SchemaFormat::Typescript => text("text/plain", schema_texts::typescript(&schema)),
        SchemaFormat::Jsonschema => {
            let written = schema_texts::json_schema(&schema).to_string();
            text("application/schema+json", written)
        }
    };
    written_elsewhere(write).await
}

/// An answer of text.
fn text(kind: &str, text: String) -> Response {
    let kind = format!("{kind}; charset=utf-8");
    match reply::counted(text.into_bytes()) {
        Ok(body) => (StatusCode::OK, [(header::CONTENT_TYPE, kind)], body).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// Writes an answer on another thread: a large schema takes a while, and others wait for this one.
async fn written_elsewhere(
    write: impl FnOnce() -> Response + Send + 'static,
) -> Result<Response, Problem> {
    let pass = Pass::here();
    let written = tokio::task::spawn_blocking(move || on_thread(pass, write)).await;
    written.map_err(|error| Problem::internal("the thread ended").because(&error))
}
