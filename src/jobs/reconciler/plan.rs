//! Plans what to do after an inspection. Pure: state, workers, memory and time in, findings
//! out.
use super::finding::{Finding, Look, ReconcilePlan, Waiting};
use super::memory::Memory;
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::DatabaseId;
use crate::domain::state::State;
use crate::runtime::{Worker, WorkerState};
use std::collections::{HashMap, HashSet};

/// This many workers may be stopped in one pass whatever their total.
const FUSE: usize = 3;

/// Plans the actions of a pass.
///
/// `before` is the state before the inspection, `after` the one after
/// it: a worker is missing only if it should have run before, unknown only if it still is after.
/// `wanted` is the hash of the spec of the worker that a database is to have.
#[must_use]
pub fn plan(
    before: &State,
    look: &Look,
    after: &State,
    wanted: &dyn Fn(&Database) -> Option<String>,
    memory: &mut Memory,
    now: Timestamp,
) -> ReconcilePlan {
    let mut plan = ReconcilePlan::default();
    // If the list of workers is incomplete, nothing is done and no time is counted.
    if let Some(workers) = &look.workers {
        memory.begin_look(now);
        plan_workers(&mut plan, before, workers, wanted, memory, now);
        plan_strays(&mut plan, workers, after, memory, now);
    }
    for (database, place, seen) in &look.without_file {
        let is_quiet = |state: &State| state.database(*database).map(|it| it.sequence);
        if is_quiet(before) == is_quiet(after) {
            plan.findings.push(Finding::DataMissing {
                database: *database,
                place: *place,
                seen: *seen,
            });
        }
    }
    let is_unknown = |name: &str| {
        // What a job builds in is removed when it has ended.
        if name.starts_with(".building-") {
            return false;
        }
        let id = name.rsplit_once(".reserving-").map_or(name, |(_, id)| id);
        let id = id.rsplit_once(".purging-").map_or(id, |(_, id)| id);
        id.parse().map_or(true, |id| after.database(id).is_none())
    };
    for (place, name) in &look.folders {
        if is_unknown(name) {
            plan.findings.push(Finding::UnknownFolder {
                place: *place,
                name: name.clone(),
            });
        }
    }
    plan
}

/// The workers of databases that should have one.
fn plan_workers(
    plan: &mut ReconcilePlan,
    state: &State,
    workers: &[Worker],
    wanted: &dyn Fn(&Database) -> Option<String>,
    memory: &mut Memory,
    now: Timestamp,
) {
    let by_database: HashMap<DatabaseId, &Worker> = workers
        .iter()
        .filter(|worker| !worker.is_quarantined())
        .map(|worker| (worker.database, worker))
        .collect();
    let (mut missing, mut waiting) = (HashSet::new(), HashSet::new());
    for database in state.own_databases().filter(|it| should_run(it)) {
        let worker = by_database.get(&database.id).copied();
        let trouble = match worker {
            None if memory.has_missed(database.id) => Some("it is missing"),
            None => {
                missing.insert(database.id);
                plan.waiting.push(Waiting {
                    finding: Finding::repair(database, "it is missing"),
                    due_at: None,
                });
                None
            }
            Some(it) => trouble_of(database, it, wanted),
        };
        match trouble {
            Some(trouble) => match memory.judge(database, trouble) {
                Ok(finding) => plan.findings.push(finding),
                Err(wait) => {
                    waiting.insert(database.id);
                    plan.waiting.push(Waiting {
                        finding: Finding::repair(database, trouble),
                        due_at: Some(now.after(wait)),
                    });
                }
            },
            None if worker.is_some() => memory.forgive(database.id),
            None => {}
        }
    }
    memory.missing_once = missing;
    memory.waiting = waiting;
    memory.forget_repairs_unless(|id| state.database(id).is_some());
}

/// Orphaned workers (with this forge's label and an unknown database), and quarantined ones.
fn plan_strays(
    plan: &mut ReconcilePlan,
    workers: &[Worker],
    after: &State,
    memory: &mut Memory,
    now: Timestamp,
) {
    let is_orphan = |it: &&Worker| !it.is_quarantined() && after.database(it.database).is_none();
    let orphans: Vec<&Worker> = workers.iter().filter(is_orphan).collect();
    let ids: Vec<&str> = orphans.iter().map(|worker| worker.id.as_str()).collect();
    let grace = memory.grace_of(&ids);
    // Workers in their grace period count for the disruption limit too.
    let is_halted = orphans.len() > most_at_once(workers.len());
    for (orphan, grace) in orphans.into_iter().zip(grace) {
        let finding = Finding::Quarantine {
            worker: orphan.id.clone(),
            name: orphan.name.clone(),
            labelled: orphan.database,
        };
        if !grace.is_zero() {
            plan.waiting.push(Waiting {
                finding,
                due_at: Some(now.after(grace)),
            });
        } else if is_halted {
            plan.halted.push(finding);
        } else {
            plan.findings.push(finding);
        }
    }
    for worker in &after.quarantined {
        if !workers.iter().any(|it| it.id == *worker) {
            let worker = worker.clone();
            plan.findings.push(Finding::QuarantineEnded { worker });
        }
    }
}

/// The disruption limit: the most workers that one pass stops without operator approval.
#[must_use]
fn most_at_once(workers: usize) -> usize {
    FUSE.max(workers / 10)
}

/// A database with a job is left to that job.
fn should_run(database: &Database) -> bool {
    database.condition == Condition::Ready
        && database.queue.is_empty()
        && database.degraded.is_none()
}

fn trouble_of(
    database: &Database,
    worker: &Worker,
    wanted: &dyn Fn(&Database) -> Option<String>,
) -> Option<&'static str> {
    let wanted = wanted(database)?;
    match worker.state {
        WorkerState::Exited => Some("it has exited"),
        WorkerState::Unhealthy => Some("its health check fails, or it is paused"),
        WorkerState::Starting | WorkerState::Healthy if worker.spec != wanted => {
            Some("it was created for other settings")
        }
        WorkerState::Starting | WorkerState::Healthy => None,
    }
}
