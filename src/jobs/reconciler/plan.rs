//! What follows from a look at all workers. Pure: state, workers, memory and time in, findings
//! out.
use super::finding::{Finding, Look, Plan, Waiting};
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::{DatabaseId, RequestId};
use crate::domain::state::State;
use crate::runtime::{Worker, WorkerSpec, WorkerState};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Repairs in a row before a worker is left alone.
const REPAIRS_BEFORE_GIVING_UP: u32 = 5;
/// The wait behind the first repair; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long a worker without a database is only watched: what put it there may still be at work.
const STRAY_GRACE: Duration = Duration::from_secs(300);
/// Fewer workers than this may be ended in one pass whatever the size of the fleet.
const FUSE: usize = 3;
/// A worker that has been well for this long starts with a clean slate.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// What earlier looks have shown. It lives as long as the process: forgetting it costs a second
/// look and some patience.
#[derive(Debug, Default)]
pub struct Memory {
    missing_once: HashSet<DatabaseId>,
    /// In trouble, and repaired too lately to be repaired again now.
    waiting: HashSet<DatabaseId>,
    repairs: HashMap<DatabaseId, Repairs>,
    /// Workers without a database, and when they were first seen so.
    strays: HashMap<String, Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct Repairs {
    count: u32,
    latest: Timestamp,
}

impl Memory {
    /// Whether something waits for another look soon.
    #[must_use]
    pub fn wants_another_look(&self) -> bool {
        !self.missing_once.is_empty() || !self.waiting.is_empty()
    }
}

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
    plan_workers(&mut plan, before, look, folder_of, memory, now);
    plan_strays(&mut plan, look, after, memory, now);
    for (database, place) in &look.without_file {
        let is_quiet = |state: &State| state.database(*database).map(|it| it.sequence);
        if is_quiet(before) == is_quiet(after) {
            plan.findings.push(Finding::DataMissing {
                database: *database,
                place: *place,
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
    look: &Look,
    folder_of: &dyn Fn(DatabaseId) -> PathBuf,
    memory: &mut Memory,
    now: Timestamp,
) {
    let by_database: HashMap<DatabaseId, &Worker> = look
        .workers
        .iter()
        .filter(|it| !it.is_quarantined())
        .map(|it| (it.database, it))
        .collect();
    let (mut missing, mut waiting) = (HashSet::new(), HashSet::new());
    for database in state.databases().filter(|it| should_run(it)) {
        let worker = by_database.get(&database.id).copied();
        let trouble = match worker {
            None if memory.has_missed(database.id) => Some("it is missing"),
            None => {
                missing.insert(database.id);
                plan.waiting.push(Waiting {
                    finding: repair(database, "it is missing"),
                    due_at: None,
                });
                None
            }
            Some(it) => trouble_of(state, database, it, folder_of),
        };
        match trouble {
            Some(trouble) => match memory.judge(database, trouble, now) {
                Ok(finding) => plan.findings.push(finding),
                Err(due_at) => {
                    waiting.insert(database.id);
                    plan.waiting.push(Waiting {
                        finding: repair(database, trouble),
                        due_at: Some(due_at),
                    });
                }
            },
            None if worker.is_some() => memory.forgive(database.id, now),
            None => {}
        }
    }
    memory.missing_once = missing;
    memory.waiting = waiting;
    memory.repairs.retain(|id, _| state.database(*id).is_some());
}

/// Workers with this forge's mark whose database nobody knows, and those in quarantine.
fn plan_strays(plan: &mut Plan, look: &Look, after: &State, memory: &mut Memory, now: Timestamp) {
    let is_stray = |it: &&Worker| !it.is_quarantined() && after.database(it.database).is_none();
    let strays: Vec<&Worker> = look.workers.iter().filter(is_stray).collect();
    memory
        .strays
        .retain(|id, _| strays.iter().any(|it| it.id == *id));
    let mut due = Vec::new();
    for stray in strays {
        let finding = Finding::Quarantine {
            worker: stray.id.clone(),
            name: stray.name.clone(),
            labelled: stray.database,
        };
        let due_at = memory.strays.entry(stray.id.clone()).or_insert(now);
        let due_at = due_at.after(STRAY_GRACE);
        if due_at <= now {
            due.push(finding);
        } else {
            plan.waiting.push(Waiting {
                finding,
                due_at: Some(due_at),
            });
        }
    }
    if due.len() > most_at_once(look.workers.len()) {
        plan.halted = due;
    } else {
        plan.findings.extend(due);
    }
    for worker in &after.quarantined {
        if !look.workers.iter().any(|it| it.id == *worker) {
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

fn repair(database: &Database, trouble: &str) -> Finding {
    Finding::Repair {
        database: database.id,
        finding: format!("worker of `{}`: {trouble}", database.name),
    }
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
        WorkerState::Unhealthy => Some("its check fails, or it is paused"),
        WorkerState::Starting | WorkerState::Healthy if worker.spec != wanted.hash() => {
            Some("it was made for other settings")
        }
        WorkerState::Starting | WorkerState::Healthy => None,
    }
}

impl Memory {
    fn has_missed(&self, id: DatabaseId) -> bool {
        self.missing_once.contains(&id) || self.waiting.contains(&id)
    }

    /// What is done about a worker in trouble, or when something may be.
    fn judge(
        &mut self,
        database: &Database,
        trouble: &'static str,
        now: Timestamp,
    ) -> Result<Finding, Timestamp> {
        let earlier = self.repairs.get(&database.id).copied();
        let count = earlier.map_or(0, |it| it.count);
        let wait = FIRST_WAIT * (1 << count.saturating_sub(1).min(10));
        let due_at = earlier.map_or(now, |it| it.latest.after(wait));
        // A clock that was set back would let it wait for as long as that.
        if now < due_at && due_at.since(now) <= wait {
            return Err(due_at);
        }
        if count >= REPAIRS_BEFORE_GIVING_UP {
            self.repairs.remove(&database.id);
            return Ok(Finding::GiveUp {
                database: database.id,
                reason: format!(
                    "the worker of `{}` was replaced {count} times in a row and still: {trouble}",
                    database.name
                ),
            });
        }
        let repairs = Repairs {
            count: count + 1,
            latest: now,
        };
        self.repairs.insert(database.id, repairs);
        Ok(repair(database, trouble))
    }

    fn forgive(&mut self, id: DatabaseId, now: Timestamp) {
        let is_well = |it: &Repairs| now >= it.latest.after(FORGIVEN_AFTER);
        if self.repairs.get(&id).is_some_and(is_well) {
            self.repairs.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: i64 = 1_772_366_400_000;

    fn stray(n: u128, quarantined: bool) -> Worker {
        let name = format!("stray-{n}");
        Worker {
            id: format!("w{n}"),
            name: if quarantined {
                format!("{}{name}", crate::runtime::QUARANTINED)
            } else {
                name
            },
            database: DatabaseId(Uuid::from_u128(n)),
            spec: String::new(),
            state: WorkerState::Healthy,
        }
    }

    fn planned(workers: Vec<Worker>, memory: &mut Memory, seconds: u64) -> Plan {
        let look = Look {
            workers,
            ..Look::default()
        };
        let now = Timestamp::from_millis(NOW).after(Duration::from_secs(seconds));
        let state = State::default();
        let folder_of = |id: DatabaseId| PathBuf::from(id.to_string());
        plan(&state, &look, &state, &folder_of, memory, now)
    }

    proptest! {
        #[test]
        fn the_fuse_holds_and_what_was_done_is_not_asked_for_again(
            strays in 0_usize..60, settled in 0_usize..60,
        ) {
            let mut memory = Memory::default();
            let workers = |done: bool| -> Vec<Worker> {
                let all = 0..strays + settled;
                all.map(|n| stray(n as u128, done || n >= strays)).collect()
            };
            let first = planned(workers(false), &mut memory, 0);
            prop_assert_eq!(first.findings.len(), 0, "nobody is ended at first sight");
            prop_assert_eq!(first.waiting.len(), strays);
            let due = planned(workers(false), &mut memory, 300);
            let bound = most_at_once(strays + settled);
            prop_assert!(due.findings.len() <= bound);
            prop_assert_eq!(!due.halted.is_empty(), strays > bound);
            prop_assert_eq!(due.halted.len() + due.findings.len(), strays);
            let applied = planned(workers(true), &mut memory, 301);
            prop_assert_eq!(applied, Plan::default());
        }
    }

    #[test]
    fn a_stray_that_went_away_and_came_back_has_its_grace_again() {
        let mut memory = Memory::default();
        let seen = |memory: &mut Memory, at| planned(vec![stray(1, false)], memory, at);
        assert_eq!(seen(&mut memory, 0).findings, []);
        assert_eq!(planned(vec![], &mut memory, 200), Plan::default());
        assert_eq!(seen(&mut memory, 300).findings, []);
        assert_eq!(seen(&mut memory, 600).findings.len(), 1);
    }
}
