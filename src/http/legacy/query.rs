//! One statement, in the original's shape.
use crate::data::{Params, QueryError, QueryOptions, QueryRequest, Shape};
use crate::domain::database::Condition;
use crate::http::Gateway;
use crate::http::entrance::Entered;
use crate::http::extract::{JsonBody, PathParts};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::routes::sql::sql_access;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// One statement. Fields that are not known are ignored, as the original did.
#[derive(Deserialize, ToSchema)]
pub(in crate::http) struct OriginalQuery {
    /// One SQL statement.
    #[schema(example = "SELECT name FROM users WHERE age > ?")]
    sql: String,
    /// Values for its parameters; `parameters` is understood, too.
    #[serde(default, alias = "parameters")]
    #[schema(schema_with = schemas::parameters, example = json!([18]))]
    params: Params,
}

/// Rows, or how many were changed; written by the engine.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes bytes that the engine writes itself")]
pub(in crate::http) struct OriginalAnswer {
    /// The rows, where the statement returns any.
    #[schema(value_type = Vec<Object>)]
    data: Option<()>,
    #[schema(example = "Query executed successfully.")]
    message: Option<String>,
    rows_affected: u64,
}

/// Run one statement
#[utoipa::path(post, path = "/api/db/{db}/query", tag = "original",
    params(("db" = String, Path, description = "A name or an id")),
    request_body = OriginalQuery,
    responses((status = 200, body = OriginalAnswer)))]
pub(in crate::http) async fn run_original_query(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    JsonBody(body): JsonBody<OriginalQuery>,
) -> Result<Response, Problem> {
    let access = sql_access(&caller)?;
    let entered = gateway.enter_known(&caller, &reference).await?;
    let request = QueryRequest {
        sql: body.sql,
        params: body.params,
        options: QueryOptions {
            shape: Shape::Original,
            ..QueryOptions::for_access(access)
        },
    };
    gateway
        .run(&entered, request)
        .await
        .map_err(in_original_words)
}

impl Gateway {
    /// Enters a database; one that is not among the living is not found here.
    pub(crate) async fn enter_known(
        &self,
        caller: &Caller,
        reference: &str,
    ) -> Result<Entered, Problem> {
        let entered = self.enter(caller, reference).await;
        entered.map_err(|problem| match problem.code() {
            // A pruned database has left the original's list, and with it what can be asked.
            ErrorCode::DatabaseNotReady if !self.is_stopped(reference) => problem,
            ErrorCode::DatabaseNotReady
            | ErrorCode::DatabaseNotFound
            | ErrorCode::DatabaseDeleted
            | ErrorCode::DatabaseExpired => {
                Problem::new(ErrorCode::DatabaseNotFound, "Database not found.").hint(format!(
                    "POST /admin/databases/spawn/{reference} makes one of that name"
                ))
            }
            _ => problem,
        })
    }

    fn is_stopped(&self, reference: &str) -> bool {
        let present = self.control.present();
        let database = present.state.find_database(reference);
        database.is_some_and(|it| it.condition == Condition::Stopped)
    }
}

/// Whatever SQLite says no with was a 400 whose text begins with `SQL Error: `.
pub(super) fn in_original_words(error: QueryError) -> Problem {
    let message = match &error {
        QueryError::DeferredForeignKey => "FOREIGN KEY constraint failed",
        QueryError::Sql { message, .. }
        | QueryError::Constraint { message }
        | QueryError::ParameterMismatch { message }
        | QueryError::InvalidRequest { message } => message.as_str(),
        QueryError::ResultTooLarge { .. } => {
            // These routes have no bounds of their own to be raised.
            return Problem::from(error).hint("use LIMIT, or POST /v1/databases/{db}/query");
        }
        _ => return error.into(),
    };
    let problem = Problem::new(ErrorCode::SqlError, format!("SQL Error: {message}"));
    match error.hint() {
        Some(hint) => problem.hint(hint),
        None => problem,
    }
}
