//! Drift: differences between the event log and the actual state, and operator approval.
use crate::clock::timestamp::Timestamp;
use crate::control::Accepted;
use crate::domain::event::Event;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::KeyHeader;
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
use crate::http::openapi::words;
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::reply::{self, Marked};
use crate::jobs::drift::Standing;
use crate::jobs::reconciler::Finding;
use crate::service::caller::Caller;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Differences between the event log and the actual state.
#[derive(Serialize, ToSchema)]
#[schema(as = Drift)]
pub(super) struct DriftView {
    /// When the reconciler last ran; null before its first run.
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    looked_at: Option<Timestamp>,
    /// Why the reconciler could not inspect or act. Unknown resources are never treated as missing.
    #[schema(required = true)]
    trouble: Option<String>,
    /// Whether the disruption limit was reached: too many workers would be affected at once.
    /// `POST /v1/drift/allow` approves one run.
    reconcile_halted: bool,
    findings: Vec<FindingView>,
}

/// One difference.
#[derive(Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingView {
    #[schema(value_type = words::FindingKind, example = "repair_worker")]
    kind: &'static str,
    /// What was found, and what is done about it.
    what: String,
    /// `now`: handled in that run. `waits`: until `due_at` or the next run. `halted`: needs operator
    /// approval. `reported`: no automatic action.
    #[schema(value_type = words::FindingStanding, example = "now")]
    standing: &'static str,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    due_at: Option<Timestamp>,
    /// Database id.
    #[schema(required = true)]
    database: Option<String>,
    /// Container or process id.
    #[schema(required = true)]
    worker: Option<String>,
    #[schema(required = true)]
    folder: Option<String>,
}

/// A folder that was moved to the trash.
#[derive(Serialize, ToSchema)]
pub(super) struct TrashedFolder {
    /// Name in the trash.
    trashed_as: String,
}

impl FindingView {
    fn of(finding: &Finding, standing: Standing) -> Self {
        let (kind, database, worker, folder) = match finding {
            Finding::Repair { database, .. } => ("repair_worker", Some(database), None, None),
            Finding::GiveUp { database, .. } => ("degrade", Some(database), None, None),
            Finding::Quarantine {
                worker, labelled, ..
            } => ("quarantine_worker", Some(labelled), Some(worker), None),
            Finding::QuarantineEnded { worker } => ("quarantine_ended", None, Some(worker), None),
            Finding::DataMissing { database, .. } => ("data_missing", Some(database), None, None),
            Finding::UnknownFolder { name, .. } => ("unknown_folder", None, None, Some(name)),
        };
        let (standing, due_at) = match (finding, standing) {
            (Finding::DataMissing { .. } | Finding::UnknownFolder { .. }, _) => ("reported", None),
            (_, Standing::Now) => ("now", None),
            (_, Standing::Waits(due_at)) => ("waits", due_at),
            (_, Standing::Halted) => ("halted", None),
        };
        Self {
            kind,
            what: finding.to_string(),
            standing,
            due_at,
            database: database.map(ToString::to_string),
            worker: worker.cloned(),
            folder: folder.cloned(),
        }
    }
}

/// Show drift
///
/// Differences between the event log and the actual workers and files, and what is done about them.
#[utoipa::path(get, path = "/v1/drift", tag = "drift", responses((status = 200, body = DriftView)))]
pub(super) async fn get_drift(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    _: StrictQuery<NoParameters>,
) -> Result<Response, Problem> {
    caller.require_sight()?;
    caller.require_all()?;
    let pass = gateway.service.workers.drift.last();
    let view = DriftView {
        looked_at: pass.at,
        trouble: pass.trouble.clone(),
        reconcile_halted: pass.is_halted(),
        findings: pass
            .all()
            .map(|(finding, standing)| FindingView::of(finding, standing))
            .collect(),
    };
    let sequence = gateway.service.control.current().head.sequence;
    Ok(reply::json(StatusCode::OK, &view).seen(sequence))
}

/// Approve one reconciler run
///
/// Runs the reconciler now, without the disruption limit.
#[utoipa::path(post, path = "/v1/drift/allow", tag = "drift",
    params(KeyHeader), request_body = NoFields,
    responses((status = 202, description = "The reconciler runs now")))]
pub(super) async fn allow_drift(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let accepted = gateway.service.allow_drift(&mutation.request).await?;
    let answer = StatusCode::ACCEPTED.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// Delete a quarantined worker
///
/// Permanent. Only for workers that the reconciler has quarantined.
#[utoipa::path(delete, path = "/v1/drift/workers/{worker}", tag = "drift",
    params(("worker" = String, Path, description = "Container or process id"), KeyHeader),
    responses((status = 204, description = "Deleted")))]
pub(super) async fn remove_quarantined_worker(
    State(gateway): State<Arc<Gateway>>,
    PathParts(worker): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let removed = gateway
        .service
        .remove_quarantined_worker(&mutation.request, worker);
    let accepted = removed.await?;
    let answer = StatusCode::NO_CONTENT.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// Move an orphaned folder to the trash
///
/// Only for folders that the reconciler has reported. It stays in the trash until it is removed by
/// hand.
#[utoipa::path(delete, path = "/v1/drift/folders/{folder}", tag = "drift",
    params(("folder" = String, Path, description = "Folder name below `databases/`"), KeyHeader),
    responses((status = 200, body = TrashedFolder)))]
pub(super) async fn trash_unknown_folder(
    State(gateway): State<Arc<Gateway>>,
    PathParts(folder): PathParts<String>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let trashing = gateway
        .service
        .trash_unknown_folder(&mutation.request, folder);
    Ok(trashed(&trashing.await?))
}

fn trashed(accepted: &Accepted) -> Response {
    let went = accepted.events.iter().find_map(|it| match &it.event {
        Event::FolderTrashed(it) => Some(it.trashed_as.clone()),
        _ => None,
    });
    let trashed_as = went.expect("the command is one event, kept with its key");
    let answer = reply::json(StatusCode::OK, &TrashedFolder { trashed_as });
    mark_replayed(answer, accepted).seen(accepted.sequence)
}
