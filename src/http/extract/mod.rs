//! Extractors. They are strict: unknown fields and parameters are errors.

pub(crate) mod answer_form;
pub(crate) mod fields;
mod file_body;
mod json_text;
pub(crate) mod lifecycle;
pub(crate) mod mutation;
pub(crate) mod negotiation;
pub(crate) mod parameters;
pub(crate) mod path;
pub(crate) mod rows;
pub(crate) mod span;
pub(crate) mod sql;
pub(crate) mod words;

use self::json_text::look_over;
use self::path::FromPath;
use super::Gateway;
use super::middleware::admission::no_memory;
use super::response::error::{ErrorCode, Problem};
use crate::shares::Held;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use std::error::Error as _;
use std::sync::Arc;

/// A JSON object of a known shape. An empty body reads as `{}`.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned + Send + 'static> FromRequest<Arc<Gateway>> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body).await?;
        let parse = move |bytes: Bytes| parse_object(&parts.headers, &bytes).map(Self);
        read_elsewhere_if_long(bytes, parse).await
    }
}

/// Longer bodies are parsed on another thread: a megabyte takes several milliseconds, which would
/// block other connections of this thread.
const READ_HERE_BYTES: usize = 64 << 10;

/// Parses a body, on another thread if it is long.
async fn read_elsewhere_if_long<T: Send + 'static>(
    bytes: Bytes,
    read: impl FnOnce(Bytes) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    if bytes.len() <= READ_HERE_BYTES {
        return read(bytes);
    }
    // The parsed value exists beside the body while it is built.
    let mut held = Held::default();
    held.grow(bytes.len()).map_err(|_| no_memory())?;
    let read = tokio::task::spawn_blocking(move || {
        let _held = held;
        read(bytes)
    });
    let read = read.await;
    read.unwrap_or_else(|error| Err(Problem::internal("the thread ended").because(&error)))
}

/// Plain text, in UTF-8. Some generated clients can only send bytes.
pub(super) struct TextBody(pub(super) String);

impl FromRequest<Arc<Gateway>> for TextBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &Arc<Gateway>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(body).await?;
        if let Some(essence) = essence(&parts.headers)
            && !matches!(
                essence.as_str(),
                "text/plain" | "application/sql" | "application/octet-stream"
            )
        {
            return Err(Problem::new(
                ErrorCode::UnsupportedMediaType,
                format!("This route reads text, not `{essence}`."),
            )
            .hint("send `Content-Type: text/plain`"));
        }
        let read = |bytes: Bytes| {
            let text = String::from_utf8(bytes.into());
            text.map(Self).map_err(|error| {
                let at = error.utf8_error().valid_up_to();
                Problem::invalid(format!("The body is not valid UTF-8 at byte {at}."))
            })
        };
        read_elsewhere_if_long(bytes, read).await
    }
}

/// Query parameters of a known shape.
pub(super) struct StrictQuery<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Gateway>> for StrictQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        query_text(&parts.uri)?;
        Query::try_from_uri(&parts.uri)
            .map(|Query(it)| Self(it))
            .map_err(|rejection: QueryRejection| {
                let cause = rejection.source().map(ToString::to_string);
                let cause = cause.unwrap_or_else(|| rejection.body_text());
                Problem::invalid(format!("Invalid query parameters: {cause}."))
                    .hint("GET /openapi.json lists the parameters of every route")
            })
    }
}

/// The part of an address behind `?`. Its readers would put another character where its escapes are
/// no text.
pub(super) fn query_text(uri: &Uri) -> Result<Option<&str>, Problem> {
    let Some(text) = uri.query().filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    // What stands between parameters is in no escape, so it parts no character.
    match percent_decode_str(text).decode_utf8() {
        Ok(_) => Ok(Some(text)),
        Err(_) => {
            let parameter = text
                .split('&')
                .find(|part| percent_decode_str(part).decode_utf8().is_err());
            let name = parameter.unwrap_or(text).split('=').next();
            Err(Problem::invalid(format!(
                "The query parameter `{}` is not valid UTF-8.",
                name.unwrap_or_default()
            ))
            .hint("escape the bytes of UTF-8: `é` is %C3%A9"))
        }
    }
}

