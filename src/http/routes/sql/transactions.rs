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

/// A transaction that is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BeginTransaction)]
pub(crate) struct BeginBody {
    /// What it holds.
    #[serde(default)]
    mode: ModeWord,
    /// Most milliseconds that it waits for its turn to write; 5,000 when not given.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    timeout_ms: Option<u64>,
    /// Most milliseconds that it may wait for its next request; 10,000 when not given, and at
    /// most.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1, maximum = 10_000)]
    idle_timeout_ms: Option<u64>,
    /// Most milliseconds that it may last in all; 60,000 when not given, and at most.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    total_timeout_ms: Option<u64>,
}

/// A transaction that has begun.
#[derive(Serialize, ToSchema)]
#[schema(as = Transaction)]
pub(crate) struct TransactionView {
    /// Known to who began it, and answered to that token alone.
    id: String,
    /// When it is rolled back unless another request comes; each one moves it on.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it is rolled back at the latest.
    #[schema(value_type = String, format = DateTime)]
    ends_at: Timestamp,
}

/// Begin a transaction
///
/// It is rolled back when it waits too long for its next request, when it lasts too long, when a
/// job needs the database's files, and when the gateway stops.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions", tag = "sql",
    params(("db" = String, Path, description = "A name or an id")),
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
/// A statement that fails leaves nothing behind, and the transaction goes on, but for one that is
/// cut or ends transactions by itself: the problem's hint says so.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/query", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"),
        ("id" = String, Path, description = "As it was answered when it began")),
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
    let answer = gateway.service.query_in(&caller, transaction, body.into());
    Ok(rows::whole(answer.await?, Format::Json, since))
}

/// Run several statements in a transaction
///
/// All of them are kept in the transaction, or none; with `"transaction":"none"` those before the
/// first that fails. Either way the transaction goes on, but after a statement that is cut or ends
/// transactions by itself. SAVEPOINT, RELEASE and ROLLBACK TO are statements as others are; of
/// statements that are kept together none may end a savepoint from before.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/batch", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"),
        ("id" = String, Path, description = "As it was answered when it began")),
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
    let ran = gateway.service.batch_in(&caller, transaction, body.into());
    Ok(rows::batch(ran.await?, since))
}

/// Run a script in a transaction
///
/// Statements with `;` between them: all of them are kept in the transaction, or none. At most
/// 10,000 statements, without parameters; rows that they return are left out.
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/script", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"),
        ("id" = String, Path, description = "As it was answered when it began"),
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

/// Keep what a transaction did
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/commit", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"),
        ("id" = String, Path, description = "As it was answered when it began")),
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

/// Take back what a transaction did
#[utoipa::path(post, path = "/v1/databases/{db}/transactions/{id}/rollback", tag = "sql",
    params(("db" = String, Path, description = "A name or an id"),
        ("id" = String, Path, description = "As it was answered when it began")),
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
