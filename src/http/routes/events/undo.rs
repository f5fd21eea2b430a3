//! Undo: an event's command is taken back by another command.
use crate::control::Accepted;
use crate::domain::ids::Sequence;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{ChangeHeaders, CommandParameters, WaitHeader};
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

/// An undo that needed no job.
#[derive(Serialize, ToSchema)]
#[schema(as = Undone)]
pub(crate) struct UndoneView {
    /// Sequence number of the event that was undone.
    undone: u64,
    /// Events that undid it.
    events: Vec<PlannedEvent>,
}

/// Immediate result of an undo.
#[derive(ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "describes which answers there are")]
enum UndoOutcome {
    /// A job, if it ended within `Prefer: wait=`.
    Job(Box<JobView>),
    Undone(UndoneView),
}

/// Undo an event
///
/// Undoes the command that caused the event: a delete is undeleted, a setting is restored, an
/// unfinished job is cancelled. If that is not possible, the error says why.
#[utoipa::path(post, path = "/v1/events/{sequence}/undo", tag = "history",
    params(("sequence" = u64, Path, description = "Sequence number of the event"), CommandParameters, ChangeHeaders, WaitHeader),
    request_body = NoFields,
    responses((status = 202, body = JobView),
        (status = 200, description = "The finished job, or the undo if it needed no job", body = UndoOutcome)))]
pub(crate) async fn undo_event(
    State(gateway): State<Arc<Gateway>>,
    PathParts(reference): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let Mutation { request, .. } = mutation.or_plan(parameters.dry_run);
    match gateway.service.undo_event(request, &reference).await? {
        Undone::Job(enqueued) => gateway.enqueued(&enqueued),
        Undone::Cancelled(enqueued) => Ok(gateway.job_as_it_is(&enqueued)),
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
