//! What follows from a look at all workers. Pure: state, workers, memory and time in, findings
//! out.
use super::finding::{Finding, Look, Plan, Waiting};
use super::memory::Memory;
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::{DatabaseId, RequestId};
use crate::domain::state::State;
use crate::runtime::{Worker, WorkerSpec, WorkerState};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use uuid::Uuid;

/// Fewer workers than this may be ended in one pass whatever the size of the fleet.
const FUSE: usize = 3;

/// Plans what a look asks for. `before` is the state before the look and `after` the one behind
/// it: what is to run must have been so before, what is unknown must still be so after.
#[must_use]
pub fn plan(
    before: &State,
    look: &Look,
    after: &State,
    folder_of: &dyn Fn(DatabaseId) -> PathBuf,
    memory: &mut Memory,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    // Workers that could not be seen wholly are unknown: nothing follows, and no time passes.
    if let Some(workers) = &look.workers {
        memory.begin_look(now);
        plan_workers(&mut plan, before, workers, folder_of, memory, now);
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
        let id = name.rsplit_once(".reserving-").map_or(name, |(_, id)| id);
        let id = id.rsplit_once(".purging-").map_or(id, |(_, id)| id);
        id.parse().map_or(true, |it| after.database(it).is_none())
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

/// Workers of databases that should have one.
fn plan_workers(
    plan: &mut Plan,
    state: &State,
    workers: &[Worker],
    folder_of: &dyn Fn(DatabaseId) -> PathBuf,
    memory: &mut Memory,
    now: Timestamp,
) {
    let by_database: HashMap<DatabaseId, &Worker> = workers
        .iter()
        .filter(|it| !it.is_quarantined())
        .map(|it| (it.database, it))
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
            Some(it) => trouble_of(state, database, it, folder_of),
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

/// Workers with this forge's mark whose database nobody knows, and those in quarantine.
fn plan_strays(
    plan: &mut Plan,
    workers: &[Worker],
    after: &State,
    memory: &mut Memory,
    now: Timestamp,
) {
    let is_stray = |it: &&Worker| !it.is_quarantined() && after.database(it.database).is_none();
    let strays: Vec<&Worker> = workers.iter().filter(is_stray).collect();
    let ids: Vec<&str> = strays.iter().map(|it| it.id.as_str()).collect();
    let grace = memory.grace_of(&ids);
    // Those that still have their grace count too: many strays are many however they came.
    let is_halted = strays.len() > most_at_once(workers.len());
    for (stray, grace) in strays.into_iter().zip(grace) {
        let finding = Finding::Quarantine {
            worker: stray.id.clone(),
            name: stray.name.clone(),
            labelled: stray.database,
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

/// The fuse: more workers than this are never ended in one pass without a person's word.
#[must_use]
fn most_at_once(workers: usize) -> usize {
    FUSE.max(workers / 10)
}

/// A database that a job works on is that job's business.
fn should_run(database: &Database) -> bool {
    database.condition == Condition::Ready
        && database.queue.is_empty()
        && database.degraded.is_none()
}

fn trouble_of(
    state: &State,
    database: &Database,
    worker: &Worker,
    folder_of: &dyn Fn(DatabaseId) -> PathBuf,
) -> Option<&'static str> {
    let instance = state.instance?;
    let nobody = RequestId(Uuid::nil()); // who asked is no part of a spec's hash
    let wanted = WorkerSpec::of(database, instance, folder_of(database.id), nobody);
    match worker.state {
        WorkerState::Exited => Some("it has exited"),
        WorkerState::Unhealthy => Some("its health check fails, or it is paused"),
        WorkerState::Starting | WorkerState::Healthy if worker.spec != wanted.hash() => {
            Some("it was created for other settings")
        }
        WorkerState::Starting | WorkerState::Healthy => None,
    }
}
