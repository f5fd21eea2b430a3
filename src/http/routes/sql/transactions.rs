//! Transactions of several requests: begin, statements, commit, roll back.
use super::batch::{
    BatchBody, BatchResult, ScriptParameters, ScriptResult, batch_answer, place_in_script,
    script_answer, whole_or,
};
use super::{QueryBody, QueryResult, check_bound, milliseconds, sql_access, written};
use crate::clock::Stopwatch;
use crate::clock::timestamp::Timestamp;
use crate::data::{
    Access, BatchMode, BegunTransaction, NewTransaction, TransactionBatchError, TransactionEnd,
    TransactionError, TransactionKey, TransactionMode,
};
use crate::domain::ids::DatabaseId;
use crate::http::Gateway;
use crate::http::extract::forms;
use crate::http::extract::{JsonBody, NoFields, NoParameters, PathParts, StrictQuery, TextBody};
use crate::http::middleware::admission::share::Share;
use crate::http::middleware::auth::Caller;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::refusals::sentence;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
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
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    timeout_ms: Option<u64>,
    /// Most milliseconds that it may wait for its next request; 10,000 when not given, and at
    /// most.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 10_000)]
    idle_timeout_ms: Option<u64>,
    /// Most milliseconds that it may last in all; 60,000 when not given, and at most.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    total_timeout_ms: Option<u64>,
}

/// What a transaction holds.
#[derive(Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ModeWord {
    /// The place of the one writer, from its start: other writes wait.
    #[default]
    Immediate,
    /// Nothing until its first statement, the place of the writer from its first write on. That
    /// is refused when others have changed what it has read.
    Deferred,
    /// What was there when it began; writers do not wait for it.
    Readonly,
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
    let access = sql_access(&caller)?;
    if access == Access::ReadOnly && matches!(body.mode, ModeWord::Immediate) {
        let detail = "A transaction that holds the writer needs the scope `write`.";
        return Err(Problem::new(ErrorCode::ReadOnly, detail).hint("`\"mode\":\"readonly\"` reads"));
    }
    let bounds = gateway.data.config();
    let bounded = |name: &str, value: Option<u64>, most: Duration| {
        check_bound(name, value, milliseconds(most))?;
        Ok::<_, Problem>(value.map(Duration::from_millis))
    };
    let new = NewTransaction {
        mode: match body.mode {
            ModeWord::Immediate => TransactionMode::Immediate,
            ModeWord::Deferred => TransactionMode::Deferred,
            ModeWord::Readonly => TransactionMode::ReadOnly,
        },
        owner: caller.token_id(),
        access,
        wait: bounded("timeout_ms", body.timeout_ms, bounds.largest_timeout)?,
        idle: bounded(
            "idle_timeout_ms",
            body.idle_timeout_ms,
            bounds.transaction_idle,
        )?,
        total: bounded(
            "total_timeout_ms",
            body.total_timeout_ms,
            bounds.transaction_total,
        )?,
    };
    let entered = gateway.enter(&caller, &reference).await?;
    let clock = gateway.control.clock();
    let begun = gateway
        .data
        .begin(&entered.guard, &entered.target, new, clock.as_ref())
        .await?;
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
    let access = sql_access(&caller)?;
    let request = body.into_request(access, gateway.data.config())?;
    let key = living_key(&gateway, &caller, &reference, &id).await?;
    let stopwatch = Stopwatch::start();
    let clock = gateway.control.clock();
    let answer = gateway.data.query_in(&key, request, clock.as_ref());
    let answer = async { answer.await.map_err(Problem::from) };
    let answer = gateway.while_living(key.database, answer).await?;
    Ok(written(answer, stopwatch.elapsed()))
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
    let access = sql_access(&caller)?;
    let batch = body.into_batch(access, gateway.data.config())?;
    let key = living_key(&gateway, &caller, &reference, &id).await?;
    let stopwatch = Stopwatch::start();
    let clock = gateway.control.clock();
    let (statements, mode, options) = (batch.statements, batch.mode, batch.options);
    let data = &gateway.data;
    let ran = data.batch_in(&key, statements, mode, options, clock.as_ref());
    let ran = async {
        ran.await.map_err(|failure| {
            let place = failure.statement.map(|it| format!("statement {it}"));
            let said = match mode {
                BatchMode::Immediate | BatchMode::Deferred => "nothing of the batch is kept",
                BatchMode::None => "the statements before it are kept in the transaction",
            };
            batch_problem(failure, place, said, None)
        })
    };
    let answers = gateway.while_living(key.database, ran).await?;
    Ok(batch_answer(answers, stopwatch))
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
    let options = parameters.into_options(&caller, gateway.data.config())?;
    let key = living_key(&gateway, &caller, &reference, &id).await?;
    let stopwatch = Stopwatch::start();
    let clock = gateway.control.clock();
    let ran = gateway
        .data
        .script_in(&key, &script, options, clock.as_ref());
    let ran = async {
        ran.await.map_err(|error| {
            let place = (error.failure.statement)
                .map(|statement| place_in_script(statement, error.offset, &script));
            let said = "nothing of the script is kept";
            batch_problem(error.failure, place, said, Some(error.offset))
        })
    };
    let answers = gateway.while_living(key.database, ran).await?;
    Ok(script_answer(&answers, stopwatch))
}

