//! Schedules: made, listed, changed, paused, run by hand, deleted.
use crate::clock::timestamp::Timestamp;
use crate::domain::command::lifecycle::LifecycleCommand;
use crate::domain::schedule::{Misfire, Overlap, Schedule, SchedulePlan};
use crate::http::Gateway;
use crate::http::extract::lifecycle::{CommandForm, words};
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{KeyHeader, PageParameters, ReadParameters, WaitHeader};
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::openapi::{schemas, words};
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, is_uuid, page_answer, state_page};
use crate::http::response::reply::{self, Marked};
use crate::http::response::views::job::JobView;
use crate::service::caller::Caller;
use crate::service::commands::schedules::{RunSchedule, find_schedule, visible_schedules};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// A new schedule.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateSchedule)]
pub(super) struct ScheduleBody {
    /// Letters, digits, `_`, `.` and `-`, at most 63. Its commands have the actor `schedule/<name>`.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", example = "nightly")]
    name: String,
    /// Minute, hour, day of month, month, day of week; also `@hourly`, `@daily`, `@weekly` …
    #[schema(example = "30 2 * * *")]
    cron: String,
    /// IANA time zone; default `UTC`.
    #[schema(example = "Europe/Berlin")]
    timezone: Option<String>,
    command: CommandForm,
    /// What to do about missed runs: `skip`, `latest` (default) or `all`.
    #[schema(schema_with = schemas::misfire)]
    misfire: Option<Misfire>,
    /// What to do if the previous job is still running: `skip` (default) or `queue`.
    #[schema(schema_with = schemas::overlap)]
    overlap: Option<Overlap>,
    /// `false` creates it paused.
    enabled: Option<bool>,
}

/// Changes; omitted fields keep their value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ChangeSchedule)]
pub(super) struct ChangeScheduleBody {
    cron: Option<String>,
    timezone: Option<String>,
    command: Option<CommandForm>,
    #[schema(schema_with = schemas::misfire)]
    misfire: Option<Misfire>,
    #[schema(schema_with = schemas::overlap)]
    overlap: Option<Overlap>,
    /// `false` pauses it, `true` resumes it. Runs missed while paused are not made up.
    enabled: Option<bool>,
}

/// A cron schedule that submits a lifecycle command.
#[derive(Serialize, ToSchema)]
#[schema(as = Schedule)]
pub(super) struct ScheduleView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    name: String,
    cron: String,
    timezone: String,
    #[schema(value_type = CommandForm)]
    command: serde_json::Value,
    #[schema(value_type = words::Misfire)]
    misfire: &'static str,
    #[schema(value_type = words::Overlap)]
    overlap: &'static str,
    enabled: bool,
    /// Next run; null while paused.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    next_at: Option<Timestamp>,
    #[schema(required = true)]
    last: Option<FiringView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    sequence: u64,
}

/// Result of the last run.
#[derive(Serialize, ToSchema)]
#[schema(as = Firing)]
struct FiringView {
    /// Scheduled time; null if it was run manually.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    due_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The job it started.
    #[schema(value_type = Option<String>, format = Uuid, required = true)]
    job: Option<String>,
    /// Why it started no job.
    #[schema(required = true)]
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

/// Immediate result of running a schedule.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes which answers there are")]
enum RunOutcome {
    /// A job, if it ended within `Prefer: wait=`.
    Job(Box<JobView>),
    Schedule(Box<ScheduleView>),
}

/// List schedules
#[utoipa::path(get, path = "/v1/schedules", tag = "schedules", params(PageParameters),
    responses((status = 200, body = List<ScheduleView>)))]
pub(super) async fn list_schedules(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    let paging = asked.paging()?;
    let current = gateway.service.present_at(paging.min_sequence).await?;
    let page = state_page(
        visible_schedules(&caller, &current.state)?.into_iter(),
        |it| it.id.to_string(),
        is_uuid,
        &paging.page,
        paging.order,
        current.head.sequence,
    )?;
    let now = gateway.service.control.clock().now();
    Ok(page_answer(page, |it| ScheduleView::of(it, now)))
}

/// Create a schedule
///
/// It runs with the rights of the token that created or last changed it, while that token is active.
#[utoipa::path(post, path = "/v1/schedules", tag = "schedules",
    params(KeyHeader), request_body = ScheduleBody,
    responses((status = 201, body = ScheduleView)))]
