//! Stored plans: a command is kept, looked at, and applied when nothing it rests on has changed.
use crate::clock::timestamp::Timestamp;
use crate::domain::plan::Plan;
use crate::http::Gateway;
use crate::http::extract::lifecycle::{CommandForm, words};
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{KeyHeader, PageParameters, ReadParameters, WaitHeader};
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, is_uuid, page_answer, state_page};
use crate::http::response::refusals::sentence;
use crate::http::response::reply::{self, Marked};
use crate::http::response::views::job::JobView;
use crate::http::response::views::plan::OutlookView;
use crate::service::caller::Caller;
use crate::service::commands::plans::{AppliedPlan, applied_job, find_plan, visible_plans};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A command to plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreatePlan)]
pub(super) struct PlanBody {
    command: CommandForm,
}

/// State of a plan.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PlanState {
    /// Can be applied; `events` shows what it would do.
    Open,
    /// Cannot be applied: its database has changed, or it has expired.
    Stale,
    /// Was applied.
    Applied,
}

/// A stored plan. Ids in `events` are placeholders.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredPlan)]
pub(super) struct StoredPlanView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    state: PlanState,
    #[schema(value_type = CommandForm)]
    command: serde_json::Value,
    database: String,
    /// Event at which the plan was made.
    base_sequence: u64,
    #[serde(flatten)]
    outlook: OutlookView,
    /// Why it cannot be applied, if it is stale.
    #[schema(required = true)]
    stale: Option<String>,
    /// The job that applies it.
    #[schema(value_type = Option<String>, format = Uuid, required = true)]
    job: Option<String>,
    /// Who created it.
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Cannot be applied after this time.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Immediate result of applying a plan.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes which answers there are")]
enum ApplyOutcome {
    /// A job, if it ended within `Prefer: wait=`.
    Job(Box<JobView>),
    Plan(Box<StoredPlanView>),
}

impl Gateway {
    fn view_plan(&self, plan: &Plan) -> StoredPlanView {
        let (state, outlook, stale) = match self.service.plan_consequences(plan) {
            Ok(None) => (PlanState::Applied, OutlookView::default(), None),
            Ok(Some(consequences)) => (PlanState::Open, consequences.into(), None),
            Err(refusal) => {
                let reason = sentence(&refusal);
                (PlanState::Stale, OutlookView::default(), Some(reason))
            }
        };
        StoredPlanView {
            id: plan.id.to_string(),
            state,
            command: words(&plan.command),
            database: plan.basis.name().to_string(),
            base_sequence: plan.sequence.0,
            outlook,
            stale,
            job: applied_job(plan).map(|it| it.to_string()),
            actor: plan.made_by.to_string(),
            created_at: plan.created_at,
            expires_at: plan.expires_at,
        }
    }
}

/// Create a plan
///
/// Shows what a command would do, without doing it. Plans are kept for one day.
#[utoipa::path(post, path = "/v1/plans", tag = "plans",
    params(KeyHeader), request_body = PlanBody,
    responses((status = 201, body = StoredPlanView)))]
pub(super) async fn create_plan(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<PlanBody>,
) -> Result<Response, Problem> {
    let command = || {
        mutation
            .body
            .command
            .command(gateway.service.data.engines())
    };
    let made = gateway.service.make_plan(&mutation.request, command);
    let (made, accepted) = made.await?;
    let answer = reply::json(StatusCode::CREATED, &gateway.view_plan(&made))
        .with(header::LOCATION, &format!("/v1/plans/{}", made.id))
        .etag(made.sequence)
        .seen(accepted.sequence);
    Ok(mark_replayed(answer, &accepted))
}

/// List plans
///
/// Plans of the last day, applied or not.
#[utoipa::path(get, path = "/v1/plans", tag = "plans", params(PageParameters),
    responses((status = 200, body = List<StoredPlanView>)))]
pub(super) async fn list_plans(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    let paging = asked.paging()?;
    let current = gateway.service.present_at(paging.min_sequence).await?;
    let page = state_page(
        visible_plans(&caller, &current.state)?.into_iter(),
        |it| it.id.to_string(),
        is_uuid,
        &paging.page,
        paging.order,
        current.head.sequence,
    )?;
    Ok(page_answer(page, |it| gateway.view_plan(it)))
}

/// Get a plan
#[utoipa::path(get, path = "/v1/plans/{id}", tag = "plans",
    params(("id" = String, Path, description = "The plan's id"), ReadParameters),
    responses((status = 200, body = StoredPlanView)))]
pub(super) async fn get_plan(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let current = gateway.service.present_at(parameters.min_sequence());
    let current = current.await?;
    let plan = find_plan(&caller, &current.state, &id)?;
    let answer = reply::json(StatusCode::OK, &gateway.view_plan(plan));
    Ok(answer.etag(plan.sequence).seen(current.head.sequence))
}

/// Apply a plan
///
/// Only if its database has not changed since. Applying twice returns the same job.
#[utoipa::path(post, path = "/v1/plans/{id}/apply", tag = "plans",
    params(("id" = String, Path, description = "The plan's id"), KeyHeader, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 201, body = JobView),
        (status = 200, description = "The finished job, or the plan if it needed no job", body = ApplyOutcome)))]
pub(super) async fn apply_plan(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    match gateway.service.apply_plan(mutation.request, &id).await? {
        AppliedPlan::Job(enqueued) => gateway.enqueued(&enqueued),
        AppliedPlan::AtOnce {
            plan,
            accepted,
            current,
        } => {
            let answer = reply::json(StatusCode::OK, &gateway.view_plan(&plan));
            let answer = answer.etag(plan.sequence).seen(current.head.sequence);
            Ok(mark_replayed(answer, &accepted))
        }
    }
}
