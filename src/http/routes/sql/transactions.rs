//! Transactions of several requests: begin, statements, commit, roll back.
use crate::clock::Stopwatch;
use crate::clock::timestamp::Timestamp;
use crate::data::{Access, BegunTransaction, Format, NewTransaction};
use crate::http::Gateway;
use crate::http::extract::fields;
use crate::http::extract::sql::{BatchBody, QueryBody, ScriptParameters};
use crate::http::extract::words::ModeWord;
use crate::http::extract::{JsonBody, NoFields, NoParameters, PathParts, StrictQuery, TextBody};
use crate::http::response::error::Problem;
use crate::http::response::reply::{self, Marked};
use crate::http::response::rows::{self, BatchResult, QueryResult, ScriptResult};
use crate::service::caller::Caller;
use crate::service::sql::transactions::TransactionRef;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// Options of a new transaction.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BeginTransaction)]
pub(crate) struct BeginBody {
    /// Transaction mode.
    #[serde(default)]
    mode: ModeWord,
    /// How long to wait for the write lock, in milliseconds.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1)]
    timeout_ms: Option<u64>,
    /// Maximum time between requests, in milliseconds.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1)]
    idle_timeout_ms: Option<u64>,
    /// Maximum total time, in milliseconds.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1)]
    total_timeout_ms: Option<u64>,
}

/// An open transaction.
#[derive(Serialize, ToSchema)]
#[schema(as = Transaction)]
pub(crate) struct TransactionView {
    /// Only the token that began the transaction can use it.
    id: String,
    /// Rolled back at this time unless another request arrives, which extends it.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Rolled back at this time at the latest.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

/// Begin a transaction
///
/// Rolled back when it is idle or open for too long, when a job needs exclusive access to the
/// database, and when the gateway stops.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions", tag = "sql",
    params(("db" = String, Path, description = "Name or id")),
    request_body = BeginBody,
    responses((status = 201, body = TransactionView)))]
pub(crate) async fn begin_transaction(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    JsonBody(body): JsonBody<BeginBody>,
) -> Result<Response, Problem> {
    let new = NewTransaction {
        mode: body.mode.into(),
        owner: None,
        access: Access::ReadOnly,
        wait: body.timeout_ms.map(Duration::from_millis),
        idle: body.idle_timeout_ms.map(Duration::from_millis),
        total: body.total_timeout_ms.map(Duration::from_millis),
    };
    let begun = gateway.service.begin(&caller, &reference, new).await?;
    let path = format!("/v1/databases/{reference}/transactions/{}", begun.id);
    let view = TransactionView::from(begun);
    Ok(reply::json(StatusCode::CREATED, &view).with(header::LOCATION, &path))
}

/// Run one statement in a transaction
///
/// A failed statement has no effect, and the transaction stays open. If the statement was interrupted
/// or ended the transaction itself, it is rolled back; the hint says so.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/query", tag = "sql",
    params(("db" = String, Path, description = "Name or id"),
        ("id" = String, Path, description = "Id of the transaction")),
    request_body = QueryBody,
    responses((status = 200, body = QueryResult)))]
pub(crate) async fn query_in_transaction(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, id)): PathParts<(String, String)>,
    _: StrictQuery<NoParameters>,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let transaction = TransactionRef {
        database: &reference,
        id: &id,
    };
    let answer = gateway
        .service
        .query_in(&caller, transaction, body.try_into()?);
    Ok(rows::whole(answer.await?, Format::Json, since))
}

/// Run several statements in a transaction
///
/// All statements take effect in the transaction, or none; with `"transaction":"none"`, those before
/// the first failure. The transaction stays open unless a statement was interrupted or ended it.
/// SAVEPOINT, RELEASE and ROLLBACK TO are allowed; a batch must not end a savepoint that was set
/// before it.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/batch", tag = "sql",
    params(("db" = String, Path, description = "Name or id"),
        ("id" = String, Path, description = "Id of the transaction")),
    request_body = BatchBody,
    responses((status = 200, body = BatchResult)))]
pub(crate) async fn run_batch_in_transaction(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, id)): PathParts<(String, String)>,
    _: StrictQuery<NoParameters>,
    JsonBody(body): JsonBody<BatchBody>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let transaction = TransactionRef {
        database: &reference,
        id: &id,
    };
    let ran = gateway
        .service
        .batch_in(&caller, transaction, body.try_into()?);
    Ok(rows::batch(ran.await?, since))
}

/// Run a script in a transaction
///
/// Statements separated by `;`: all take effect in the transaction, or none. At most 10,000
/// statements, without parameters; result rows are discarded.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/script", tag = "sql",
    params(("db" = String, Path, description = "Name or id"),
        ("id" = String, Path, description = "Id of the transaction"),
        ScriptParameters),
    request_body(content = String, content_type = "text/plain",
        example = "INSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);"),
    responses((status = 200, body = ScriptResult)))]
pub(crate) async fn run_script_in_transaction(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, id)): PathParts<(String, String)>,
    StrictQuery(parameters): StrictQuery<ScriptParameters>,
    TextBody(script): TextBody,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let transaction = TransactionRef {
        database: &reference,
        id: &id,
    };
    let (service, options) = (&gateway.service, parameters.into());
    let ran = service.script_in(&caller, transaction, &script, options);
    Ok(rows::script(&ran.await?, since))
}

/// Commit a transaction
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/commit", tag = "sql",
    params(("db" = String, Path, description = "Name or id"),
        ("id" = String, Path, description = "Id of the transaction")),
    request_body = NoFields,
    responses((status = 204)))]
pub(crate) async fn commit_transaction(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, id)): PathParts<(String, String)>,
    _: StrictQuery<NoParameters>,
    _: JsonBody<NoFields>,
) -> Result<Response, Problem> {
    let transaction = TransactionRef {
        database: &reference,
        id: &id,
    };
    gateway.service.commit(&caller, transaction).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Roll back a transaction
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/rollback", tag = "sql",
    params(("db" = String, Path, description = "Name or id"),
        ("id" = String, Path, description = "Id of the transaction")),
    request_body = NoFields,
    responses((status = 204)))]
pub(crate) async fn roll_back_transaction(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts((reference, id)): PathParts<(String, String)>,
    _: StrictQuery<NoParameters>,
    _: JsonBody<NoFields>,
) -> Result<Response, Problem> {
    let transaction = TransactionRef {
        database: &reference,
        id: &id,
    };
    gateway.service.roll_back(&caller, transaction).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

impl From<BegunTransaction> for TransactionView {
    fn from(it: BegunTransaction) -> Self {
        Self {
            id: it.id,
            expires_at: it.expires_at,
            ends_at: it.ends_at,
        }
    }
}
