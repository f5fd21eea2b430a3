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
/// All of them are kept, or none; with `"transaction":"none"` those before the first that fails.
/// A problem names the statement that failed, counted from 0, in `statement`, and in `kept` how
/// many before it are kept.
#[utoipa::path(post, path = "/v1/databases/{db}/batch", tag = "sql",
    params(("db" = String, Path, description = "A name or an id")),
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
    let ran = gateway.service.batch(&caller, &reference, body.into());
    Ok(rows::batch(ran.await?, since))
}

/// Run a script
///
/// Statements with `;` between them, in one transaction: all of them are kept, or none. At most
/// 10,000 statements, without parameters; rows that they return are left out. A problem names the
/// statement that failed, counted from 0, in `statement`, and the byte where it begins in
/// `offset`.
#[utoipa::path(post, path = "/v1/databases/{db}/script", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"), ScriptParameters),
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
