//! Pages of other origins in a browser (CORS): which ones may read answers.
//!
//! Never with credentials: a browser sends no cookie and no stored password, a page sends the token.
use crate::config::CorsOrigins;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::response::Response;
use std::convert::Infallible;
use std::time::Duration;
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may remember what a preflight said.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// Headers that a page may send besides those that it always may.
const SENT: [HeaderName; 10] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("prefer"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-request-id"),
];
/// Headers that a page may read besides those that it always may.
const READ: [HeaderName; 13] = [
    header::ALLOW,
    header::ETAG,
    header::LOCATION,
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("idempotent-replayed"),
    HeaderName::from_static("preference-applied"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    HeaderName::from_static("server-timing"),
    HeaderName::from_static("x-dbforge-sequence"),
    HeaderName::from_static("x-dbforge-truncated"),
    HeaderName::from_static("x-request-id"),
];

/// What pages of other origins are told; nothing where none is allowed.
#[derive(Debug, Clone)]
pub(super) struct Cors(Option<CorsLayer>);

impl Cors {
    pub(super) fn new(origins: &CorsOrigins) -> Self {
        if origins.is_empty() {
            return Self(None);
        }
        let origins = origins.clone();
        let is_allowed = move |origin: &HeaderValue, _: &_| origins.allow(origin.as_bytes());
        let layer = CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(is_allowed))
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers(SENT)
            .expose_headers(READ)
            .vary([header::ORIGIN])
            .max_age(PREFLIGHT_AGE);
        Self(Some(layer))
    }

    /// Answers a preflight itself, and any other request through `answer`.
    pub(super) async fn within<F: Future<Output = Response>>(
        &self,
        request: Request,
        answer: impl FnOnce(Request) -> F,
    ) -> Response {
        let Some(layer) = self.0.as_ref().filter(|_| !is_plain_options(&request)) else {
            return answer(request).await;
        };
        let mut answer = Some(answer);
        let inner = service_fn(|request| {
            let answer = answer.take().expect("a request is answered once");
            let answered = answer(request);
            async { Ok::<_, Infallible>(answered.await) }
        });
        let Ok(response) = Box::pin(layer.layer(inner).oneshot(request)).await;
        response
    }
}

/// `OPTIONS` that is no preflight: it gets 405, as without CORS.
fn is_plain_options(request: &Request) -> bool {
    let asked = header::ACCESS_CONTROL_REQUEST_METHOD;
    request.method() == Method::OPTIONS && !request.headers().contains_key(asked)
}
