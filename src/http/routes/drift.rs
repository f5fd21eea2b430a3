//! Drift: how the forge differs from what its log says, and the person's word about it.
use crate::clock::timestamp::Timestamp;
use crate::control::Accepted;
use crate::domain::event::Event;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, NoParameters, PathParts, StrictQuery};
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

/// What the reconciler last saw.
#[derive(Serialize, ToSchema)]
#[schema(as = Drift)]
pub(super) struct DriftView {
    /// When it looked; null before its first look.
    #[schema(value_type = Option<String>, format = DateTime)]
    looked_at: Option<Timestamp>,
    /// Why it saw nothing, or may do nothing. What is unknown is never taken for missing.
    trouble: Option<String>,
    /// More would be ended at once than is done without a person's word:
    /// `POST /v1/drift/allow` gives it.
    reconcile_halted: bool,
    findings: Vec<FindingView>,
}

/// Something that differs.
#[derive(Serialize, ToSchema)]
#[schema(as = Finding)]
struct FindingView {
    /// `repair_worker`, `degrade`, `quarantine_worker`, `quarantine_ended`, `data_missing` or
    /// `unknown_folder`.
    #[schema(value_type = String, example = "repair_worker")]
    kind: &'static str,
    /// What was found, and what is done about it.
    what: String,
    /// `now`: in that look. `waits`: for `due_at`, or for the next look. `halted`: for a person's
    /// word. `reported`: nothing is done unless somebody asks.
    #[schema(value_type = String, example = "now")]
    standing: &'static str,
    #[schema(value_type = Option<String>, format = DateTime)]
    due_at: Option<Timestamp>,
    /// The database's id.
    database: Option<String>,
    /// The worker's id under the runtime.
    worker: Option<String>,
    folder: Option<String>,
}

/// Where a folder went.
#[derive(Serialize, ToSchema)]
pub(super) struct TrashedFolder {
    /// Its name in the trash.
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

/// See how the forge differs from its log
///
/// As the reconciler last saw it, and what it does about each difference.
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
    let sequence = gateway.service.control.present().head.sequence;
    Ok(reply::json(StatusCode::OK, &view).seen(sequence))
}

/// Let the reconciler act once
///
/// However much there is to do: it looks again at once, and this time nothing is held back.
#[utoipa::path(post, path = "/v1/drift/allow", tag = "drift", request_body = NoFields,
    responses((status = 202, description = "It looks again now")))]
pub(super) async fn allow_drift(
    State(gateway): State<Arc<Gateway>>,
    _: StrictQuery<NoParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let accepted = gateway.service.allow_drift(&mutation.request).await?;
    let answer = StatusCode::ACCEPTED.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// Remove a worker from quarantine
///
/// For good. Only one that the reconciler has set aside.
#[utoipa::path(delete, path = "/v1/drift/workers/{worker}", tag = "drift",
    params(("worker" = String, Path, description = "Its id under the runtime")),
    responses((status = 204, description = "It is gone")))]
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

/// Move a folder to the trash that belongs to no database
///
/// Only one that the reconciler has found. In the trash it stays until a person removes it.
#[utoipa::path(delete, path = "/v1/drift/folders/{folder}", tag = "drift",
    params(("folder" = String, Path, description = "Its name among the folders of databases")),
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
