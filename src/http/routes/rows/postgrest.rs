//! The same rows for clients of PostgREST: bare arrays, its headers and its statuses.
use super::many::{ChangeParameters, InsertParameters, ListParameters, PreferHeader};
use crate::clock::Stopwatch;
use crate::data::rows::{RowsError, RowsRead, RowsWritten};
use crate::data::{Format, QueryError};
use crate::http::Gateway;
use crate::http::extract::PathParts;
use crate::http::extract::rows::postgrest::{RestForm, range};
use crate::http::extract::rows::preferences::{AnswerWord, Preferences};
use crate::http::extract::rows::{NewRowsBody, RestParameters, RowChangesBody, RowsPath};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::row_answers;
use crate::http::response::row_problems::for_postgrest;
use crate::http::response::rows::{content_type, timed};
use crate::service::caller::Caller;
use crate::service::sql::RunError;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use std::sync::Arc;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Rows, and nothing around them.
struct BareRows;

impl PartialSchema for BareRows {
    fn schema() -> RefOr<Schema> {
        schemas::row_objects().into()
    }
}

impl ToSchema for BareRows {}

/// An error as clients of PostgREST read it, with the members of every other error beside.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `Problem` writes")]
struct PostgrestProblem {
    /// PostgREST's code or PostgreSQL's, where there is one for it: `23505`, `PGRST116`.
    code: String,
    message: String,
    details: Option<String>,
    hint: Option<String>,
}

/// List rows for PostgREST clients
///
/// The rows of `GET …/tables/{table}/rows` as a bare array, with `Content-Range`.
#[utoipa::path(get, path = "/v1/databases/{db}/rest/{table}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table or view"), ListParameters, PreferHeader),
    responses((status = 200, content(
        (BareRows = "application/json"),
        (String = "text/csv"))),
        (status = 206, description = "Not all of the rows", content(
        (BareRows = "application/json"),
        (String = "text/csv"))),
        (status = "default", description = "An error", body = PostgrestProblem,
            content_type = "application/problem+json")))]
pub(crate) async fn list_rows_for_postgrest(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RestParameters(mut query): RestParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let form = RestForm::of(&headers)?;
    if let Some((first, count)) = range(&headers)? {
        query.level.offset.get_or_insert(first);
        query.level.limit = query.level.limit.or(count);
    }
    let limit = query.level.limit;
    if form.is_single {
        query.level.limit = Some(limit.unwrap_or(2).min(2));
    }
    let read = RowsRead {
        format: form.format,
        counts: preferences.counts,
        may_end_early: false,
        strips_nulls: form.strips_nulls,
    };
    let page = gateway
        .service
        .read_rows(&caller, path.rows(), &query, read);
    let page = page.await.map_err(for_postgrest)?;
    let first = query.level.offset.unwrap_or(0);
    if let Some(count) = page.count
        && first > count
    {
        return Err(for_postgrest(RowsError::OutOfRange { first, count }.into()));
    }
    let is_part = page.count.is_some_and(|count| page.row_count < count);
    let total = page
        .count
        .map_or_else(|| "*".to_owned(), |count| count.to_string());
    let range = match page.row_count {
        0 => format!("*/{total}"),
        rows => format!("{first}-{}/{total}", first + rows - 1),
    };
    let mut response = if form.is_single {
        if page.row_count != 1 {
            return Err(for_postgrest(not_one(page.row_count).into()));
        }
        let object = page.body.slice(1..page.body.len() - 1);
        timed(object, object_type(), page.elapsed, since)
    } else {
        let content_type = match form.format {
            Format::Json => array_type(),
            other => content_type(other),
        };
        let mut response = timed(page.body, content_type, page.elapsed, since);
        if is_part {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    };
    if !form.is_single {
        row_answers::tell_next(&mut response, &page.next);
    }
    tell_range(&mut response, &range);
    preferences.tell(&mut response);
    Ok(response)
}

/// Insert rows for PostgREST clients
///
/// As `POST …/tables/{table}/rows`, answered without a body unless
/// `Prefer: return=representation`.
#[utoipa::path(post, path = "/v1/databases/{db}/rest/{table}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"), InsertParameters, PreferHeader),
    request_body(content = NewRowsBody, content_type = "application/json"),
    responses((status = 201, body = BareRows),
        (status = "default", description = "An error", body = PostgrestProblem,
            content_type = "application/problem+json")))]
pub(crate) async fn insert_rows_for_postgrest(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RestParameters(query): RestParameters,
    headers: HeaderMap,
    NewRowsBody(rows): NewRowsBody,
) -> Result<Response, Problem> {
    let form = RestForm::of(&headers)?;
    let write = write_form(&preferences, form);
    let written = gateway
        .service
        .write_rows(&caller, path.rows(), &query, (rows, write));
    let written = written.await.map_err(|error| of_single(form, error))?;
    let place = location(&path, &written).filter(|_| is_headers_only(&preferences));
    let range = match preferences.counts {
        true => format!("*/{}", written.rows_affected),
        false => "*/*".to_owned(),
    };
    let response = answer(StatusCode::CREATED, written, form, &range, &preferences)?;
    Ok(row_answers::located(response, place))
}

