//! The body of a request: it is read whole before the request is worked on.
use super::packed_body::{Coding, Unread};
use super::{BodyUse, no_memory};
use crate::http::Gateway;
use crate::http::response::error::{ErrorCode, Problem};
use crate::shares::{Held, waiting};
use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use std::pin::pin;
use std::time::Duration;

/// Maximum bytes of an oversized body that are read and discarded, such as a file sent to the wrong
/// route.
const DRAIN_BYTES: usize = 256 << 20;
/// How long that may take.
const DRAIN_TIME: Duration = Duration::from_secs(5);

impl Gateway {
    /// The request with its whole body, unpacked, within the bounds of size and time; and room for
    /// its bytes, to be held for as long as they or what is made of them are there.
    ///
    /// # Errors
    /// When the body is too large, too slow, breaks off, or there is no memory for it.
    pub(crate) async fn with_whole_body(
        &self,
        request: Request,
        body_use: BodyUse,
    ) -> Result<(Request, Held), Problem> {
        let mut held = Held::default();
        if request.body().is_end_stream() {
            return Ok((request, held));
        }
        let (mut parts, mut body) = request.into_parts();
        if body_use == BodyUse::Ignored {
            waiting(drain(&mut body)).await;
            return Ok((Request::from_parts(parts, Body::empty()), held));
        }
        let limit = self.config.body_limit;
        let too_large = || {
            Problem::new(
                ErrorCode::PayloadTooLarge,
                format!("The body is larger than {limit} bytes."),
            )
        };
        let announced = parts
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|it| it > limit as u64) {
            // With `Expect: 100-continue` the client has not sent the body yet, and reading would start it.
            if !parts.headers.contains_key(header::EXPECT) {
                waiting(drain(&mut body)).await;
            }
            return Err(too_large());
        }
        let coding = match Coding::of(&parts.headers) {
            Ok(coding) => coding,
            Err(unsupported) => {
                waiting(drain(&mut body)).await;
                return Err(unsupported);
            }
        };
        let whole = {
            let whole = async {
                let sent = collect(&mut body, limit, &mut held).await?;
                match coding {
                    None => Ok(sent),
                    // In a box: plain bodies would carry the room for its state along.
                    Some(coding) => Box::pin(coding.unpack(&sent, limit, &mut held)).await,
                }
            };
            let whole = pin!(tokio::time::timeout(self.config.body_timeout, whole));
            waiting(whole).await
        };
        match whole {
            Ok(Ok(bytes)) => {
                if coding.is_some() {
                    parts.headers.remove(header::CONTENT_ENCODING);
                    let length = HeaderValue::from(bytes.len());
                    parts.headers.insert(header::CONTENT_LENGTH, length);
                }
                Ok((Request::from_parts(parts, Body::from(bytes)), held))
            }
            Ok(Err(Unread::TooLarge)) => {
                waiting(drain(&mut body)).await;
                Err(too_large())
            }
            Ok(Err(Unread::NoMemory)) => Err(no_memory()),
            Ok(Err(Unread::NotCompressed(error))) => Err(Problem::invalid(format!(
                "The body cannot be decompressed: {error}."
            ))),
            Ok(Err(Unread::BrokenOff(error))) => {
                Err(Problem::invalid(format!("The body ended early: {error}.")))
            }
            Err(_) => Err(Problem::new(
                ErrorCode::RequestTimeout,
                format!(
                    "The body did not arrive within {} s.",
                    self.config.body_timeout.as_secs_f64()
                ),
            )),
        }
    }
}

/// The whole body, for which `held` has room then.
async fn collect(body: &mut Body, limit: usize, held: &mut Held) -> Result<Bytes, Unread> {
    let mut bytes = BytesMut::new();
    let announced = body.size_hint().upper();
    let announced = announced.and_then(|it| usize::try_from(it).ok());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Unread::BrokenOff)?.into_data() else {
            continue; // trailers say nothing that we need
        };
        let length = bytes.len() + data.len();
        if length > limit {
            return Err(Unread::TooLarge);
        }
        held.grow(length).map_err(|_| Unread::NoMemory)?;
        if bytes.is_empty() && body.is_end_stream() {
            return Ok(data); // the usual body: one piece, not copied
        }
        if bytes.is_empty() {
            // Reserved once: growing would hold it twice. Untouched pages cost nothing.
            bytes.reserve(announced.unwrap_or(0).saturating_add(data.len()).min(limit));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

/// Reads and discards the rest, within limits: many clients read the response only after sending the
/// whole body, and would see a broken connection otherwise.
pub(crate) async fn drain(body: &mut Body) {
    let rest = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DRAIN_BYTES {
                return;
            }
        }
    };
    // Slower clients still get the response; the connection closes after it.
    let _ = tokio::time::timeout(DRAIN_TIME, rest).await;
}
