//! Schedules: made, listed, changed, paused, run by hand, deleted.
use super::databases::ReadParameters;
use super::jobs::view::JobView;
use super::plans::command_form::{CommandForm, words};
use crate::clock::timestamp::Timestamp;
use crate::control::Accepted;
use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::ids::ScheduleId;
use crate::domain::lifecycle::LifecycleCommand;
use crate::domain::recurrence::Recurrence;
use crate::domain::refusal::Refusal;
use crate::domain::schedule::{Misfire, Overlap, Schedule, SchedulePlan, moment};
use crate::domain::state::State as ForgeState;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::middleware::auth::Caller;
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, PageParameters, page_answer, page_request, state_page};
use crate::http::response::refusals::sentence;
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// When, what, and how it bears what goes wrong.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateSchedule)]
pub(super) struct ScheduleBody {
    /// Letters, digits, `_`, `.` and `-`, at most 63. Its commands are signed `schedule/<name>`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", example = "nightly")]
    name: String,
    /// Minute, hour, day of month, month, day of week; also `@hourly`, `@daily`, `@weekly` …
    #[schema(example = "30 2 * * *")]
    cron: String,
    /// The IANA name of the pattern's time zone; `UTC` when none is given.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
    command: CommandForm,
    /// What happens to times that were missed: `skip`, `latest` (the default) or `all`.
    #[schema(schema_with = schemas::misfire)]
    misfire: Option<Misfire>,
    /// What happens when the job of the time before has not ended: `skip` (the default) or
    /// `queue`.
    #[schema(schema_with = schemas::overlap)]
    overlap: Option<Overlap>,
    /// `false` makes it paused.
    enabled: Option<bool>,
}

/// What becomes different; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeSchedule)]
pub(super) struct ChangeBody {
    cron: Option<String>,
    timezone: Option<String>,
    command: Option<CommandForm>,
    #[schema(schema_with = schemas::misfire)]
    misfire: Option<Misfire>,
    #[schema(schema_with = schemas::overlap)]
    overlap: Option<Overlap>,
    /// `false` pauses it, `true` lets it go on: what came between is not made up for.
    enabled: Option<bool>,
}

/// A cron entry that submits a lifecycle command.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule)]
pub(super) struct ScheduleView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    name: String,
    cron: String,
    timezone: String,
    #[schema(value_type = Object)]
    command: serde_json::Value,
    #[schema(value_type = String)]
    misfire: &'static str,
    #[schema(value_type = String)]
    overlap: &'static str,
    enabled: bool,
    /// The next time that it is due; null while it is paused.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_at: Option<Timestamp>,
    last: Option<FiringView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    sequence: u64,
}

/// What came of its last time.
#[derive(Serialize, ToSchema)]
#[schema(as = Firing)]
struct FiringView {
    /// The time it was due; null when somebody ran it by hand.
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The job that it put in the queue.
    #[schema(value_type = Option<String>, format = Uuid)]
    job: Option<String>,
    /// Why it put none.
    refusal: Option<String>,
}

impl ScheduleView {
    fn of(schedule: &Schedule, now: Timestamp) -> Self {
        let plan = &schedule.plan;
        Self {
            id: schedule.id.to_string(),
            name: schedule.name.clone(),
            cron: plan.cron.clone(),
            timezone: plan.timezone.clone(),
            command: words(&plan.command),
            misfire: plan.misfire.as_str(),
            overlap: plan.overlap.as_str(),
            enabled: plan.enabled,
            next_at: schedule.next(now),
            last: schedule.last.as_ref().map(|it| FiringView {
                due_at: it.nominal,
                at: it.at,
                job: it.job.map(|job| job.to_string()),
                refusal: it.refusal.clone(),
            }),
            created_at: schedule.created_at,
            sequence: schedule.sequence.0,
        }
    }
}

/// List schedules
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(PageParameters),
    responses((status = 200, body = List<ScheduleView>)))]
pub(super) async fn list_schedules(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let request = page_request(asked.limit, asked.cursor)?;
    let present = gateway.present_at(asked.min_sequence).await?;
    let visible: Vec<_> = present
        .state
        .schedules()
        .filter(|it| covers(&caller, it))
        .collect();
    let page = state_page(
        visible.into_iter(),
        |it| it.id.to_string(),
        &request,
        asked.order.into(),
        present.head.sequence,
    );
    let now = gateway.control.clock().now();
    Ok(page_answer(page, |it| ScheduleView::of(it, now)))
}

/// Create a schedule
///
/// It has the rights of the token that made or last changed it, as long as that is accepted.
#[utoipa::path(post, path = "/v1/schedules", tag = "schedules", request_body = ScheduleBody,
    responses((status = 201, body = ScheduleView)))]
pub(super) async fn create_schedule(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ScheduleBody>,
) -> Result<Response, Problem> {
    let body = &mutation.body;
    let plan = SchedulePlan {
        cron: body.cron.clone(),
        timezone: body.timezone.clone().unwrap_or_else(|| "UTC".to_owned()),
        command: body.command.command()?,
        misfire: body.misfire.unwrap_or_default(),
        overlap: body.overlap.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
    };
    require_rights(&gateway, &mutation.caller, &plan)?;
    let command = Command::CreateSchedule {
        name: body.name.clone(),
        plan: Box::new(plan),
        token: mutation.caller.token_id(),
    };
    let accepted = gateway.carry_out(&mutation, |_| Ok(command)).await?;
    let created = accepted.events.iter().find_map(Schedule::begun_by);
    let created =
        created.ok_or_else(|| Problem::internal("a schedule was created without an event"))?;
    let answer = gateway
        .show_schedule(StatusCode::CREATED, &created)
        .with(header::LOCATION, &format!("/v1/schedules/{}", created.name))
        .seen(accepted.sequence);
    Ok(mark_replayed(answer, &accepted))
}

