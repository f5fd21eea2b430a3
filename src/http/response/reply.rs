//! Answers of the control plane: JSON that says which sequence it has seen.
use super::error::Problem;
use crate::domain::ids::Sequence;
use crate::http::middleware::admission::no_memory;
use crate::shares::Held;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;

const SEQUENCE: HeaderName = HeaderName::from_static("x-dbforge-sequence");

/// A JSON answer; compact, as every answer is.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => json_text(status, body),
        Err(error) => Problem::internal(error).into_response(),
    }
}

/// An answer of what is JSON already.
pub(crate) fn json_text(status: StatusCode, body: Vec<u8>) -> Response {
    let json = HeaderValue::from_static("application/json");
    let counted = counted(body).map(|body| (status, [(header::CONTENT_TYPE, json)], body));
    counted.into_response()
}

/// The bytes of an answer, counted until they are sent.
///
/// # Errors
/// When there is no room for them.
pub(crate) fn counted(body: Vec<u8>) -> Result<Bytes, Problem> {
    let mut held = Held::default();
    held.grow(body.len()).map_err(|_| no_memory())?;
    Ok(held.keep(body))
}

/// What a control-plane answer says about itself besides its body.
pub(crate) trait Marked {
    /// The end of the log that the answer has seen.
    fn seen(self, sequence: Sequence) -> Self;
    /// The same where the answer does not say which it has seen.
    fn seen_at_least(self, sequence: Sequence) -> Self;
    /// The last event about the resource that is shown.
    fn etag(self, sequence: Sequence) -> Self;
    /// One more header, of visible ASCII.
    fn with(self, name: HeaderName, value: &str) -> Self;
}

impl Marked for Response {
    fn seen(mut self, sequence: Sequence) -> Self {
        self.headers_mut().insert(SEQUENCE, sequence.0.into());
        self
    }

    fn seen_at_least(self, sequence: Sequence) -> Self {
        if self.headers().contains_key(SEQUENCE) {
            return self;
        }
        self.seen(sequence)
    }

    fn etag(self, sequence: Sequence) -> Self {
        self.with(header::ETAG, &format!("\"e{sequence}\""))
    }

    fn with(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers_mut().insert(name, value);
                self
            }
            Err(error) => Problem::internal(error).into_response(),
        }
    }
}
