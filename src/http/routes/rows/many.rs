//! Rows of a table: list, insert, change, remove.
use crate::clock::Stopwatch;
use crate::data::Format;
use crate::data::rows::{NextPage, RowsError, RowsRead, RowsWritten};
use crate::http::Gateway;
use crate::http::extract::PathParts;
use crate::http::extract::answer_form::chosen_format;
use crate::http::extract::rows::preferences::Preferences;
use crate::http::extract::rows::{NewRowsBody, RowChangesBody, RowsParameters, RowsPath};
use crate::http::response::error::Problem;
use crate::http::response::row_answers::{self, RowsList, WrittenView};
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use std::sync::Arc;

/// Query parameters of the rows dialect, beside filters on columns.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `RowsQuery` reads")]
pub(crate) struct ListParameters {
    /// Columns, aliases, aggregates and embedded tables: `id,full_name:name,orders(*)`.
    #[param(required = false, example = "*")]
    select: String,
    /// Sort terms: `age.desc.nullslast,name`.
    #[param(required = false, pattern = "^$")]
    order: String,
    /// Most rows.
    #[param(required = false, minimum = 0)]
    limit: u64,
    /// Rows to skip.
    #[param(required = false, minimum = 0)]
    offset: u64,
    /// `next_cursor` of the page before.
    #[param(required = false, pattern = "^$")]
    cursor: String,
    /// Conditions of which one must hold: `(age.lt.18,age.gt.65)`.
    #[param(required = false, pattern = "^\\(rowid\\.(gt|lt)\\.[0-9]{1,9}\\)$")]
    or: String,
}

/// Header of requests about rows.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes what `Preferences` reads")]
pub(crate) struct PreferHeader {
    /// `return=representation|minimal|headers-only`, `count=exact`, `max-affected=10`,
    /// `tx=rollback`, `resolution=merge-duplicates|ignore-duplicates`, `missing=default`.
    #[param(rename = "Prefer", required = false, example = "count=exact")]
    prefer: String,
}

/// Query parameters that choose the rows of a change.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `RowsQuery` reads")]
pub(crate) struct ChangeParameters {
    /// What is returned of each row, with `Prefer: return=representation`.
    #[param(required = false, example = "*")]
    select: String,
    /// Change every row. Required when there is no filter.
    #[param(required = false)]
    all: bool,
}

/// Query parameters of an insert.
#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes what `RowsQuery` reads")]
pub(crate) struct InsertParameters {
    /// What is returned of each row, with `Prefer: return=representation`.
    #[param(required = false, example = "*")]
    select: String,
    /// Columns to write, with commas between them; others in the body are ignored.
    #[param(required = false, pattern = "^rowid$")]
    columns: String,
    /// Columns of the unique key that tells duplicates.
    #[param(required = false, pattern = "^rowid$")]
    on_conflict: String,
}

/// List rows
///
/// Filters are further parameters: `?age=gte.18&name=ilike.*ann*`. A page ends at `limit`, at
/// 10,000 rows or at some MiB; `next_cursor` continues it.
#[utoipa::path(get, path = "/v1/databases/{db}/tables/{table}/rows", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table or view"), ListParameters, PreferHeader),
    responses((status = 200, content(
        (RowsList = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv")))))]
pub(crate) async fn list_rows(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RowsParameters(query): RowsParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let format = chosen_format(None, &headers)?;
    let read = RowsRead {
        format,
        counts: preferences.counts,
        may_end_early: format == Format::Json,
        strips_nulls: false,
    };
    let page = gateway
        .service
        .read_rows(&caller, path.rows(), &query, read);
    let page = page.await?;
    if page.next == NextPage::TooLong {
        let refused = RowsError::with_hint(
            "the rows are sorted by values that are too long for a cursor, so the next page \
             cannot be told",
            "sort by a shorter column first, or ask for `/export`, which has no pages",
        );
        return Err(refused.into());
    }
    Ok(row_answers::page(page, format, &preferences, since))
}

/// Insert rows
///
/// One row or a list, all or none; rows may name different columns. `Prefer: resolution=…` makes it
/// an upsert.
#[utoipa::path(post, path = "/v1/databases/{db}/tables/{table}/rows", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"), InsertParameters, PreferHeader),
    request_body(content = NewRowsBody, content_type = "application/json"),
    responses((status = 201, body = WrittenView)))]
pub(crate) async fn insert_rows(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RowsParameters(query): RowsParameters,
    NewRowsBody(rows): NewRowsBody,
) -> Result<Response, Problem> {
    let form = preferences.write_form(Vec::new(), row_answers::Default::Counts);
    let written = gateway
        .service
        .write_rows(&caller, path.rows(), &query, (rows, form));
    let written = written.await?;
    let place = location(&path, &written);
    let response = row_answers::written(StatusCode::CREATED, written, &preferences);
    Ok(row_answers::located(response, place))
}

/// Where the row that was written is.
fn location(path: &RowsPath, written: &RowsWritten) -> Option<String> {
    let key = written.key.as_ref()?;
    let part = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let (database, table) = (part(&path.database), part(&path.table));
    Some(format!(
        "/v1/databases/{database}/tables/{table}/rows/{key}"
    ))
}

/// Change rows
///
/// Sets columns of every row that the filters find.
#[utoipa::path(patch, path = "/v1/databases/{db}/tables/{table}/rows", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"), ChangeParameters, PreferHeader),
    request_body(content = RowChangesBody, content_type = "application/json"),
    responses((status = 200, body = WrittenView)))]
pub(crate) async fn change_rows(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RowsParameters(query): RowsParameters,
    RowChangesBody(changes): RowChangesBody,
) -> Result<Response, Problem> {
    let form = preferences.write_form(Vec::new(), row_answers::Default::Counts);
    let changed = gateway
        .service
        .change_rows(&caller, path.rows(), &query, (changes, form));
    let changed = changed.await?;
    Ok(row_answers::written(StatusCode::OK, changed, &preferences))
}

/// Delete rows
///
/// Deletes every row that the filters find.
#[utoipa::path(delete, path = "/v1/databases/{db}/tables/{table}/rows", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"), ChangeParameters, PreferHeader),
    responses((status = 200, body = WrittenView)))]
pub(crate) async fn delete_rows(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RowsParameters(query): RowsParameters,
) -> Result<Response, Problem> {
    let form = preferences.write_form(Vec::new(), row_answers::Default::Counts);
    let removed = gateway
        .service
        .remove_rows(&caller, path.rows(), &query, form);
    let removed = removed.await?;
    Ok(row_answers::written(StatusCode::OK, removed, &preferences))
}
