//! One row, by its key.
use super::many::PreferHeader;
use crate::clock::Stopwatch;
use crate::data::rows::RowsRead;
use crate::http::Gateway;
use crate::http::extract::PathParts;
use crate::http::extract::answer_form::chosen_format;
use crate::http::extract::rows::preferences::Preferences;
use crate::http::extract::rows::{RowChangesBody, RowsParameters, RowsPath, is_known, marks};
use crate::http::response::error::Problem;
use crate::http::response::row_answers::{self, RowView, WrittenView};
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use std::sync::Arc;

/// Query parameters of one row.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `RowsQuery` reads")]
pub(crate) struct OneParameters {
    /// Columns and embedded tables.
    #[param(required = false, example = "*")]
    select: String,
}

/// Header of a request that changes a row that is as it was read.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `marks` reads")]
pub(crate) struct RowMatchHeader {
    /// The row's `ETag`: 412 if the columns that were read have changed since.
    #[param(
        rename = "If-Match",
        required = false,
        pattern = r#"^(\*|"r[0-9a-f]{16}")$"#
    )]
    if_match: String,
}

/// Get a row
///
/// `{key}` is the primary key, or the rowid of a table without one. Values of a key of several
/// columns have commas between them.
#[utoipa::path(get, path = "/v1/databases/{db}/tables/{table}/rows/{key}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"),
        ("key" = String, Path, description = "Key of the row"), OneParameters),
    responses((status = 200, content(
        (RowView = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv")))))]
pub(crate) async fn get_row(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    RowsParameters(query): RowsParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let format = chosen_format(None, &headers)?;
    let read = RowsRead {
        format,
        counts: false,
        may_end_early: false,
        strips_nulls: false,
    };
    let row = gateway.service.read_row(&caller, path.rows(), &query, read);
    let row = row.await?;
    if is_known(&headers, &row.etag) {
        return Ok(row_answers::not_modified(&row.etag));
    }
    Ok(row_answers::row(row, format, since))
}

/// Change a row
#[utoipa::path(patch, path = "/v1/databases/{db}/tables/{table}/rows/{key}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"),
        ("key" = String, Path, description = "Key of the row"), OneParameters, PreferHeader,
        RowMatchHeader),
    request_body(content = RowChangesBody, content_type = "application/json"),
    responses((status = 200, body = WrittenView)))]
pub(crate) async fn change_row(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RowsParameters(query): RowsParameters,
    headers: HeaderMap,
    RowChangesBody(changes): RowChangesBody,
) -> Result<Response, Problem> {
    let marks = marks(&headers, header::IF_MATCH);
    let form = preferences.write_form(marks, row_answers::Default::Counts);
    let changed = gateway
        .service
        .change_rows(&caller, path.rows(), &query, (changes, form));
    let changed = changed.await?;
    Ok(row_answers::written(StatusCode::OK, changed, &preferences))
}

/// Delete a row
#[utoipa::path(delete, path = "/v1/databases/{db}/tables/{table}/rows/{key}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"),
        ("key" = String, Path, description = "Key of the row"), OneParameters, PreferHeader,
        RowMatchHeader),
    responses((status = 200, body = WrittenView)))]
pub(crate) async fn delete_row(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RowsParameters(query): RowsParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let marks = marks(&headers, header::IF_MATCH);
    let form = preferences.write_form(marks, row_answers::Default::Counts);
    let removed = gateway
        .service
        .remove_rows(&caller, path.rows(), &query, form);
    let removed = removed.await?;
    Ok(row_answers::written(StatusCode::OK, removed, &preferences))
}
