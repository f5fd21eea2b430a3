//! Tables and rows in the legacy API's shapes.
use super::query::OriginalAnswer;
use crate::clock::Stopwatch;
use crate::data::legacy_rows::{NewTable, RowOrder, RowSelection};
use crate::data::{Format, KeyedRows};
use crate::http::Gateway;
use crate::http::extract::words::Direction;
use crate::http::extract::{JsonBody, PathParts, StrictQuery};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::http::response::rows;
use crate::service::caller::Caller;
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
    {"name": "name", "type": "TEXT", "not_null": true, "default": "'nobody'"}],
    "indexes": [{"name": "users_by_name", "columns": ["name"], "unique": true}]}))]
#[expect(dead_code, reason = "describes what the data plane reads itself")]
pub(in crate::http) struct TableBody {
    table_name: String,
    columns: Vec<ColumnBody>,
    /// Indexes, made with the table or not at all.
    indexes: Option<Vec<IndexBody>>,
}

/// A column of a new table.
#[derive(ToSchema)]
#[schema(as = NewColumn)]
#[expect(dead_code, reason = "describes what the data plane reads itself")]
struct ColumnBody {
    name: String,
    /// Its type, in SQL; constraints may follow.
    #[schema(example = "DECIMAL(10,2) CHECK(price > 0)")]
    r#type: String,
    primary_key: Option<bool>,
    not_null: Option<bool>,
    unique: Option<bool>,
    /// What it has when nothing is given. Text is SQL: `'pending'`, `(datetime('now'))`, `NULL`.
    #[schema(schema_with = schemas::parameter, required = false)]
    default: (),
    /// Constraints, in SQL.
    #[schema(example = json!(["NOT NULL", "CHECK(price > 0)"]))]
    constraints: Option<Vec<String>>,
}

/// An index of a new table.
#[derive(ToSchema)]
#[schema(as = NewIndex)]
#[expect(dead_code, reason = "describes what the data plane reads itself")]
struct IndexBody {
    name: String,
    #[schema(min_items = 1)]
    columns: Vec<String>,
    unique: Option<bool>,
}

/// Rows to be inserted, all or none.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct InsertBody {
    /// One object for each, from column to value.
    #[schema(schema_with = schemas::rows_by_column, example = json!([{"name": "Ann", "age": 30}]))]
    rows: KeyedRows,
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
        ("offset" = Option<u64>, Query, description = "Rows to leave out first"),
        ("order_by" = Option<String>, Query, description = "Column to sort by; the primary key if only `order` is given"),
        ("order" = inline(Option<Direction>), Query, description = "Sort order"),
        ("where" = Option<String>, Query, description = "Condition, in SQL: `price > 100`")),
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
            "order_by" => selection.order_by = Some(value),
            "order" => selection.order = Some(order(&value)?),
            "where" => selection.condition = Some(value),
            _ => selection.filters.push((name, value)),
        }
    }
    Ok(selection)
}

fn order(value: &str) -> Result<RowOrder, Problem> {
    match value.to_ascii_lowercase().as_str() {
        "asc" => Ok(RowOrder::Ascending),
        "desc" => Ok(RowOrder::Descending),
        _ => Err(Problem::invalid(format!(
            "`order` must be asc or desc, not `{value}`."
        ))),
    }
}

/// The number of rows that a query parameter says.
pub(super) fn count(name: &str, value: &str) -> Result<u64, Problem> {
    // As many as SQLite counts.
    let number = value.parse().ok().filter(|it| i64::try_from(*it).is_ok());
    number.ok_or_else(|| Problem::invalid(format!("`{name}` is a number of rows, not `{value}`.")))
}
