//! Files that are whole: all of one, or the part that a client still lacks (RFC 9110, 14).
use super::DownloadName;
use crate::clock::Deadline;
use crate::data::QueryError;
use crate::data::exports::ExportedFile;
use crate::http::response::error::{ErrorCode, Problem};
use crate::service::sql::exports::files::FileDownload;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Tables whose rows are not in the file; names are percent-encoded, and separated by commas.
const LEFT_OUT: HeaderName = HeaderName::from_static("x-dbforge-left-out");

/// Most names that are told: a head has bounds.
const MOST_NAMES: usize = 20;

/// Which bytes of a file a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WantedBytes {
    /// From one place to the end or to the byte before another.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl WantedBytes {
    /// What the header `Range` says. What is not understood, or names several parts, counts as if
    /// it were not there.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let said = headers.get(header::RANGE)?.to_str().ok()?;
        let (first, last) = said.trim().strip_prefix("bytes=")?.split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        let number = |text: &str| text.parse::<u64>().ok();
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last.saturating_add(1))))
            }
        }
    }

    /// Whether it begins at the first byte.
    pub(crate) fn is_a_beginning(self) -> bool {
        matches!(self, Self::From(0, _))
    }

    /// The places in a file of this length; `None` where there is nothing.
    fn within(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first, end) => first..end.unwrap_or(length).min(length),
            Self::Last(bytes) => length.saturating_sub(bytes)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

/// A file, or the part of it that is wanted.
pub(crate) fn whole_file(
    download: FileDownload,
    wanted: Option<WantedBytes>,
    content_type: HeaderValue,
    name: &DownloadName,
    send_time: Duration,
) -> Response {
    let file = download.file;
    let length = file.bytes();
    let range = match wanted.map(|wanted| wanted.within(length)) {
        None => None,
        Some(Some(range)) => Some(range),
        Some(None) => return nothing_there(length),
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, content_type);
    headers.insert(header::CONTENT_DISPOSITION, name.disposition());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::ETAG, visible(file.tag()));
    if !file.left_out.is_empty() {
        let names = file.left_out.iter().take(MOST_NAMES);
        let names: Vec<String> = names
            .map(|name| utf8_percent_encode(name, NON_ALPHANUMERIC).to_string())
            .collect();
        headers.insert(LEFT_OUT, visible(names.join(",")));
    }
    let status = match &range {
        None => StatusCode::OK,
        Some(part) => {
            let said = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            headers.insert(header::CONTENT_RANGE, visible(said));
            StatusCode::PARTIAL_CONTENT
        }
    };
    let range = range.unwrap_or(0..length);
    headers.insert(header::CONTENT_LENGTH, (range.end - range.start).into());
    let pieces = Pieces {
        file,
        range,
        deadline: Deadline::after(send_time),
        token_ended: download.token_ended,
    };
    let pieces = stream::try_unfold(pieces, |mut pieces| async {
        let piece = pieces.next().await?;
        Ok::<_, QueryError>(piece.map(|piece| (piece, pieces)))
    });
    (status, headers, Body::from_stream(pieces)).into_response()
}

fn nothing_there(length: u64) -> Response {
    let problem = Problem::new(
        ErrorCode::RangeNotSatisfiable,
        format!("The file has {length} bytes, and none of those that `Range` names."),
    );
    let mut response = problem.into_response();
    let said = visible(format!("bytes */{length}"));
    response.headers_mut().insert(header::CONTENT_RANGE, said);
    response
}

fn visible(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("numbers, digits and percent signs are visible ASCII")
}

/// What is left to be sent of a file.
struct Pieces {
    file: Arc<ExportedFile>,
    range: Range<u64>,
    deadline: Deadline,
    token_ended: CancellationToken,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        if self.range.is_empty() {
            return Ok(None);
        }
        if self.token_ended.is_cancelled() {
            return Err(QueryError::TokenEnded);
        }
        if self.deadline.has_passed() {
            return Err(QueryError::NotTakenInTime);
        }
        let (file, range) = (Arc::clone(&self.file), self.range.clone());
        let read = tokio::task::spawn_blocking(move || file.read(range.start, range.end)).await;
        let piece = read.map_err(|error| QueryError::Broken {
            reason: error.to_string(),
        })??;
        self.range.start += piece.len() as u64;
        if self.range.start == self.file.bytes() {
            self.file.sent();
        }
        Ok(Some(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_its_header_says() {
        for (said, within) in [
            ("bytes=0-", Some(0..10)),
            ("bytes=4-6", Some(4..7)),
            ("bytes=4-400", Some(4..10)),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=10-", None),
            ("bytes=-0", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(said));
            let wanted = WantedBytes::of(&headers).unwrap();
            assert_eq!(wanted.within(10), within, "{said}");
        }
        for said in [
            "bytes=6-4",
            "bytes=1-2,4-5",
            "lines=1-2",
            "bytes=a-",
            "bytes=",
            "bytes=-",
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_static(said));
            assert_eq!(WantedBytes::of(&headers), None, "{said}");
        }
    }
}