/// Change rows for PostgREST clients
///
/// As `PATCH …/tables/{table}/rows`.
#[utoipa::path(patch, path = "/v1/databases/{db}/rest/{table}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"), ChangeParameters, PreferHeader),
    request_body(content = RowChangesBody, content_type = "application/json"),
    responses((status = 200, body = BareRows), (status = 204, description = "Done"),
        (status = "default", description = "An error", body = PostgrestProblem,
            content_type = "application/problem+json")))]
pub(crate) async fn change_rows_for_postgrest(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RestParameters(query): RestParameters,
    headers: HeaderMap,
    RowChangesBody(changes): RowChangesBody,
) -> Result<Response, Problem> {
    let form = RestForm::of(&headers)?;
    let write = write_form(&preferences, form);
    let changed = gateway
        .service
        .change_rows(&caller, path.rows(), &query, (changes, write));
    let changed = changed.await.map_err(|error| of_single(form, error))?;
    let range = range_of(&changed, &preferences);
    answer(StatusCode::OK, changed, form, &range, &preferences)
}

/// Delete rows for PostgREST clients
///
/// As `DELETE …/tables/{table}/rows`.
#[utoipa::path(delete, path = "/v1/databases/{db}/rest/{table}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"), ChangeParameters, PreferHeader),
    responses((status = 200, body = BareRows), (status = 204, description = "Done"),
        (status = "default", description = "An error", body = PostgrestProblem,
            content_type = "application/problem+json")))]
pub(crate) async fn delete_rows_for_postgrest(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    preferences: Preferences,
    RestParameters(query): RestParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let form = RestForm::of(&headers)?;
    let write = write_form(&preferences, form);
    let removed = gateway
        .service
        .remove_rows(&caller, path.rows(), &query, write);
    let removed = removed.await.map_err(|error| of_single(form, error))?;
    let range = range_of(&removed, &preferences);
    answer(StatusCode::OK, removed, form, &range, &preferences)
}

fn write_form(preferences: &Preferences, form: RestForm) -> crate::data::rows::WriteForm {
    let mut write = preferences.write_form(Vec::new(), row_answers::Default::Nothing);
    if form.is_single && preferences.answer == Some(AnswerWord::Representation) {
        let most = write.keep.most_affected.unwrap_or(1);
        write.keep.most_affected = Some(most.min(1));
    }
    write
}

/// Where one row is asked for, a change of more is told as such.
fn of_single(form: RestForm, error: RunError) -> Problem {
    let affected = match &error {
        RunError::Rows(RowsError::Query(QueryError::TooManyAffected { affected, most: 1 })) => {
            Some(*affected)
        }
        _ => None,
    };
    for_postgrest(match affected {
        Some(affected) if form.is_single => not_one(affected).into(),
        _ => error,
    })
}

fn not_one(found: u64) -> RowsError {
    RowsError::NotOne {
        found: match found {
            0 => "0 rows".to_owned(),
            _ => "more than one row".to_owned(),
        },
    }
}

fn is_headers_only(preferences: &Preferences) -> bool {
    preferences.answer == Some(AnswerWord::HeadersOnly)
}

/// The query that finds the row that was written.
fn location(path: &RowsPath, written: &RowsWritten) -> Option<String> {
    written.key.as_ref()?;
    let part = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let filters = written.key_columns.iter();
    let filters = filters.map(|(column, value)| format!("{}=eq.{value}", part(column)));
    let filters: Vec<_> = filters.collect();
    let (database, table) = (part(&path.database), part(&path.table));
    Some(format!(
        "/v1/databases/{database}/rest/{table}?{}",
        filters.join("&")
    ))
}

/// The range of rows that were changed.
fn range_of(written: &RowsWritten, preferences: &Preferences) -> String {
    let total = match preferences.counts {
        true => written.rows_affected.to_string(),
        false => "*".to_owned(),
    };
    match written.rows_affected {
        0 => format!("*/{total}"),
        rows => format!("0-{}/{total}", rows - 1),
    }
}

/// What a write answers: its rows, or nothing.
fn answer(
    status: StatusCode,
    written: RowsWritten,
    form: RestForm,
    range: &str,
    preferences: &Preferences,
) -> Result<Response, Problem> {
    let mut response = match written.rows {
        None if status == StatusCode::OK => StatusCode::NO_CONTENT.into_response(),
        None => status.into_response(),
        Some(rows) => {
            let is_one = written.rows_affected == 1;
            if form.is_single && !is_one {
                return Err(for_postgrest(not_one(written.rows_affected).into()));
            }
            let (body, kind): (Body, _) = match form.is_single {
                true => (row_answers::joined(rows), object_type()),
                false => (row_answers::joined(row_answers::list(rows)), array_type()),
            };
            (status, [(header::CONTENT_TYPE, kind)], body).into_response()
        }
    };
    tell_range(&mut response, range);
    preferences.tell(&mut response);
    Ok(response)
}

fn tell_range(response: &mut Response, range: &str) {
    if let Ok(range) = HeaderValue::try_from(range) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
}

fn array_type() -> HeaderValue {
    HeaderValue::from_static("application/json; charset=utf-8")
}

fn object_type() -> HeaderValue {
    HeaderValue::from_static("application/vnd.pgrst.object+json; charset=utf-8")
}