/// The problem of one statement of several in a transaction.
fn batch_problem(
    failure: TransactionBatchError,
    place: Option<String>,
    said: &str,
    offset: Option<usize>,
) -> Problem {
    let kept = failure.kept;
    let (Some(statement), Some(place)) = (failure.statement, place) else {
        return failure.error.into();
    };
    let problem = match failure.error {
        TransactionError::Query(error) => whole_or(error, &place, said),
        other => other.into(),
    };
    problem.at_statement(statement, kept, offset)
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
    sql_access(&caller)?;
    let key = living_key(&gateway, &caller, &reference, &id).await?;
    let clock = gateway.control.clock();
    gateway.data.commit(&key, clock.as_ref()).await?;
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
    sql_access(&caller)?;
    let key = key(&gateway, &caller, &reference, &id)?;
    let clock = gateway.control.clock();
    gateway.data.roll_back(&key, clock.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What names a transaction: all of it has to fit. The gate is not asked: the transaction holds
/// it, and who waits to take it waits for the transaction.
fn key<'k>(
    gateway: &Gateway,
    caller: &Caller,
    reference: &str,
    id: &'k str,
) -> Result<TransactionKey<'k>, Problem> {
    let present = gateway.control.present();
    let database: DatabaseId = caller.find_database(&present.state, reference)?.id;
    Ok(TransactionKey {
        id,
        database,
        owner: caller.token_id(),
    })
}

/// The same, of a database whose time is not over; else the transaction is rolled back.
async fn living_key<'k>(
    gateway: &Gateway,
    caller: &Caller,
    reference: &str,
    id: &'k str,
) -> Result<TransactionKey<'k>, Problem> {
    let key = key(gateway, caller, reference, id)?;
    let present = gateway.control.present();
    if let Some(database) = present.state.database(key.database)
        && let Err(expired) = gateway.refuse_expired(database)
    {
        let clock = gateway.control.clock();
        // One that has ended already has nothing to take back.
        let _ = gateway.data.roll_back(&key, clock.as_ref()).await;
        return Err(expired);
    }
    Ok(key)
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

impl From<TransactionError> for Problem {
    fn from(error: TransactionError) -> Self {
        let detail = sentence(&error);
        match error {
            TransactionError::NotFound => Self::new(ErrorCode::TransactionNotFound, detail)
                .hint("POST /v1/databases/{db}/transactions begins one"),
            TransactionError::Ended(TransactionEnd::Stopping) => {
                Self::new(ErrorCode::Stopping, detail)
            }
            TransactionError::Ended(_) => Self::new(ErrorCode::TransactionEnded, detail)
                .hint("begin another, and do all of it again if it was not committed"),
            TransactionError::TooMany { .. } => Self::new(ErrorCode::Overloaded, detail),
            TransactionError::ShareTaken { open } => Self::new(ErrorCode::RateLimited, detail)
                .of_share(Share::of_transactions(open))
                .hint("end some of them before you begin others"),
            TransactionError::Outdated => Self::new(ErrorCode::DatabaseLocked, detail)
                .hint("roll it back and begin again; `\"mode\":\"immediate\"` cannot meet this")
                .lasting(),
            TransactionError::Query(error) => error.into(),
            TransactionError::RolledBack(error) => {
                let hint = error
                    .hint()
                    .map_or_else(String::new, |it| format!("; {it}"));
                Self::from(error).hint(format!("the transaction was rolled back{hint}"))
            }
        }
    }
}
