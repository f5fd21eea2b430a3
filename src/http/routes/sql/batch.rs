//! Several statements in one request: a batch, a script.
use crate::clock::Stopwatch;
use crate::http::Gateway;
use crate::http::extract::sql::{BatchBody, ScriptParameters};
use crate::http::extract::{JsonBody, NoParameters, PathParts, StrictQuery, TextBody};
use crate::http::response::error::Problem;
use crate::http::response::rows::{self, BatchResult, ScriptResult};
use crate::service::caller::Caller;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

/// Run several statements
///
/// In one transaction: all statements take effect, or none. With `"transaction":"none"`, those before
/// the first failure. Errors give the index of the failed statement in `statement`, and the number
/// of statements that took effect in `kept`.
#[utoipa::path(post, path = "/v1/databases/{db}/batch", tag = "sql",
    params(("db" = String, Path, description = "Name or id")),
    request_body = BatchBody,
    responses((status = 200, body = BatchResult)))]
pub(crate) async fn run_batch(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    JsonBody(body): JsonBody<BatchBody>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let ran = gateway.service.batch(&caller, &reference, body.try_into()?);
    Ok(rows::batch(ran.await?, since))
}

/// Run a script
///
/// Statements separated by `;`, in one transaction: all take effect, or none. At most 10,000
/// statements, without parameters; result rows are discarded. Errors give the index of the failed
/// statement in `statement` and its byte offset in `offset`.
#[utoipa::path(post, path = "/v1/databases/{db}/script", tag = "sql",
    params(("db" = String, Path, description = "Name or id"), ScriptParameters),
    request_body(content = String, content_type = "text/plain",
        example = "CREATE TABLE t (a);\nINSERT INTO t VALUES (1);"),
    responses((status = 200, body = ScriptResult)))]
pub(crate) async fn run_script(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ScriptParameters>,
    TextBody(script): TextBody,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let options = parameters.into();
    let ran = gateway
        .service
        .script(&caller, &reference, &script, options);
    Ok(rows::script(&ran.await?, since))
}