pub(super) async fn create_schedule(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ScheduleBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let plan = SchedulePlan {
        command: body.command.command(gateway.service.data.engines())?,
        cron: body.cron,
        timezone: body.timezone.unwrap_or_else(|| "UTC".to_owned()),
        misfire: body.misfire.unwrap_or_default(),
        overlap: body.overlap.unwrap_or_default(),
        enabled: body.enabled.unwrap_or(true),
    };
    let created = gateway.service.create_schedule(&request, body.name, plan);
    let (created, accepted) = created.await?;
    let answer = gateway
        .show_schedule(StatusCode::CREATED, &created)
        .with(header::LOCATION, &format!("/v1/schedules/{}", created.name))
        .seen(accepted.sequence);
    Ok(mark_replayed(answer, &accepted))
}

/// Get a schedule
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
    let current = gateway.service.present_at(parameters.min_sequence());
    let current = current.await?;
    let schedule = find_schedule(&caller, &current.state, &reference)?;
    let answer = gateway.show_schedule(StatusCode::OK, schedule);
    Ok(answer.seen(current.head.sequence))
}

/// Change, pause or resume a schedule
///
/// From then on it runs with the rights of the caller's token.
#[utoipa::path(patch, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id"), KeyHeader), request_body = ChangeScheduleBody,
    responses((status = 200, body = ScheduleView)))]
pub(super) async fn change_schedule(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<ChangeScheduleBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation;
    let engines = gateway.service.data.engines();
    let command = body.command.as_ref().map(|form| form.command(engines));
    let command = command.transpose()?;
    let change = |plan: &SchedulePlan| body.over(plan, command.clone());
    let changed = gateway
        .service
        .change_schedule(&request, &reference, change);
    let (schedule, accepted, current) = changed.await?;
    let answer = gateway.show_schedule(StatusCode::OK, &schedule);
    Ok(mark_replayed(answer, &accepted).seen(current.head.sequence))
}

/// Delete a schedule
///
/// Jobs it has already started continue.
#[utoipa::path(delete, path = "/v1/schedules/{schedule}", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id"), KeyHeader),
    responses((status = 204, description = "Deleted")))]
pub(super) async fn delete_schedule(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let deleted = gateway
        .service
        .delete_schedule(&mutation.request, &reference);
    let accepted = deleted.await?;
    let answer = StatusCode::NO_CONTENT.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// Run a schedule now
///
/// In addition to its schedule; also works while paused.
#[utoipa::path(post, path = "/v1/schedules/{schedule}/run", tag = "schedules",
    params(("schedule" = String, Path, description = "Name or id"), KeyHeader, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView), (status = 201, body = JobView),
        (status = 200, description = "The finished job, or the schedule if its command needed no job", body = RunOutcome)))]
pub(super) async fn run_schedule(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let run = gateway.service.run_schedule(&mutation.request, &reference);
    match run.await? {
        RunSchedule::Job(enqueued) => gateway.enqueued(&enqueued),
        RunSchedule::AtOnce {
            schedule,
            accepted,
            current,
        } => {
            let answer = gateway.show_schedule(StatusCode::OK, &schedule);
            Ok(mark_replayed(answer, &accepted).seen(current.head.sequence))
        }
    }
}

impl Gateway {
    fn show_schedule(&self, status: StatusCode, schedule: &Schedule) -> Response {
        let view = ScheduleView::of(schedule, self.service.control.clock().now());
        reply::json(status, &view).etag(schedule.sequence)
    }
}

impl ChangeScheduleBody {
    fn over(&self, plan: &SchedulePlan, command: Option<LifecycleCommand>) -> SchedulePlan {
        let (cron, timezone) = (self.cron.as_ref(), self.timezone.as_ref());
        SchedulePlan {
            cron: cron.unwrap_or(&plan.cron).clone(),
            timezone: timezone.unwrap_or(&plan.timezone).clone(),
            command: command.unwrap_or_else(|| plan.command.clone()),
            misfire: self.misfire.unwrap_or(plan.misfire),
            overlap: self.overlap.unwrap_or(plan.overlap),
            enabled: self.enabled.unwrap_or(plan.enabled),
        }
    }
}
