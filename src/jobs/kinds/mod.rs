//! The kinds of jobs: one file per kind, with its list of steps.
mod create_database;
mod delete_database;
mod import_table;
mod load_database;
mod purge_database;
mod repair_worker;
mod restart_worker;
mod start_database;
mod stop_database;
mod undelete_database;

use super::Step;
use crate::domain::job::{Job, JobKind, StepName};
use std::time::Duration;

/// The steps of a kind, in order.
#[must_use]
pub fn steps(kind: &JobKind) -> &'static [Step] {
    match kind {
        JobKind::CreateDatabase => create_database::STEPS,
        JobKind::StopDatabase => stop_database::STEPS,
        JobKind::StartDatabase => start_database::STEPS,
        JobKind::DeleteDatabase => delete_database::STEPS,
        JobKind::PurgeDatabase => purge_database::STEPS,
        JobKind::UndeleteDatabase => undelete_database::STEPS,
        JobKind::RestartWorker => restart_worker::STEPS,
        JobKind::RepairWorker { .. } => repair_worker::STEPS,
        JobKind::LoadDatabase { .. } => load_database::STEPS,
        JobKind::CreateFromUpload { .. } => load_database::CREATE_STEPS,
        JobKind::ExchangeContents { .. } => load_database::EXCHANGE_STEPS,
        JobKind::ImportTable { .. } => import_table::STEPS,
    }
}

/// How long the longest step of a kind may take.
pub(super) fn longest_step(kind: &JobKind) -> Duration {
    let limits = steps(kind).iter().map(|step| step.time_limit);
    limits.max().unwrap_or_default()
}

/// The first step that has not succeeded.
pub(super) fn next_step(job: &Job) -> Option<&'static Step> {
    steps(&job.kind)
        .iter()
        .find(|step| !job.finished_steps.iter().any(|done| done.0 == step.name))
}

/// The step of that name.
pub(super) fn step(kind: &JobKind, name: &StepName) -> Option<&'static Step> {
    steps(kind).iter().find(|step| step.name == name.0)
}

/// The step after the one of that name.
pub(super) fn step_behind(kind: &JobKind, name: &StepName) -> Option<&'static Step> {
    let mut rest = steps(kind).iter().skip_while(|step| step.name != name.0);
    rest.next();
    rest.next()
}
