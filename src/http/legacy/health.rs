//! Health in the legacy API's words.
use super::machine;
use crate::clock::timestamp::Timestamp;
use crate::http::Gateway;
use crate::http::response::reply;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// How the forge is.
#[derive(Serialize, ToSchema)]
struct OriginalHealth {
    /// `healthy` or `unhealthy`.
    status: &'static str,
    #[schema(value_type = String)]
    timestamp: Timestamp,
    version: &'static str,
    uptime_seconds: f64,
    checks: OriginalChecks,
    /// What is not well; left out when everything is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<&'static str>,
}

/// Each part is `ok` or `error`.
#[derive(Serialize, ToSchema)]
struct OriginalChecks {
    /// Whether commands can be kept.
    event_log: &'static str,
    /// Whether what runs the workers answers.
    runtime: &'static str,
    /// Whether the disk has room.
    filesystem: &'static str,
}

/// Whether the forge is well
#[utoipa::path(get, path = "/health", tag = "original",
    responses((status = 200, body = OriginalHealth), (status = 503, body = OriginalHealth)))]
pub(in crate::http) async fn show_health(State(gateway): State<Arc<Gateway>>) -> Response {
    let takes_events = gateway.service.control.current().read_only.is_none();
    let answers = gateway.service.runtime_answers().await;
    let has_room =
        machine::disk(gateway.service.data.folders().root()).is_some_and(|it| it.has_room());
    let mut errors = Vec::new();
    let mut check = |ok, error| {
        if ok {
            return "ok";
        }
        errors.push(error);
        "error"
    };
    let checks = OriginalChecks {
        event_log: check(takes_events, "the event log is read-only"),
        runtime: check(answers, "what runs the workers does not answer"),
        filesystem: check(has_room, "the disk is full or does not answer"),
    };
    let (status, word) = if errors.is_empty() {
        (StatusCode::OK, "healthy")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unhealthy")
    };
    let health = OriginalHealth {
        status: word,
        timestamp: gateway.service.control.clock().now(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: gateway.service.uptime().as_secs_f64(),
        checks,
        errors,
    };
    reply::json(status, &health)
}
