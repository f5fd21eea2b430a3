//! SQL on one database.

pub(crate) mod batch;
pub(crate) mod transactions;

use crate::clock::Stopwatch;
use crate::data::QueryRequest;
use crate::http::Gateway;
use crate::http::extract::answer_form::{AnswerForm, Delivery, FormParameters};
use crate::http::extract::sql::QueryBody;
use crate::http::extract::{JsonBody, PathParts};
use crate::http::response::error::Problem;
use crate::http::response::rows::{self, QueryResult};
use crate::service::caller::Caller;
use crate::service::sql::SqlAnswer;
use axum::extract::State;
use axum::response::Response;
use std::sync::Arc;

/// Run one statement
///
/// Waits a few seconds for a database that is being created or started. With scope `read` only, the
/// statement must not change data. `Accept` or `format` selects JSON, NDJSON or CSV.
#[utoipa::path(post, path = "/v1/databases/{db}/query", tag = "sql",
    params(("db" = String, Path, description = "Name or id"), FormParameters),
    request_body = QueryBody,
    responses((status = 200, content(
        (QueryResult = "application/json"),
        (String = "application/x-ndjson"),
        (String = "text/csv")))))]
pub(crate) async fn query_database(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    form: AnswerForm,
    JsonBody(body): JsonBody<QueryBody>,
) -> Result<Response, Problem> {
    let since = Stopwatch::start();
    let mut request = QueryRequest::try_from(body)?;
    let service = &gateway.service;
    let delivery = form.apply(
        &mut request.options,
        service.data.config().largest_max_bytes,
    );
    let format = request.options.format;
    let Delivery::Streamed { tells_errors } = delivery else {
        let answer = service.query(&caller, &reference, request).await?;
        return Ok(rows::whole(answer, format, since));
    };
    match service.stream(&caller, &reference, request).await? {
        SqlAnswer::Whole(answer) => Ok(rows::whole(answer, format, since)),
        SqlAnswer::Rows(rows) => Ok(rows::streamed(
            &gateway,
            rows,
            format,
            tells_errors,
            caller.request,
        )),
    }
}
