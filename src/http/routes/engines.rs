//! The kinds of database that can be made here.
use crate::engine::Engine;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::openapi::words;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::http::response::views::database::LimitsView;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Available engines.
#[derive(Serialize, ToSchema)]
pub(super) struct Engines {
    data: Vec<EngineView>,
}

/// A database engine.
#[derive(Serialize, ToSchema)]
#[schema(as = Engine)]
struct EngineView {
    #[schema(value_type = words::EngineName)]
    name: &'static str,
    /// Whether databases of it can be created and started here.
    available: bool,
    /// Why they cannot, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Its version here: `15.18`; absent where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// What clients may speak to its databases.
    protocols: Vec<&'static str>,
    /// What its databases can do beside SQL over HTTP.
    capabilities: Vec<&'static str>,
    limits: EngineLimits,
}

/// Limits of an engine's databases.
#[derive(Serialize, ToSchema)]
struct EngineLimits {
    /// What a database may use when its creator does not say.
    default: LimitsView,
    /// The least that can be set.
    least: LimitsView,
}

/// List engines
#[utoipa::path(get, path = "/v1/engines", tag = "databases",
    responses((status = 200, body = Engines)))]
pub(super) async fn list_engines(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let engines = gateway.service.data.engines().all().iter();
    let view = |engine: &Arc<dyn Engine>| {
        let (found, capabilities) = (engine.availability(), engine.capabilities());
        EngineView {
            name: engine.name(),
            available: found.trouble.is_none(),
            reason: found.trouble,
            version: found.version,
            protocols: capabilities.protocols.to_vec(),
            capabilities: capabilities.words(),
            limits: EngineLimits {
                default: capabilities.default_limits.into(),
                least: capabilities.least_limits.into(),
            },
        }
    };
    let data = engines.map(view).collect();
    Ok(reply::json(StatusCode::OK, &Engines { data }))
}
