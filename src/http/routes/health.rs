//! Liveness, readiness and metrics.
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::metrics;
use crate::http::openapi::words;
use crate::http::ready::Checks;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The process answers.
#[derive(Serialize, ToSchema)]
struct Alive {
    #[schema(example = "alive")]
    status: &'static str,
}

/// Readiness of the gateway.
#[derive(Serialize, ToSchema)]
struct Readiness {
    #[schema(value_type = words::ReadinessStatus)]
    status: &'static str,
    checks: Checks,
}

/// Check that the process is alive
///
/// Checks nothing else: SQL may work while commands do not.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, body = Alive)))]
pub(crate) async fn check_health(_: StrictQuery<NoParameters>) -> Response {
    reply::json(StatusCode::OK, &Alive { status: "alive" })
}

/// Check readiness
///
/// Ready when the event log is writable, the container runtime is reachable, the disk has free
/// space, the data folders are in place, and the lists are up to date.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()),
    responses((status = 200, body = Readiness), (status = 503, body = Readiness)))]
pub(crate) async fn check_readiness(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
) -> Response {
    let checks = Checks::of(&gateway).await;
    let (word, status) = match checks.are_ok() {
        true => ("ready", StatusCode::OK),
        false => ("not_ready", StatusCode::SERVICE_UNAVAILABLE),
    };
    let readiness = Readiness {
        status: word,
        checks,
    };
    reply::json(status, &readiness)
}

/// The media type of `OpenMetrics`, which Prometheus prefers.
const OPEN_METRICS: &str = "application/openmetrics-text";

/// Show Prometheus metrics
///
/// Counters since the start, and current gauges. In `OpenMetrics` where `Accept` names it.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, body = String, content_type = "text/plain")))]
pub(crate) async fn show_metrics(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    headers: HeaderMap,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let accepted = headers.get_all(header::ACCEPT).iter();
    let is_open_metrics = accepted
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains(OPEN_METRICS));
    let runtime_answers = gateway.service.runtime_answers().await;
    let gathered = tokio::task::spawn_blocking(move || {
        metrics::gather(&gateway, runtime_answers, &caller).write(is_open_metrics)
    });
    let text = gathered.await.map_err(Problem::internal)?;
    let text = text.map_err(Problem::internal)?;
    let content_type = match is_open_metrics {
        true => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        false => "text/plain; version=0.0.4; charset=utf-8",
    };
    let text = reply::counted(text.into_bytes())?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
