//! Several statements in one request: a batch, a script.
use super::{Int64Word, OptionWords, QueryResult, ShapeWord, sql_access, written_json};
use crate::clock::Stopwatch;
use crate::data::{
    Access, BatchError, BatchMode, BatchStatement, DataConfig, Params, QueryAnswer, QueryError,
    QueryOptions,
};
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::forms;
use crate::http::extract::{JsonBody, NoParameters, PathParts, StrictQuery, TextBody};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::pieces::Pieces;
use crate::http::response::reply;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Statements that run in order, and how their answers are to look.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody {
    /// At most 1,000.
    #[schema(max_items = 1000)]
    statements: Vec<StatementBody>,
    /// What keeps them together.
    #[serde(default)]
    transaction: BatchWord,
    /// Refuse statements that would change something.
    #[serde(default)]
    readonly: bool,
    /// Most milliseconds that all of them may take; 5,000 when not given, at most 60,000.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 60_000)]
    timeout_ms: Option<u64>,
    /// Rows of each answer after which it ends and says `truncated`.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 100_000)]
    max_rows: Option<u64>,
    /// Most bytes of all answers; 4 MiB when not given, at most 64 MiB.
    #[serde(default, deserialize_with = "forms::whole")]
    #[schema(minimum = 1, maximum = 67_108_864)]
    max_bytes: Option<u64>,
    /// How integers beyond ±(2^53 − 1) are written.
    #[serde(default)]
    int64: Int64Word,
    /// Rows as lists or as objects.
    #[serde(default)]
    shape: ShapeWord,
}

/// One statement of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StatementBody {
    /// One SQL statement.
    #[schema(example = "INSERT INTO customers (name) VALUES (?1)")]
    sql: String,
    /// Values for its parameters: a list, or an object by name.
    #[serde(default)]
    #[schema(schema_with = schemas::parameters, example = json!(["Ann"]))]
    params: Params,
}

/// What keeps the statements of a batch together.
#[derive(Default, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum BatchWord {
    /// One transaction, which waits for its turn to write before it begins.
    #[default]
    Immediate,
    /// One transaction, which waits for its turn only if it writes.
    Deferred,
    /// Nothing: each statement is kept or not by itself; the first that fails is the last.
    None,
}

/// A batch as the data plane takes it.
pub(crate) struct Batch {
    pub(crate) statements: Vec<BatchStatement>,
    pub(crate) mode: BatchMode,
    pub(crate) options: QueryOptions,
}

impl BatchBody {
    pub(crate) fn into_batch(self, access: Access, bounds: &DataConfig) -> Result<Batch, Problem> {
        let words = OptionWords {
            readonly: self.readonly,
            timeout_ms: self.timeout_ms,
            max_rows: self.max_rows,
            max_bytes: self.max_bytes,
            int64: self.int64,
            shape: self.shape,
        };
        let statements = self.statements.into_iter().map(|it| BatchStatement {
            sql: it.sql.into(),
            params: it.params,
        });
        Ok(Batch {
            statements: statements.collect(),
            mode: match self.transaction {
                BatchWord::Immediate => BatchMode::Immediate,
                BatchWord::Deferred => BatchMode::Deferred,
                BatchWord::None => BatchMode::None,
            },
            options: words.into_options(access, bounds)?,
        })
    }
}

/// The answers, in the order of the statements.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(crate) struct BatchResult {
    results: Vec<QueryResult>,
}

/// How a script runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ScriptParameters {
    /// Most milliseconds that all of it may take; 5,000 when not given, at most 60,000.
    #[param(minimum = 1, maximum = 60_000)]
    timeout_ms: Option<u64>,
}

/// What a script did.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScriptResult {
    /// How many statements ran.
    statements: usize,
    /// Rows that they inserted, updated or deleted.
    rows_affected: u64,
    elapsed_ms: f64,
}

