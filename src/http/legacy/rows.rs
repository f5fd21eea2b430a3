//! Tables and rows in the legacy API's shapes.
use super::query::OriginalAnswer;
use crate::clock::Stopwatch;
use crate::data::Format;
use crate::data::legacy_rows::{NewRows, NewTable};
use crate::http::Gateway;
use crate::http::extract::{JsonBody, PathParts, StrictQuery};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::http::response::rows;
use crate::service::caller::Caller;
use crate::service::sql::rows::RowSelection;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A table was made.
#[derive(Serialize, ToSchema)]
struct TableCreated {
    #[schema(example = "Table 'users' created successfully.")]
    message: String,
}

/// A table to be made; the data plane reads it itself.
#[derive(ToSchema)]
#[schema(as = NewTable, example = json!({"table_name": "users", "columns": [
    {"name": "id", "type": "INTEGER", "primary_key": true},
    {"name": "name", "type": "TEXT", "not_null": true, "unique": true, "default": "nobody"}]}))]
#[expect(dead_code, reason = "describes what the data plane reads itself")]
pub(in crate::http) struct TableBody {
    table_name: String,
    columns: Vec<ColumnBody>,
}

/// A column of a new table.
#[derive(ToSchema)]
#[schema(as = NewColumn)]
#[expect(dead_code, reason = "describes what the data plane reads itself")]
struct ColumnBody {
    name: String,
    /// Its declared type: words, and a size in parentheses.
    r#type: String,
    #[schema(required = false)]
    primary_key: bool,
    #[schema(required = false)]
    not_null: bool,
    #[schema(required = false)]
    unique: bool,
    /// What it has when nothing is given.
    #[schema(schema_with = schemas::parameter, required = false)]
    default: (),
}

/// Rows to be inserted, all or none.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct InsertBody {
    /// One object for each, from column to value.
    #[schema(schema_with = schemas::rows_by_column, example = json!([{"name": "Ann", "age": 30}]))]
    rows: NewRows,
}

/// Rows were inserted.
#[derive(Serialize, ToSchema)]
struct RowsInserted {
    #[schema(example = "Rows inserted successfully.")]
    message: &'static str,
    rows_affected: u64,
}

/// Make a table
#[utoipa::path(post, path = "/api/db/{db}/tables", tag = "original",
    params(("db" = String, Path, description = "Name or id")),
    request_body = TableBody,
    responses((status = 201, body = TableCreated)))]
pub(in crate::http) async fn create_original_table(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    JsonBody(table): JsonBody<NewTable>,
) -> Result<Response, Problem> {
    let created = gateway.service.create_table(&caller, &reference, &table);
    let created = created.await;
    created.map_err(|error| gateway.in_legacy_words(&reference, error))?;
    let message = format!("Table '{}' created successfully.", table.table_name);
    Ok(reply::json(StatusCode::CREATED, &TableCreated { message }))
}

/// Insert rows
#[utoipa::path(post, path = "/api/db/{db}/tables/{table}/rows", tag = "original",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Its name")),
    request_body = InsertBody,
    responses((status = 201, body = RowsInserted)))]
pub(in crate::http) async fn insert_original_rows(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    JsonBody(body): JsonBody<InsertBody>,
) -> Result<Response, Problem> {
    let is_empty = body.rows.is_empty();
    let inserted = gateway
        .service
        .insert_rows(&caller, &reference, &table, body.rows);
    let rows_affected = inserted
        .await
        .map_err(|error| gateway.in_legacy_words(&reference, error))?;
    if is_empty {
        return Err(Problem::invalid("No rows provided for insertion."));
    }
    let inserted = RowsInserted {
        message: "Rows inserted successfully.",
        rows_affected,
    };
    Ok(reply::json(StatusCode::CREATED, &inserted))
}

/// Select rows
///
/// Every other parameter is a column with the value that it must have: `?age=24`.
#[utoipa::path(get, path = "/api/db/{db}/tables/{table}/rows", tag = "original",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "Its name"),
        ("limit" = Option<u64>, Query, description = "Most rows"),
        ("offset" = Option<u64>, Query, description = "Rows to leave out first")),
    responses((status = 200, body = OriginalAnswer)))]
pub(in crate::http) async fn select_original_rows(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, table)): PathParts<(String, String)>,
    StrictQuery(parameters): StrictQuery<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let selection = selection(parameters)?;
    let selected = gateway
        .service
        .select_rows(&caller, &reference, &table, &selection);
    let answer = selected
        .await
        .map_err(|error| gateway.in_legacy_words(&reference, error))?;
    Ok(rows::whole(answer, Format::Json, since))
}

fn selection(parameters: Vec<(String, String)>) -> Result<RowSelection, Problem> {
    let mut selection = RowSelection::default();
    for (name, value) in parameters {
        match name.as_str() {
            "limit" => selection.limit = Some(count(&name, &value)?),
            "offset" => selection.offset = Some(count(&name, &value)?),
            _ => selection.filters.push((name, value)),
        }
    }
    Ok(selection)
}

fn count(name: &str, value: &str) -> Result<u64, Problem> {
    // As many as SQLite counts.
    let number = value.parse().ok().filter(|it| i64::try_from(*it).is_ok());
    number.ok_or_else(|| Problem::invalid(format!("`{name}` is a number of rows, not `{value}`.")))
}
