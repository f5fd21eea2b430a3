//! How a statement is run.
use crate::data::Params;
use crate::http::Gateway;
use crate::http::extract::{JsonBody, NoParameters, PathParts, StrictQuery};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::reply;
use crate::service::caller::Caller;
use crate::service::sql::explain::{PlanStep, PlanWarning, StatementPlan};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A statement to explain.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Explain)]
pub(crate) struct ExplainBody {
    /// One statement. It is not run.
    #[schema(example = "SELECT * FROM users WHERE name = 'Ann'")]
    sql: String,
    /// Parameters; they make no difference to the plan.
    #[serde(default)]
    #[schema(schema_with = schemas::parameters)]
    params: Params,
}

/// How a statement is run.
#[derive(Serialize, ToSchema)]
#[schema(as = StatementPlan)]
struct StatementPlanView {
    /// The steps, outermost first.
    plan: Vec<PlanStepView>,
    /// Statements that make indexes which SQLite would use, and by which it would scan or sort less.
    suggested_indexes: Vec<String>,
}

/// A step of a plan.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanStep, no_recursion)]
struct PlanStepView {
    /// What SQLite says of it.
    detail: String,
    /// `full_scan`: it reads every row. `temporary_b_tree`: it sorts or groups. `automatic_index`:
    /// it makes an index for this statement alone. Null for none of these.
    #[schema(required = true)]
    warning: Option<&'static str>,
    /// Its parts.
    steps: Vec<PlanStepView>,
}

/// Explain a statement
///
/// SQLite's plan as a tree, with what is slow in it, and indexes that help: each was tried on an
/// empty copy of the schema.
#[utoipa::path(post, path = "/v1/databases/{db}/explain", tag = "schema",
    params(("db" = String, Path, description = "Name or id")),
    request_body = ExplainBody,
    responses((status = 200, body = StatementPlanView)))]
pub(crate) async fn explain_statement(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    JsonBody(body): JsonBody<ExplainBody>,
) -> Result<Response, Problem> {
    let service = &gateway.service;
    let plan = service.explain(&caller, &reference, &body.sql, body.params);
    Ok(reply::json(
        StatusCode::OK,
        &StatementPlanView::from(plan.await?),
    ))
}

impl From<StatementPlan> for StatementPlanView {
    fn from(plan: StatementPlan) -> Self {
        Self {
            plan: plan.steps.into_iter().map(Into::into).collect(),
            suggested_indexes: plan.indexes,
        }
    }
}

impl From<PlanStep> for PlanStepView {
    fn from(step: PlanStep) -> Self {
        Self {
            detail: step.detail,
            warning: step.warning.map(|warning| match warning {
                PlanWarning::FullScan => "full_scan",
                PlanWarning::TemporaryBTree => "temporary_b_tree",
                PlanWarning::AutomaticIndex => "automatic_index",
            }),
            steps: step.steps.into_iter().map(Into::into).collect(),
        }
    }
}
