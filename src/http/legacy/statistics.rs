//! Statistics in the legacy API's shapes.
use super::machine;
use super::machine::{Usage, percent};
use crate::clock::timestamp::Timestamp;
use crate::domain::database::Condition;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// What the gateway has counted since it started.
#[derive(Serialize, ToSchema)]
struct GatewayStatistics {
    uptime_seconds: f64,
    total_requests: u64,
    /// Answers that were problems.
    total_errors: u64,
    /// By method and route: `GET /admin/databases`.
    requests_by_endpoint: BTreeMap<String, u64>,
    /// By the problem's code.
    errors_by_type: BTreeMap<&'static str, u64>,
}

/// What can be measured of the whole.
#[derive(Serialize, ToSchema)]
struct Statistics {
    system: SystemStatistics,
    databases: DatabaseStatistics,
    api_metrics: ApiMetrics,
}

/// Null where the machine does not tell.
#[derive(Serialize, ToSchema)]
struct SystemStatistics {
    #[schema(value_type = String)]
    timestamp: Timestamp,
    uptime_seconds: f64,
    /// What this process holds, and what the machine could still give.
    #[schema(required = true)]
    memory_usage: Option<Usage>,
    /// Processor time of this process for each second since it started; 100 is one processor.
    #[schema(required = true)]
    cpu_usage_percent: Option<f64>,
    /// The disk that holds everything.
    #[schema(required = true)]
    disk_usage: Option<Usage>,
}

/// Databases that are not in the trash.
#[derive(Serialize, ToSchema)]
struct DatabaseStatistics {
    total_count: usize,
    running_count: usize,
    stopped_count: usize,
    total_size_bytes: u64,
    average_size_bytes: u64,
}

/// Requests since the start.
#[derive(Serialize, ToSchema)]
struct ApiMetrics {
    total_requests: u64,
    requests_per_second: f64,
    average_response_time_ms: f64,
    error_rate_percent: f64,
}

/// What the gateway has counted
#[utoipa::path(get, path = "/admin/gateway/stats", tag = "original",
    responses((status = 200, body = GatewayStatistics)))]
pub(in crate::http) async fn show_gateway_statistics(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    let by_route = gateway.metrics.by_route();
    let errors_by_type = gateway.metrics.by_code();
    let statistics = GatewayStatistics {
        uptime_seconds: gateway.service.uptime().as_secs_f64(),
        total_requests: by_route.values().map(|it| it.total()).sum(),
        total_errors: errors_by_type.values().sum(),
        requests_by_endpoint: by_route
            .iter()
            .map(|((method, route), counts)| (format!("{method} {route}"), counts.total()))
            .collect(),
        errors_by_type,
    };
    Ok(reply::json(StatusCode::OK, &statistics))
}

/// What can be measured of the whole
#[utoipa::path(get, path = "/admin/stats", tag = "original",
    responses((status = 200, body = Statistics)))]
pub(in crate::http) async fn show_statistics(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.require(Scope::Manage)?;
    caller.require_all()?;
    // Looks at a file or two of every database.
    let measured = tokio::task::spawn_blocking(move || gateway.measure()).await;
    Ok(reply::json(
        StatusCode::OK,
        &measured.map_err(Problem::internal)?,
    ))
}

impl Gateway {
    fn measure(&self) -> Statistics {
        Statistics {
            system: self.measure_system(),
            databases: self.measure_databases(),
            api_metrics: self.measure_requests(),
        }
    }

    fn measure_system(&self) -> SystemStatistics {
        let uptime_seconds = self.service.uptime().as_secs_f64();
        let of_uptime = |used: f64| hundredths(used / uptime_seconds * 100.0);
        SystemStatistics {
            timestamp: self.service.control.clock().now(),
            uptime_seconds,
            memory_usage: machine::memory(),
            cpu_usage_percent: machine::processor_seconds().map(of_uptime),
            disk_usage: machine::disk(self.service.data.folders().root()),
        }
    }

    fn measure_databases(&self) -> DatabaseStatistics {
        let current = self.service.control.current();
        let living: Vec<_> = current
            .state
            .databases()
            .filter(|it| it.is_living())
            .collect();
        let count = |condition| {
            living
                .iter()
                .filter(|database| database.condition == condition)
                .count()
        };
        let total_size_bytes: u64 = living
            .iter()
            .map(|it| self.service.data.size_bytes(it))
            .sum();
        DatabaseStatistics {
            total_count: living.len(),
            running_count: count(Condition::Ready),
            stopped_count: count(Condition::Stopped),
            total_size_bytes,
            average_size_bytes: total_size_bytes
                .checked_div(living.len() as u64)
                .unwrap_or_default(),
        }
    }

    fn measure_requests(&self) -> ApiMetrics {
        let by_route = self.metrics.by_route();
        let total: u64 = by_route.values().map(|it| it.total()).sum();
        let seconds: f64 = by_route.values().map(|it| it.seconds()).sum();
        let errors: u64 = self.metrics.by_code().values().sum();
        ApiMetrics {
            total_requests: total,
            requests_per_second: hundredths(total as f64 / self.service.uptime().as_secs_f64()),
            average_response_time_ms: if total == 0 {
                0.0
            } else {
                hundredths(seconds / total as f64 * 1_000.0)
            },
            error_rate_percent: percent(errors, total),
        }
    }
}

fn hundredths(it: f64) -> f64 {
    (it * 100.0).round() / 100.0
}
