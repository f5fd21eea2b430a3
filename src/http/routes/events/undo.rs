//! Undo: an event's command is taken back by another command.
use crate::control::Accepted;
use crate::domain::ids::Sequence;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::CommandParameters;
use crate::http::extract::{NoFields, PathParts, StrictQuery};
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::reply::{self, Marked};
use crate::http::response::views::job::JobView;
use crate::http::response::views::plan::{PlanView, PlannedEvent};
use crate::service::commands::undo::Undone;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// What took a command back at once, without a job.
#[derive(Serialize, ToSchema)]
#[schema(as = Undone)]
pub(crate) struct UndoneView {
    /// The event of the command that was undone.
    undone: u64,
    /// What undid it.
    events: Vec<PlannedEvent>,
}

/// What an undo answers at once.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes which answers there are")]
enum UndoOutcome {
    /// It took a job, which has ended within the time that `Prefer: wait=` gave it.
    Job(Box<JobView>),
    Undone(UndoneView),
}

/// Undo what an event's command has done
///
/// Any event stands for the command that caused it. A delete is followed by an undelete, a changed
/// setting goes back, a job that has not ended is cancelled. What cannot be undone says why.
#[utoipa::path(post, path = "/v1/events/{sequence}/undo", tag = "history",
    params(("sequence" = u64, Path, description = "Its place in the log"), CommandParameters),
    request_body = NoFields,
    responses((status = 202, body = JobView),
        (status = 200, description = "The job; what was undone without one; or, with `dry_run=plan`, the plan", body = UndoOutcome)))]
pub(crate) async fn undo_event(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let Mutation { request, .. } = mutation.or_plan(parameters.dry_run);
    match gateway.service.undo_event(request, &reference).await? {
        Undone::Job(enqueued) => gateway.enqueued(&enqueued),
        Undone::AtOnce { cause, accepted } => Ok(undone_answer(cause, &accepted)),
        Undone::Preview(preview) => Ok(PlanView::answer(preview)),
    }
}

fn undone_answer(undone: Sequence, accepted: &Accepted) -> Response {
    let events = accepted.events.iter().map(|it| it.event.clone().into());
    let view = UndoneView {
        undone: undone.0,
        events: events.collect(),
    };
    let answer = reply::json(StatusCode::OK, &view).seen(accepted.sequence);
    mark_replayed(answer, accepted)
}
