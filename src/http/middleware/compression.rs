//! Compresses large responses when the client asks for it.
use super::admission::no_memory;
use crate::http::extract::negotiation::wishes;
use crate::http::response::error::Problem;
use crate::shares::Held;
use async_compression::Level;
use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use std::io;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

/// How an answer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Encoding {
    /// Supported by every client.
    Gzip,
    /// Twice as fast, and smaller.
    Zstd,
}

/// Smaller responses are not compressed: they fit into two packets anyway.
const SMALLEST_BYTES: u64 = 2 << 10;

/// Content types of compressed files.
const GZIP_FILE: &str = "application/gzip";
const ZSTD_FILE: &str = "application/zstd";

/// Fastest level: compressing must not take longer than sending the bytes it saves.
const LEVEL: Level = Level::Precise(1);

/// Compressed bytes that are made at a time, on a thread that serves others too: some 100 µs.
const STEP_BYTES: usize = 8 << 10;

impl Encoding {
    /// The client's preferred encoding; `None` when it accepts neither, or prefers none.
    pub(crate) fn wanted(headers: &HeaderMap) -> Option<Self> {
        // Most requests of programs have no such header, and small answers are fast.
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            return None;
        }
        let weight = |names: &[&str]| {
            wishes(headers, header::ACCEPT_ENCODING)
                .find(|encoding| {
                    names
                        .iter()
                        .any(|name| encoding.word.eq_ignore_ascii_case(name))
                })
                .map(|it| it.weight)
        };
        let any = weight(&["*"]).unwrap_or(0);
        let gzip = weight(&["gzip", "x-gzip"]).unwrap_or(any);
        let zstd = weight(&["zstd"]).unwrap_or(any);
        let best = if zstd >= gzip { Self::Zstd } else { Self::Gzip };
        let is_wanted = gzip.max(zstd) > 0 && gzip.max(zstd) >= weight(&["identity"]).unwrap_or(0);
        is_wanted.then_some(best)
    }

    /// Bytes that compressing takes while it lasts, at most.
    fn memory(self) -> usize {
        match self {
            Self::Gzip => 512 << 10,
            Self::Zstd => 1 << 20,
        }
    }

    /// What the name of a compressed file ends with.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Gzip => "gz",
            Self::Zstd => "zst",
        }
    }

    /// The content type of a compressed file.
    pub(crate) fn file_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => GZIP_FILE,
            Self::Zstd => ZSTD_FILE,
        })
    }

    fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Compresses a response that is large enough, or whose size is unknown. Without memory for the
/// encoder it is sent uncompressed.
pub(crate) fn compress(mut response: Response, wanted: Option<Encoding>) -> Response {
    if !is_worth_it(&response) {
        return response;
    }
    let by_encoding = HeaderValue::from_static("accept-encoding");
    response.headers_mut().append(header::VARY, by_encoding);
    let Some(encoding) = wanted else {
        return response;
    };
    let Some(held) = memory_of(encoding) else {
        return response;
    };
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .insert(header::CONTENT_ENCODING, encoding.name());
    Response::from_parts(parts, encoded(body, encoding, held))
}

/// A body that is a compressed file, whatever the client accepts.
///
/// # Errors
/// When there is no memory for the encoder.
pub(crate) fn packed(body: Body, encoding: Encoding) -> Result<Body, Problem> {
    let held = memory_of(encoding).ok_or_else(no_memory)?;
    Ok(encoded(body, encoding, held))
}

fn memory_of(encoding: Encoding) -> Option<Held> {
    let mut held = Held::default();
    held.grow(encoding.memory()).ok()?;
    Some(held)
}

fn encoded(body: Body, encoding: Encoding, held: Held) -> Body {
    // What was written is flushed whenever the body has nothing more to give at the moment.
    let plain = StreamReader::new(in_portions(body));
    match encoding {
        Encoding::Gzip => in_steps(GzipEncoder::with_quality(plain, LEVEL), held),
        Encoding::Zstd => in_steps(ZstdEncoder::with_quality(plain, LEVEL), held),
    }
}

/// The body in portions, with a pause behind each: a thousand times more may go into a step than
/// comes out of it, and others wait for the thread.
fn in_portions(body: Body) -> impl Stream<Item = io::Result<Bytes>> {
    body.into_data_stream()
        .map_err(io::Error::other)
        .map_ok(|mut data: Bytes| {
            let portions = std::iter::from_fn(move || {
                (!data.is_empty()).then(|| Ok(data.split_to(data.len().min(PORTION_BYTES))))
            });
            stream::iter(portions).then(async |portion| {
                tokio::task::yield_now().await;
                portion
            })
        })
        .try_flatten()
}

/// Some 100 µs, even where it does not get smaller.
const PORTION_BYTES: usize = 128 << 10;

fn in_steps(encoder: impl AsyncRead + Send + 'static, held: Held) -> Body {
    let steps = ReaderStream::with_capacity(encoder, STEP_BYTES);
    Body::from_stream(steps.inspect_ok(move |_| {
        let _until_the_end = &held;
    }))
}

fn is_worth_it(response: &Response) -> bool {
    let is_large = |it: u64| it >= SMALLEST_BYTES;
    if !response.body().size_hint().exact().is_none_or(is_large) {
        return false;
    }
    let headers = response.headers();
    let is_event_stream = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    let is_packed = (headers.get(header::CONTENT_TYPE))
        .is_some_and(|value| [GZIP_FILE, ZSTD_FILE].contains(&value.to_str().unwrap_or_default()));
    let is_as_it_is = (headers.get(header::CACHE_CONTROL))
        .is_some_and(|value| value.as_bytes() == b"no-transform");
    // An entity tag names the bytes that it came with.
    !is_event_stream
        && !is_packed
        && !is_as_it_is
        && !headers.contains_key(header::ETAG)
        && !headers.contains_key(header::CONTENT_ENCODING)
}

#[cfg(test)]
mod tests {
    use crate::http::middleware::compression::*;

    #[test]
    fn a_client_gets_what_it_likes_best() {
        use Encoding::{Gzip, Zstd};
        for (text, wanted) in [
            ("gzip", Some(Gzip)),
            ("x-gzip", Some(Gzip)),
            ("zstd", Some(Zstd)),
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip;q=1.0, zstd;q=0.9", Some(Gzip)),
            ("gzip;q=0", None),
            ("*", Some(Zstd)),
            ("*;q=0.5, zstd;q=0", Some(Gzip)),
            ("*;q=0", None),
            ("identity", None),
            ("identity, gzip;q=0.5", None),
            ("identity;q=0.5, gzip", Some(Gzip)),
            ("identity;q=0", None),
            ("br, deflate", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                header::ACCEPT_ENCODING,
                HeaderValue::from_str(text).unwrap(),
            );
            assert_eq!(Encoding::wanted(&headers), wanted, "{text}");
        }
        assert_eq!(Encoding::wanted(&HeaderMap::new()), None);
    }
}
