//! Stored plans: a command is kept, looked at, and applied when nothing it rests on has changed.

pub(crate) mod command_form;
pub(crate) mod dry_run;

use self::command_form::{CommandForm, words};
use self::dry_run::Outlook;
use super::databases::ReadParameters;
use super::jobs::view::JobView;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::ids::JobId;
use crate::domain::plan::Plan;
use crate::domain::recorded::RecordedEvent;
use crate::domain::refusal::Refusal;
use crate::domain::state::State as ForgeState;
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, PageParameters, page_answer, page_request, state_page};
use crate::http::response::refusals::sentence;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A command to be looked at before it is carried out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreatePlan)]
pub(super) struct PlanBody {
    command: CommandForm,
}

/// Whether a plan can be applied.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum PlanState {
    /// It can: what it would do is in `events`.
    Open,
    /// Something that it rests on has changed, or its day is over.
    Stale,
    /// It was.
    Applied,
}

/// A command with what it would bring about. Ids in `events` are examples.
#[derive(Serialize, ToSchema)]
#[schema(as = StoredPlan)]
pub(super) struct StoredPlanView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    state: PlanState,
    #[schema(value_type = Object)]
    command: serde_json::Value,
    database: String,
    /// The event that made it: what it rests on is as it was then.
    base_sequence: u64,
    #[serde(flatten)]
    outlook: Outlook,
    /// Why it cannot be applied, where that is so.
    stale: Option<String>,
    /// The job that applying it put in the queue.
    #[schema(value_type = Option<String>, format = Uuid)]
    job: Option<String>,
    /// Who made it.
    actor: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// Past this moment it cannot be applied.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

impl Gateway {
    fn view_plan(&self, plan: &Plan) -> StoredPlanView {
        let (state, outlook, stale) = if plan.applied.is_some() {
            (PlanState::Applied, Outlook::default(), None)
        } else {
            match self.outlook(&Command::ApplyPlan { plan: plan.id }) {
                Ok(outlook) => (PlanState::Open, outlook, None),
                Err(refusal) => {
                    let reason = sentence(&refusal);
                    (PlanState::Stale, Outlook::default(), Some(reason))
                }
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

/// Make a plan
///
/// Nothing happens to the database. The plan is kept for a day.
#[utoipa::path(post, path = "/v1/plans", tag = "plans", request_body = PlanBody,
    responses((status = 201, body = StoredPlanView)))]
pub(super) async fn create_plan(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<PlanBody>,
) -> Result<Response, Problem> {
    mutation.caller.require(Scope::Manage)?;
    let command = mutation.body.command.command()?;
    let make = |state: &ForgeState| {
        mutation.caller.require(command.scope())?;
        let target = command.target_as_written();
        let known = state.find_database(&target);
        let name = known.map_or(target.as_str(), |it| it.name.as_str());
        mutation.caller.require_name(name)?;
        let command = Box::new(command.clone());
        Ok(Command::MakePlan { command })
    };
    let accepted = gateway.carry_out(&mutation, make).await?;
    let made = accepted.events.iter().find_map(Plan::begun_by);
    let made = made.ok_or_else(|| Problem::internal("a plan was made without an event"))?;
    let answer = reply::json(StatusCode::CREATED, &gateway.view_plan(&made))
        .with(header::LOCATION, &format!("/v1/plans/{}", made.id))
        .etag(made.sequence)
        .seen(accepted.sequence);
    Ok(mark_replayed(answer, &accepted))
}

/// List plans
///
/// Those of the last day, applied or not.
#[utoipa::path(get, path = "/v1/plans", tag = "plans", params(PageParameters),
    responses((status = 200, body = List<StoredPlanView>)))]
pub(super) async fn list_plans(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let request = page_request(asked.limit, asked.cursor)?;
    let present = gateway.present_at(asked.min_sequence).await?;
    let visible: Vec<_> = present
        .state
        .plans()
        .filter(|it| caller.covers(it.basis.name().as_str()))
        .collect();
    let page = state_page(
        visible.into_iter(),
        |it| it.id.to_string(),
        &request,
        asked.order.into(),
        present.head.sequence,
    );
    Ok(page_answer(page, |it| gateway.view_plan(it)))
}

/// Look at a plan
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
    let present = gateway.present_at(parameters.min_sequence).await?;
    let plan = find(&caller, &present.state, &id)?;
    let answer = reply::json(StatusCode::OK, &gateway.view_plan(plan));
    Ok(answer.etag(plan.sequence).seen(present.head.sequence))
}

/// Apply a plan
///
/// Only while nothing that it rests on has changed. Twice is the same as once: the same job.
#[utoipa::path(post, path = "/v1/plans/{id}/apply", tag = "plans",
    params(("id" = String, Path, description = "The plan's id")),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 201, body = JobView),
        (status = 200, description = "The job, or, of a plan that needs none, the plan")))]
pub(super) async fn apply_plan(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mut mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    mutation.caller.require(Scope::Manage)?;
    let present = gateway.control.present();
    let plan = find(&mutation.caller, &present.state, &id)?;
    mutation.caller.require(plan.command.scope())?;
    mutation.causation = Some(plan.sequence);
    let command = Command::ApplyPlan { plan: plan.id };
    let mut accepted = gateway.carry_out(&mutation, |_| Ok(command)).await?;
    let present = gateway.control.present();
    let plan = find(&mutation.caller, &present.state, &id)?;
    let is_applied_now = |it: &RecordedEvent| matches!(it.event, Event::PlanApplied(_));
    accepted.replayed |= !accepted.events.iter().any(is_applied_now);
    match applied_job(plan) {
        Some(job) => gateway.answer_with(&mutation, &accepted, job).await,
        None => {
            let answer = reply::json(StatusCode::OK, &gateway.view_plan(plan));
            Ok(mark_replayed(answer, &accepted).seen(present.head.sequence))
        }
    }
}

fn applied_job(plan: &Plan) -> Option<JobId> {
    plan.applied.as_ref()?.job
}

/// One whose database the caller's token does not cover is none.
fn find<'a>(caller: &Caller, state: &'a ForgeState, id: &str) -> Result<&'a Arc<Plan>, Problem> {
    let found = id.parse().ok().and_then(|it| state.plan(it));
    found
        .filter(|it| caller.covers(it.basis.name().as_str()))
        .ok_or_else(|| Refusal::PlanNotFound(id.to_owned()).into())
}
