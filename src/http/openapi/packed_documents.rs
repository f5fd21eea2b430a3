//! Public documents, compressed once and cached.
//!
//! Clients without a token must not make the gateway compress: each unread response would hold a
//! megabyte.
use crate::http::Problem;
use crate::http::middleware::compression::{Encoding, compress};
use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// Each document that was asked for in an encoding, by its path, with its headers. They are few: what
/// is not there is no document.
#[derive(Debug, Default)]
pub(crate) struct PackedDocuments(Mutex<HashMap<(String, Encoding), (HeaderMap, Bytes)>>);

impl PackedDocuments {
    /// The document at a path, compressed where that is wanted and worth it.
    pub(crate) async fn pack(
        &self,
        path: &str,
        response: Response,
        wanted: Option<Encoding>,
    ) -> Response {
        let is_document = response.status() == StatusCode::OK
            && response
                .body()
                .size_hint()
                .exact()
                .is_some_and(|bytes| bytes > 0);
        let Some(encoding) = wanted.filter(|_| is_document) else {
            return compress(response, None);
        };
        let key = (path.to_owned(), encoding);
        // One at a time: concurrent requests find the cached result.
        let mut packed = self.0.lock().await;
        if let Some((headers, bytes)) = packed.get(&key) {
            return (headers.clone(), bytes.clone()).into_response();
        }
        let compressed = compress(response, wanted);
        if !compressed.headers().contains_key(header::CONTENT_ENCODING) {
            return compressed;
        }
        let (parts, body) = compressed.into_parts();
        let bytes = match body.collect().await {
            Ok(whole) => whole.to_bytes(),
            Err(error) => return Problem::internal(error).into_response(),
        };
        packed.insert(key, (parts.headers.clone(), bytes.clone()));
        Response::from_parts(parts, Body::from(bytes))
    }
}
