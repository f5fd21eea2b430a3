//! One value of a row, as raw bytes of any size.
use super::one::RowMatchHeader;
use crate::data::rows::{ValueFacts, ValueKind};
use crate::http::Gateway;
use crate::http::extract::rows::byte_range::{ByteRange, byte_range};
use crate::http::extract::rows::{RowsPath, is_known, marks};
use crate::http::extract::{NoParameters, PathParts, StrictQuery};
use crate::http::middleware::admission::packed_body::Coding;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::row_answers::{not_modified, tell_etag};
use crate::service::caller::Caller;
use crate::service::rows::ValueAnswer;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use std::sync::Arc;

/// Get a value as raw bytes
///
/// Text as `text/plain`, a BLOB as `application/octet-stream`, of any size and with `Range`. NULL is
/// 204.
#[utoipa::path(get, path = "/v1/databases/{db}/tables/{table}/rows/{key}/{column}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"),
        ("key" = String, Path, description = "Key of the row"),
        ("column" = String, Path, description = "Its column")),
    responses((status = 200, content(
        (Vec<u8> = "application/octet-stream"),
        (String = "text/plain"))),
        (status = 204, description = "NULL"),
        (status = 206, description = "The bytes that `Range` names", content(
        (Vec<u8> = "application/octet-stream"),
        (String = "text/plain")))))]
pub(crate) async fn get_value(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    _: StrictQuery<NoParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let service = &gateway.service;
    let facts = service.value_facts(&caller, path.value()).await?;
    if facts.kind == ValueKind::Null {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if let Some(etag) = facts.etag.as_deref()
        && is_known(&headers, etag)
    {
        return Ok(not_modified(etag));
    }
    let range = byte_range(&headers, facts.size, facts.etag.as_deref());
    let (status, first, count) = match range {
        ByteRange::Whole => (StatusCode::OK, 0, facts.size),
        ByteRange::Part { first, count } => (StatusCode::PARTIAL_CONTENT, first, count),
        ByteRange::Behind => return Ok(behind(facts.size)),
    };
    let bytes = service.read_value(&caller, path.value(), &facts, (first, count));
    let body = match bytes.await? {
        ValueAnswer::Whole(bytes) => Body::from(bytes),
        ValueAnswer::Pieces(pieces) => {
            Body::from_stream(stream::unfold(pieces, |mut pieces| async move {
                Some((pieces.next().await?, pieces))
            }))
        }
    };
    let mut response = (status, body).into_response();
    describe(&mut response, &facts, (first, count));
    Ok(response)
}

fn describe(response: &mut Response, facts: &ValueFacts, (first, count): (u64, u64)) {
    let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
    if let Some(etag) = &facts.etag {
        tell_etag(response, etag);
    }
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static(match facts.kind {
        ValueKind::Blob => "application/octet-stream",
        ValueKind::Null | ValueKind::Number | ValueKind::Text => "text/plain; charset=utf-8",
    });
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, count.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    // The bytes are the value: nothing on their way packs them, so that ranges fit together.
    let as_they_are = HeaderValue::from_static("no-transform");
    headers.insert(header::CACHE_CONTROL, as_they_are);
    if is_part {
        let last = first + count.saturating_sub(1);
        let range = format!("bytes {first}-{last}/{}", facts.size);
        if let Ok(range) = HeaderValue::try_from(range) {
            headers.insert(header::CONTENT_RANGE, range);
        }
    }
}

/// The range lies behind the last byte.
fn behind(size: u64) -> Response {
    let problem = Problem::new(
        ErrorCode::RangeNotSatisfiable,
        format!("The value has {size} bytes, and `Range` names others."),
    );
    let mut response = problem.into_response();
    if let Ok(range) = HeaderValue::try_from(format!("bytes */{size}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, range);
    }
    response
}

/// Set a value to raw bytes
///
/// The body is the value: text if its `Content-Type` is `text/…` or JSON, else a BLOB. It is
/// streamed to the disk first, so its size is bounded by `DBFORGE_MAX_UPLOAD_BYTES` and by what
/// SQLite stores, 1,000,000,000 bytes.
#[utoipa::path(put, path = "/v1/databases/{db}/tables/{table}/rows/{key}/{column}", tag = "rows",
    params(("db" = String, Path, description = "Name or id"),
        ("table" = String, Path, description = "A table"),
        ("key" = String, Path, description = "Key of the row"),
        ("column" = String, Path, description = "Its column"), RowMatchHeader),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204, description = "Done")))]
pub(crate) async fn put_value(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(path): PathParts<RowsPath>,
    _: StrictQuery<NoParameters>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let service = &gateway.service;
    // What cannot be written is not received.
    caller.require(crate::domain::token::Scope::Write)?;
    if Coding::of(&parts.headers)?.is_some() {
        return Err(Problem::new(
            ErrorCode::UnsupportedMediaType,
            "The body is the value itself, which cannot be compressed.",
        )
        .hint("send it without `Content-Encoding`"));
    }
    service.value_facts(&caller, path.value()).await?;
    let upload = gateway.receive_file(&caller, &parts.headers, body, true);
    let upload = upload.await?;
    let kind = upload.content_type.as_deref().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_text = kind.starts_with("text/") || kind == "application/json";
    let marks = marks(&parts.headers, header::IF_MATCH);
    let written = service.write_value(&caller, path.value(), upload, (is_text, marks));
    written.await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