/// Look at a schedule
#[utoipa::path(get, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id"), ReadParameters),
    responses((status = 200, body = ScheduleView)))]
pub(super) async fn get_schedule(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<ReadParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    let present = gateway.present_at(parameters.min_sequence).await?;
    let schedule = find(&caller, &present.state, &reference)?;
    let answer = gateway.show_schedule(StatusCode::OK, schedule);
    Ok(answer.seen(present.head.sequence))
}

/// Change, pause or resume a schedule
///
/// It has the caller's rights from then on.
#[utoipa::path(patch, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id")), request_body = ChangeBody,
    responses((status = 200, body = ScheduleView)))]
pub(super) async fn change_schedule(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ChangeBody>,
) -> Result<Response, Problem> {
    let command = |state: &ForgeState| {
        let schedule = find(&mutation.caller, state, &reference)?;
        let plan = mutation.body.over(&schedule.plan)?;
        require_rights(&gateway, &mutation.caller, &schedule.plan)?;
        require_rights(&gateway, &mutation.caller, &plan)?;
        Ok(Command::ChangeSchedule {
            schedule: schedule.id,
            plan: Box::new(plan),
            token: mutation.caller.token_id(),
        })
    };
    let accepted = gateway.carry_out(&mutation, command).await?;
    let present = gateway.control.present();
    let schedule = find(&mutation.caller, &present.state, &reference)?;
    let answer = gateway.show_schedule(StatusCode::OK, schedule);
    Ok(mark_replayed(answer, &accepted).seen(present.head.sequence))
}

/// Delete a schedule
///
/// What it has put in the queue goes on.
#[utoipa::path(delete, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id")),
    responses((status = 204, description = "It is gone")))]
pub(super) async fn delete_schedule(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |state: &ForgeState| {
        let schedule = gateway.find_owned(&mutation.caller, state, &reference)?;
        Ok(Command::DeleteSchedule { schedule })
    };
    let accepted = gateway.carry_out(&mutation, command).await?;
    let answer = StatusCode::NO_CONTENT.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// Run a schedule now
///
/// Beside its times, and also while it is paused.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/run", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id")),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 200, body = JobView), (status = 201, body = JobView)))]
pub(super) async fn run_schedule(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let command = |state: &ForgeState| {
        let schedule = gateway.find_owned(&mutation.caller, state, &reference)?;
        Ok(Command::FireSchedule {
            schedule,
            nominal: None,
        })
    };
    let accepted = gateway.carry_out(&mutation, command).await?;
    match refusal(&accepted) {
        Some(refusal) => Err(Problem::new(ErrorCode::WrongState, sentence(&refusal))
            .hint(format!("look at GET /v1/schedules/{reference}"))),
        None => gateway.answer_with_job(&mutation, &accepted).await,
    }
}

impl Gateway {
    fn show_schedule(&self, status: StatusCode, schedule: &Schedule) -> Response {
        let view = ScheduleView::of(schedule, self.control.clock().now());
        reply::json(status, &view).etag(schedule.sequence)
    }

    /// The schedule that a path means, for who may do what it does.
    fn find_owned(
        &self,
        caller: &Caller,
        state: &ForgeState,
        reference: &str,
    ) -> Result<ScheduleId, Problem> {
        let schedule = find(caller, state, reference)?;
        require_rights(self, caller, &schedule.plan)?;
        Ok(schedule.id)
    }
}

impl ChangeBody {
    fn over(&self, plan: &SchedulePlan) -> Result<SchedulePlan, Problem> {
        let command = self
            .command
            .as_ref()
            .map(CommandForm::command)
            .transpose()?;
        Ok(SchedulePlan {
            cron: self.cron.clone().unwrap_or_else(|| plan.cron.clone()),
            timezone: self
                .timezone
                .clone()
                .unwrap_or_else(|| plan.timezone.clone()),
            command: command.unwrap_or_else(|| plan.command.clone()),
            misfire: self.misfire.unwrap_or(plan.misfire),
            overlap: self.overlap.unwrap_or(plan.overlap),
            enabled: self.enabled.unwrap_or(plan.enabled),
        })
    }
}

/// Who makes a schedule must be allowed what it will do.
pub(super) fn require_rights(
    gateway: &Gateway,
    caller: &Caller,
    plan: &SchedulePlan,
) -> Result<(), Problem> {
    caller.require(plan.command.scope())?;
    let recurrence = Recurrence::parse(&plan.cron, &plan.timezone)
        .map_err(|error| Problem::from(Refusal::Invalid(error.to_string())))?;
    let now = moment(Some(&recurrence), gateway.control.clock().now());
    caller.require_name(&plan.command.target(&now))
}

/// One that the caller's token does not cover is none.
fn find<'a>(
    caller: &Caller,
    state: &'a ForgeState,
    reference: &str,
) -> Result<&'a Arc<Schedule>, Problem> {
    let found = state
        .find_schedule(reference)
        .filter(|it| covers(caller, it));
    found.ok_or_else(|| Refusal::ScheduleNotFound(reference.to_owned()).into())
}

fn covers(caller: &Caller, schedule: &Schedule) -> bool {
    let command: &LifecycleCommand = &schedule.plan.command;
    caller.covers(&command.target(&schedule.moment(schedule.created_at)))
}

fn refusal(accepted: &Accepted) -> Option<String> {
    accepted.events.iter().find_map(|it| match &it.event {
        Event::ScheduleFired(fired) => fired.refusal.clone(),
        _ => None,
    })
}