/// Answers of no more bytes than this are copied into one piece, which is sent faster.
const COPIED_BYTES: usize = 64 << 10;

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
    let access = sql_access(&caller)?;
    let Batch {
        statements,
        mode,
        options,
    } = body.into_batch(access, gateway.data.config())?;
    let entered = gateway.enter(&caller, &reference).await?;
    let stopwatch = Stopwatch::start();
    let ran = gateway
        .data
        .batch(&entered.guard, &entered.target, statements, mode, options);
    let ran = async { ran.await.map_err(|error| batch_problem(error, mode)) };
    let answers = gateway.while_living(entered.guard.database(), ran).await?;
    Ok(batch_answer(answers, stopwatch))
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
    let options = parameters.into_options(&caller, gateway.data.config())?;
    let entered = gateway.enter(&caller, &reference).await?;
    let stopwatch = Stopwatch::start();
    let ran = gateway
        .data
        .script(&entered.guard, &entered.target, &script, options);
    let ran = async {
        ran.await.map_err(|error| {
            let place = place_in_script(error.failure.statement, error.offset, &script);
            let problem = whole_or(error.failure.error, &place, "nothing is kept");
            problem.at_statement(error.failure.statement, 0, Some(error.offset))
        })
    };
    let answers = gateway.while_living(entered.guard.database(), ran).await?;
    Ok(script_answer(&answers, stopwatch))
}

impl ScriptParameters {
    /// # Errors
    /// When the token may not write.
    pub(crate) fn into_options(
        self,
        caller: &Caller,
        bounds: &DataConfig,
    ) -> Result<QueryOptions, Problem> {
        caller.require(Scope::Write)?;
        let words = OptionWords {
            timeout_ms: self.timeout_ms,
            ..OptionWords::default()
        };
        words.into_options(Access::ReadWrite, bounds)
    }
}

/// The answers of a batch.
pub(crate) fn batch_answer(answers: Vec<QueryAnswer>, since: Stopwatch) -> Response {
    let took: Duration = answers.iter().map(|it| it.elapsed).sum();
    written_json(results(answers), took, since.elapsed())
}

/// What a script did.
pub(crate) fn script_answer(answers: &[QueryAnswer], since: Stopwatch) -> Response {
    let result = ScriptResult {
        statements: answers.len(),
        rows_affected: answers.iter().map(|it| it.rows_affected).sum(),
        elapsed_ms: (since.elapsed().as_secs_f64() * 1e6).round() / 1e3,
    };
    reply::json(StatusCode::OK, &result)
}

/// The answers one after another, as the engine wrote them. Small ones are sent as one piece, large
/// ones as they are: a copy would need as much memory again.
fn results(answers: Vec<QueryAnswer>) -> Body {
    const HEAD: &[u8] = br#"{"results":["#;
    const TAIL: &[u8] = b"]}";
    let bytes: usize = answers.iter().map(|it| it.body.len() + 1).sum();
    let commas = std::iter::once(&b""[..]).chain(std::iter::repeat(&b","[..]));
    let answers = answers.into_iter().zip(commas);
    let head = std::iter::once(Bytes::from_static(HEAD));
    let tail = std::iter::once(Bytes::from_static(TAIL));
    let pieces = answers.flat_map(|(answer, comma)| [Bytes::from_static(comma), answer.body]);
    let pieces = head.chain(pieces).chain(tail);
    if bytes > COPIED_BYTES {
        return Body::new(Pieces::from_iter(pieces));
    }
    let mut out = Vec::with_capacity(HEAD.len() + bytes + TAIL.len());
    pieces.for_each(|piece| out.extend_from_slice(&piece));
    out.into()
}

fn batch_problem(error: BatchError, mode: BatchMode) -> Problem {
    let BatchError { statement, error } = error;
    let (kept, said) = match mode {
        BatchMode::Immediate | BatchMode::Deferred => (0, "nothing of the batch is kept"),
        BatchMode::None => (statement, "the statements before it are kept"),
    };
    let place = format!("statement {statement}");
    whole_or(error, &place, said).at_statement(statement, kept, None)
}

/// Which statement of a script, in words.
pub(crate) fn place_in_script(statement: usize, offset: usize, script: &str) -> String {
    let lines = script.as_bytes()[..offset].iter();
    let line = 1 + lines.filter(|it| **it == b'\n').count();
    format!("statement {statement}, at line {line},")
}

/// The problem of one statement, with what it means for the others as a hint where there is none
/// yet.
pub(crate) fn whole_or(error: QueryError, place: &str, kept: &str) -> Problem {
    if error == QueryError::DeferredForeignKey {
        let hint = format!(
            "since {place} a deferred foreign key is broken, which is found at the commit; {kept}"
        );
        return Problem::from(error).hint(hint);
    }
    let is_unknown = error == QueryError::OutcomeUnknown;
    let has_hint = error.hint().is_some();
    let problem = Problem::from(error);
    if has_hint || is_unknown || problem.code() == ErrorCode::Internal {
        return problem;
    }
    problem.hint(format!("{place} failed; {kept}"))
}
