//! One statement, in the legacy API's shape.
use crate::clock::Stopwatch;
use crate::data::{Params, QueryError, QueryOptions, QueryRequest, Shape};
use crate::domain::database::Condition;
use crate::http::Gateway;
use crate::http::extract::words::OriginalFormat;
use crate::http::extract::{JsonBody, PathParts, fields};
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::rows;
use crate::service::caller::Caller;
use crate::service::resolver::ResolveError;
use crate::service::sql::{InvalidOption, RunError, default_options};
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// One SQL statement. Unknown fields are ignored.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct OriginalQuery {
    /// One SQL statement.
    #[schema(example = "SELECT name FROM users WHERE age > ?")]
    sql: String,
    /// Values for its parameters; `parameters` is understood, too.
    #[serde(default, alias = "parameters")]
    #[schema(schema_with = schemas::parameters, example = json!([18]))]
    params: Params,
    /// Truncate the result after this many rows; `X-DBForge-Truncated` says whether there were more.
    #[serde(default, deserialize_with = "fields::whole")]
    #[schema(minimum = 1)]
    limit: Option<u64>,
    /// `csv` answers the rows as CSV with a header line.
    #[serde(default)]
    format: Option<OriginalFormat>,
}

/// Rows, or how many were changed; written by the engine.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(in crate::http) struct OriginalAnswer {
    /// The rows; null where the statement returns none.
    #[schema(schema_with = schemas::original_rows, required = true)]
    data: Option<()>,
    /// The number of rows in `data`, or of those that were changed.
    rows_affected: u64,
    /// Null where there are rows.
    #[schema(example = "Query executed successfully.", required = true)]
    message: Option<String>,
}

/// Run one statement
#[utoipa::path(post, path = "/api/db/{db}/query", tag = "original",
    params(("db" = String, Path, description = "Name or id")),
    request_body = OriginalQuery,
    responses((status = 200, content(
        (OriginalAnswer = "application/json"),
        (String = "text/csv")))))]
pub(in crate::http) async fn run_original_query(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    JsonBody(body): JsonBody<OriginalQuery>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let format = body.format.unwrap_or_default().into();
    let request = QueryRequest {
        sql: body.sql,
        params: body.params,
        options: QueryOptions {
            shape: Shape::Original,
            max_rows: body.limit,
            format,
            ..default_options()
        },
    };
    let answer = gateway.service.query(&caller, &reference, request).await;
    let answer = answer.map_err(|error| gateway.in_legacy_words(&reference, error))?;
    let is_cut = answer.truncated;
    let mut response = rows::whole(answer, format, since);
    if body.limit.is_some() {
        rows::tell_truncated(&mut response, is_cut);
    }
    Ok(response)
}

impl Gateway {
    /// A problem in the legacy API's words; a database that is not among the living is not found.
    pub(super) fn in_legacy_words(&self, reference: &str, error: impl Into<RunError>) -> Problem {
        match error.into() {
            RunError::Resolve(error) => self.not_entered(reference, error),
            RunError::Query(error) => query_problem(error),
            // The only option that these routes have.
            RunError::Option(error) => InvalidOption {
                name: "limit",
                ..error
            }
            .into(),
            other => other.into(),
        }
    }

    fn not_entered(&self, reference: &str, error: ResolveError) -> Problem {
        let is_unknown = match &error {
            ResolveError::NotFound(_) | ResolveError::Trashed { .. } | ResolveError::Refused(_) => {
                true
            }
            // A pruned database has left the legacy list, and with it what can be asked.
            ResolveError::NotReady { .. } | ResolveError::Stopped { .. } => {
                self.is_stopped(reference)
            }
            ResolveError::Denied(_)
            | ResolveError::AtWork { .. }
            | ResolveError::Stuck { .. }
            | ResolveError::Engine(_) => false,
        };
        if !is_unknown {
            return error.into();
        }
        Problem::new(ErrorCode::DatabaseNotFound, "Database not found.").hint(format!(
            "POST /admin/databases/spawn/{reference} makes one of that name"
        ))
    }

    fn is_stopped(&self, reference: &str) -> bool {
        let current = self.service.control.current();
        let database = current.state.find_database(reference);
        database.is_some_and(|database| database.condition == Condition::Stopped)
    }
}

/// What SQLite refuses was a 400 whose text begins with `SQL Error: `.
fn query_problem(error: QueryError) -> Problem {
    let (_, error) = error.without_row();
    let message = match &error {
        QueryError::DeferredForeignKey => "FOREIGN KEY constraint failed",
        QueryError::Sql { message, .. }
        | QueryError::Constraint { message }
        | QueryError::ParameterMismatch { message }
        | QueryError::InvalidRequest { message } => message.as_str(),
        QueryError::ResultTooLarge { .. } => {
            // These routes have no bounds of their own to be raised.
            return Problem::from(error)
                .hint("use LIMIT or `limit`, or POST /v1/databases/{db}/query");
        }
        _ => return error.into(),
    };
    let problem = Problem::new(ErrorCode::SqlError, format!("SQL Error: {message}"));
    match error.hint() {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}