/// For routes that take no query parameters.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

/// For routes that take a body without fields.
#[derive(Debug, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFields {}

/// The variable parts of the path, decoded.
pub(super) struct PathParts<T>(pub(super) T);

impl<T: FromPath + Send> FromRequestParts<Arc<Gateway>> for PathParts<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Gateway>) -> Result<Self, Problem> {
        T::from_path(parts).map(Self)
    }
}

/// The body, which was read whole before the route was asked.
pub(super) async fn read_body(body: Body) -> Result<Bytes, Problem> {
    let whole = body.collect().await.map_err(Problem::internal)?;
    Ok(whole.to_bytes())
}

/// A JSON object of a known shape from the bytes of a body.
pub(super) fn parse_object<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<T, Problem> {
    if bytes.is_empty() {
        return parse(b"{}");
    }
    check_content_type(headers)?;
    // A list would fill a struct's fields by their order.
    if bytes
        .trim_ascii_start()
        .first()
        .is_some_and(|it| *it == b'[')
    {
        return Err(Problem::invalid(
            "The body must be a JSON object, not an array.",
        ));
    }
    look_over(bytes)?;
    parse(bytes)
}

/// Any JSON of a known shape from the bytes of a body.
pub(super) fn parse_body<T: DeserializeOwned>(
    headers: &HeaderMap,
    bytes: &[u8],
) -> Result<T, Problem> {
    check_content_type(headers)?;
    look_over(bytes)?;
    parse(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Data => {
            let said = in_plain_words(error.to_string());
            Problem::invalid(format!("Invalid body: {said}."))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::invalid(format!("The body is not valid JSON: {error}."))
        }
    })
}

/// What serde says of a value, without the names of types that only the program knows.
fn in_plain_words(mut said: String) -> String {
    const WORDS: &[(&str, &str)] = &[
        ("u8", "a whole number from 0 to 255"),
        ("u16", "a whole number from 0 to 65535"),
        ("u32", "a whole number from 0 to 4294967295"),
        ("u64", "a whole number from 0"),
        ("usize", "a whole number from 0"),
        ("i64", "a whole number"),
        ("f64", "a number"),
        ("a sequence", "a list"),
        ("a map", "an object"),
    ];
    let Some(at) = said.rfind("expected ").map(|it| it + "expected ".len()) else {
        return said;
    };
    let end = said[at..]
        .find(" at line ")
        .map_or(said.len(), |it| at + it);
    let word = &said[at..end];
    let plain = match WORDS.iter().find(|(it, _)| *it == word) {
        Some((_, plain)) => plain,
        None if word.starts_with("struct ") => "an object",
        None => return said,
    };
    said.replace_range(at..end, plain);
    said
}

/// A body without a content type is read as JSON, one that says it is something else is not.
fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(essence) = essence(headers) else {
        return Ok(());
    };
    let is_json = essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    Err(Problem::new(
        ErrorCode::UnsupportedMediaType,
        format!("This route reads JSON, not `{essence}`."),
    )
    .hint("send `Content-Type: application/json`"))
}

/// The content type without its parameters, in small letters.
pub(super) fn essence(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str();
    let essence = text.unwrap_or_default().split(';').next();
    Some(essence.unwrap_or_default().trim().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_value_is_said_without_the_programs_own_types() {
        for (said, plain) in [
            (
                "invalid type: string \"x\", expected u64 at line 1 column 9",
                "invalid type: string \"x\", expected a whole number from 0 at line 1 column 9",
            ),
            (
                "expected struct Body at line 1",
                "expected an object at line 1",
            ),
            (
                "expected `rows` or `objects`",
                "expected `rows` or `objects`",
            ),
            ("missing field `sql`", "missing field `sql`"),
        ] {
            assert_eq!(in_plain_words(said.to_owned()), plain);
        }
    }
}
