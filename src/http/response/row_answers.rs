//! Answers about rows: the engine's bytes with what stands around them.
use super::pieces::Pieces;
use super::rows::{content_type, timed};
use crate::clock::Stopwatch;
use crate::data::Format;
use crate::data::rows::{NextPage, OneRowAnswer, RowsPage, RowsWritten, WriteAnswer, WriteForm};
use crate::http::extract::rows::preferences::{AnswerWord, Preferences};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use std::io::Write as _;
use utoipa::ToSchema;

const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Where the next page begins, where the body has no place to say so.
pub(crate) const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-dbforge-next-cursor");
/// Answers of no more bytes than this are copied into one piece, which is sent faster.
const COPIED_BYTES: usize = 64 << 10;

/// A page of rows.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct RowsList {
    /// An object for each row.
    #[schema(schema_with = crate::http::openapi::schemas::row_objects)]
    data: (),
    /// Send it as `cursor` for the next page; null on the last one, and where rows have no key.
    #[schema(required = true)]
    next_cursor: Option<String>,
    /// Rows in all, with `Prefer: count=exact`.
    count: Option<u64>,
}

/// One row.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct RowView {
    #[schema(schema_with = crate::http::openapi::schemas::row_object)]
    data: (),
}

/// What a write did.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct WrittenView {
    /// Rows inserted, changed or deleted.
    rows_affected: u64,
    /// Those rows, with `Prefer: return=representation`.
    #[schema(schema_with = crate::http::openapi::schemas::row_objects)]
    data: Option<()>,
}

/// What is answered of a write where nothing is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Default {
    /// How many rows, and the key of one.
    Counts,
    /// Nothing.
    Nothing,
}

impl Preferences {
    /// How rows are written.
    pub(crate) fn write_form(&self, if_match: Vec<String>, default: Default) -> WriteForm {
        WriteForm {
            answer: match (self.answer, default) {
                (Some(AnswerWord::Representation), _) => WriteAnswer::Rows,
                (Some(AnswerWord::HeadersOnly), _) | (None, Default::Counts) => WriteAnswer::Key,
                (Some(AnswerWord::Minimal), _) | (None, Default::Nothing) => WriteAnswer::Count,
            },
            conflict: self
                .resolution
                .unwrap_or(crate::data::rows::Conflict::Refuse),
            missing_is_null: self.missing_is_null,
            keep: self.keep(),
            if_match,
        }
    }

    /// Says which preferences were honoured.
    pub(crate) fn tell(&self, response: &mut Response) {
        if let Ok(applied) = HeaderValue::try_from(self.applied.join(", "))
            && !self.applied.is_empty()
        {
            response.headers_mut().insert(APPLIED, applied);
        }
    }
}

/// A page of rows.
pub(crate) fn page(
    page: RowsPage,
    format: Format,
    preferences: &Preferences,
    since: Stopwatch,
) -> Response {
    let took = page.elapsed;
    if format != Format::Json {
        let mut response = timed(page.body, content_type(format), took, since);
        tell_next(&mut response, &page.next);
        preferences.tell(&mut response);
        return response;
    }
    let mut tail = Vec::with_capacity(64);
    match &page.next {
        // A cursor needs no escapes.
        NextPage::Cursor(cursor) => write!(tail, r#","next_cursor":"{cursor}""#),
        NextPage::None | NextPage::TooLong => write!(tail, r#","next_cursor":null"#),
    }
    .expect("writing to memory does not fail");
    if let Some(count) = page.count {
        write!(tail, r#","count":{count}"#).expect("writing to memory does not fail");
    }
    tail.push(b'}');
    let body = joined([Bytes::from_static(br#"{"data":"#), page.body, tail.into()]);
    let mut response = timed(body, content_type(format), took, since);
    preferences.tell(&mut response);
    response
}

/// Tells where the next page begins.
pub(crate) fn tell_next(response: &mut Response, next: &NextPage) {
    if let NextPage::Cursor(cursor) = next
        && let Ok(cursor) = HeaderValue::try_from(cursor)
    {
        response.headers_mut().insert(NEXT_CURSOR, cursor);
    }
}

/// One row, with the mark of what is in it.
pub(crate) fn row(row: OneRowAnswer, format: Format, since: Stopwatch) -> Response {
    let body = match format {
        Format::Json => joined([
            Bytes::from_static(br#"{"data":"#),
            row.body,
            Bytes::from_static(b"}"),
        ]),
        _ => row.body.into(),
    };
    let mut response = timed(body, content_type(format), row.elapsed, since);
    tell_etag(&mut response, &row.etag);
    response
}

/// The row is as the client knows it.
pub(crate) fn not_modified(etag: &str) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tell_etag(&mut response, etag);
    response
}

pub(crate) fn tell_etag(response: &mut Response, etag: &str) {
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
}

/// What a write did: how many rows, and the rows where they were asked for.
pub(crate) fn written(
    status: StatusCode,
    written: RowsWritten,
    preferences: &Preferences,
) -> Response {
    let mut head = Vec::with_capacity(64);
    write!(head, r#"{{"rows_affected":{}"#, written.rows_affected)
        .expect("writing to memory does not fail");
    let body = match written.rows {
        None => {
            head.push(b'}');
            Body::from(head)
        }
        Some(rows) => {
            head.extend_from_slice(br#","data":"#);
            let head = std::iter::once(Bytes::from(head));
            joined(head.chain(list(rows)).chain([Bytes::from_static(b"}")]))
        }
    };
    let json = HeaderValue::from_static("application/json");
    let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
    preferences.tell(&mut response);
    response
}

/// `[{…},{…}]` of what the statements answered.
pub(crate) fn list(rows: Vec<Bytes>) -> impl Iterator<Item = Bytes> {
    let commas = std::iter::once(&b""[..]).chain(std::iter::repeat(&b","[..]));
    let rows = rows.into_iter().zip(commas);
    let rows = rows.flat_map(|(rows, comma)| [Bytes::from_static(comma), rows]);
    let (open, close) = (Bytes::from_static(b"["), Bytes::from_static(b"]"));
    std::iter::once(open).chain(rows).chain([close])
}

/// Pieces one after another. Few bytes are sent as one piece, many as they are: a copy would need
/// as much memory again.
pub(crate) fn joined(pieces: impl IntoIterator<Item = Bytes>) -> Body {
    let pieces: Vec<Bytes> = pieces.into_iter().collect();
    let bytes: usize = pieces.iter().map(Bytes::len).sum();
    if bytes > COPIED_BYTES {
        return Body::new(Pieces::from_iter(pieces));
    }
    let mut out = Vec::with_capacity(bytes);
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
    out.into()
}

/// Says where what was made is.
pub(crate) fn located(mut response: Response, place: Option<String>) -> Response {
    if let Some(place) = place.and_then(|place| HeaderValue::try_from(place).ok()) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    response
}
