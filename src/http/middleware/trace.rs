//! Request id, tracing span, metrics and error responses, around every request.
use super::access_log::AccessLine;
use crate::clock::{Milliseconds, Stopwatch};
use crate::domain::ids::RequestId;
use crate::http::Gateway;
use crate::http::metrics::CountsByMethod;
use crate::http::response::error::{ErrorCode, Problem};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use futures_util::FutureExt as _;
use std::any::Any;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use tracing::Instrument;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Below this, errors have members that clients of PostgREST read.
const POSTGREST: &str = "/v1/databases/{db}/rest/";

/// What a page of this server may load: its own files. Swagger UI writes styles into its page, and
/// has small images in them.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
);

/// Where a request is counted and how it is logged.
pub(super) struct Observed<'r> {
    /// The path of its route.
    pub(super) route: &'r str,
    pub(super) counts: &'r CountsByMethod,
    /// The database that it names, where that is logged.
    pub(super) database: Option<String>,
}

/// Answers a request through `answer`.
pub(super) async fn observe<F: Future<Output = Response>>(
    gateway: &Gateway,
    observed: Observed<'_>,
    peer: Option<IpAddr>,
    mut request: Request,
    answer: impl FnOnce(RequestId, Request) -> F,
) -> Response {
    let Observed {
        route,
        counts,
        database,
    } = observed;
    let stopwatch = Stopwatch::start();
    let id = taken_id(request.headers()).unwrap_or_else(|| gateway.service.control.fresh_request());
    let method = request.method().clone();
    let line = gateway.config.access_log.then(|| {
        let client = gateway.source(peer, request.headers());
        AccessLine::begin(&mut request, stopwatch, id, client, database)
    });
    // A debug span: created for every request, it would cost a point read 5 % of its time.
    let span = tracing::debug_span!(
        "request",
        request.id = %id,
        http.method = %method,
        http.route = route,
        trace.id = trace_id(request.headers()),
        client.address = gateway
            .source(peer, request.headers())
            .map(tracing::field::display),
    );

    // Pinned, it is not copied into what is wrapped around it.
    let answer = pin!(answer(id, request));
    let answered = AssertUnwindSafe(answer.instrument(span.clone()));
    let mut response = answered.catch_unwind().await.unwrap_or_else(after_panic);
    let mut problem = response.extensions_mut().remove::<Problem>();
    if route.starts_with(POSTGREST) {
        problem = problem.map(Problem::with_postgrest_members);
    }
    if let Some(problem) = &problem {
        response = problem.write(id.to_string(), response.headers());
    }
    let elapsed = stopwatch.elapsed();
    let headers = response.headers_mut();
    headers.insert(REQUEST_ID, header_value(id.to_string()));
    let timing = format!("total;dur={}", Milliseconds(elapsed));
    headers.append(SERVER_TIMING, header_value(timing));
    fence_in_browsers(headers);

    let status = response.status().as_u16();
    let code = problem.as_ref().map(Problem::code);
    counts.count(&gateway.metrics, (&method, route), status, code, elapsed);
    let duration_ms = Milliseconds(elapsed).number();
    if let Some(cause) = problem.as_ref().and_then(Problem::cause) {
        tracing::error!(
            request.id = %id,
            http.method = %method,
            http.route = route,
            http.status = status,
            error.code = code.map(ErrorCode::as_str),
            duration_ms,
            cause,
            "internal error"
        );
    }
    tracing::debug!(
        parent: &span,
        http.status = status,
        error.code = code.map(ErrorCode::as_str),
        duration_ms,
        "{method} {route} answered {status}"
    );
    match line {
        Some(line) => line.follow(response),
        None => response,
    }
}

/// Security headers: no MIME sniffing, and no foreign content in pages.
fn fence_in_browsers(headers: &mut HeaderMap) {
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    let content_type = headers.get(header::CONTENT_TYPE);
    if content_type.is_some_and(|it| it.as_bytes().starts_with(b"text/html")) {
        headers.insert(header::CONTENT_SECURITY_POLICY, PAGE_POLICY);
    }
}

/// The response to a request whose handler panicked.
fn after_panic(payload: Box<dyn Any + Send + 'static>) -> Response {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a text");
    axum::response::IntoResponse::into_response(Problem::internal(message))
}

/// The caller's own id, where it is a UUID.
fn taken_id(headers: &HeaderMap) -> Option<RequestId> {
    headers.get(REQUEST_ID)?.to_str().ok()?.parse().ok()
}

/// The trace id of a W3C `traceparent` (`00-<32 hex>-<16 hex>-<2 hex>`).
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let (_version, trace) = (parts.next()?, parts.next()?);
    let is_hex = trace.bytes().all(|it| it.is_ascii_hexdigit());
    (trace.len() == 32 && is_hex && parts.count() >= 2).then_some(trace)
}

fn header_value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("ids and times are visible ASCII")
}
