//! The kinds of database that can be made here.
use crate::engine::Engine;
use crate::http::Gateway;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::openapi::words;
use crate::http::response::error::Problem;
use crate::http::response::reply;
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
    let view = |engine: &Arc<dyn Engine>| EngineView {
        name: engine.name(),
    };
    let data = engines.map(view).collect();
    Ok(reply::json(StatusCode::OK, &Engines { data }))
}
