//! Rules for what is found and belongs to no database.
use crate::domain::command::refusal::Refusal;
use crate::domain::event::{Event, FolderTrashed, PassAllowed, QuarantineEnded, WorkerQuarantined};
use crate::domain::ids::DatabaseId;
use crate::domain::state::State;

/// A worker whose database is known is that database's, whatever it looks like.
pub(super) fn quarantine(
    state: &State,
    worker: &str,
    name: &str,
    labelled: DatabaseId,
) -> Result<Vec<Event>, Refusal> {
    if state.database(labelled).is_some() {
        return Err(Refusal::Invalid(format!(
            "worker `{name}` belongs to an existing database"
        )));
    }
    if state.quarantined.contains(worker) {
        return Ok(Vec::new());
    }
    let quarantined = WorkerQuarantined {
        worker: worker.to_owned(),
        name: name.to_owned(),
        labelled,
    };
    Ok(vec![quarantined.into()])
}

pub(super) fn end_quarantine(state: &State, worker: &str) -> Vec<Event> {
    if !state.quarantined.contains(worker) {
        return Vec::new();
    }
    let worker = worker.to_owned();
    vec![QuarantineEnded { worker }.into()]
}

pub(super) fn record_trashed_folder(folder: &str, trashed_as: &str) -> Vec<Event> {
    let trashed = FolderTrashed {
        folder: folder.to_owned(),
        trashed_as: trashed_as.to_owned(),
    };
    vec![trashed.into()]
}

pub(super) fn allow_pass(held_back: u32) -> Vec<Event> {
    vec![PassAllowed { held_back }.into()]
}
