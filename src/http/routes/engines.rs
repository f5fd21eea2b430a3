//! The kinds of database that can be made here.
use crate::engine::registry;
use crate::http::extract::{NoParameters, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

/// Every engine.
#[derive(Serialize, ToSchema)]
pub(super) struct Engines {
    data: Vec<EngineView>,
}

/// A kind of database.
#[derive(Serialize, ToSchema)]
#[schema(as = Engine)]
struct EngineView {
    #[schema(example = "sqlite")]
    name: &'static str,
}

/// List engines
#[utoipa::path(get, path = "/v1/engines", tag = "databases",
    responses((status = 200, body = Engines)))]
pub(super) async fn list_engines(
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let engines = registry::all().iter();
    let data = engines.map(|it| EngineView { name: it.name() }).collect();
    Ok(reply::json(StatusCode::OK, &Engines { data }))
}
