//! What follows from a look at all workers. Pure: state, workers, memory and time in, findings
//! out.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::{Condition, Database};
use crate::domain::ids::{DatabaseId, RequestId};
use crate::domain::state::State;
use crate::runtime::{Worker, WorkerSpec, WorkerState};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Repairs in a row before a worker is left alone.
const REPAIRS_BEFORE_GIVING_UP: u32 = 5;
/// The wait behind the first repair; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// A worker that has been well for this long starts with a clean slate.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);

/// Something that differs, and what is done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The worker is replaced by a job.
    Repair {
        /// Whose.
        database: DatabaseId,
        /// What was found.
        finding: String,
    },
    /// The worker has been repaired too often: it is left alone.
    GiveUp {
        /// Whose.
        database: DatabaseId,
        /// What was found and tried.
        reason: String,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repair { finding, .. } => write!(f, "a worker is replaced: {finding}"),
            Self::GiveUp { reason, .. } => write!(f, "a worker is left alone: {reason}"),
        }
    }
}

/// What earlier looks have shown. It lives as long as the process: forgetting it costs a second
/// look and some patience.
#[derive(Debug, Default)]
pub struct Memory {
    missing_once: HashSet<DatabaseId>,
    /// In trouble, and repaired too lately to be repaired again now.
    waiting: HashSet<DatabaseId>,
    repairs: HashMap<DatabaseId, Repairs>,
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

/// Plans what a complete list of workers asks for.
#[must_use]
pub fn plan(
    state: &State,
    workers: &[Worker],
    folder_of: &dyn Fn(DatabaseId) -> PathBuf,
    memory: &mut Memory,
    now: Timestamp,
) -> Vec<Finding> {
    let by_database: HashMap<DatabaseId, &Worker> =
        workers.iter().map(|it| (it.database, it)).collect();
    let (mut missing, mut waiting) = (HashSet::new(), HashSet::new());
    let mut findings = Vec::new();
    for database in state.databases().filter(|it| should_run(it)) {
        let worker = by_database.get(&database.id).copied();
        let trouble = match worker {
            None if memory.has_missed(database.id) => Some("it is missing"),
            None => {
                missing.insert(database.id);
                None
            }
            Some(it) => trouble_of(state, database, it, folder_of),
        };
        match trouble {
            Some(trouble) => match memory.judge(database, trouble, now) {
                Some(finding) => findings.push(finding),
                None => drop(waiting.insert(database.id)),
            },
            None if worker.is_some() => memory.forgive(database.id, now),
            None => {}
        }
    }
    memory.missing_once = missing;
    memory.waiting = waiting;
    memory.repairs.retain(|id, _| state.database(*id).is_some());
    findings
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

    fn judge(
        &mut self,
        database: &Database,
        trouble: &'static str,
        now: Timestamp,
    ) -> Option<Finding> {
        let earlier = self.repairs.get(&database.id).copied();
        let count = earlier.map_or(0, |it| it.count);
        let wait = FIRST_WAIT * (1 << count.saturating_sub(1).min(10));
        if earlier.is_some_and(|it| now < it.latest.after(wait)) {
            return None;
        }
        if count >= REPAIRS_BEFORE_GIVING_UP {
            self.repairs.remove(&database.id);
            return Some(Finding::GiveUp {
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
        Some(Finding::Repair {
            database: database.id,
            finding: format!("worker of `{}`: {trouble}", database.name),
        })
    }

    fn forgive(&mut self, id: DatabaseId, now: Timestamp) {
        let is_well = |it: &Repairs| now >= it.latest.after(FORGIVEN_AFTER);
        if self.repairs.get(&id).is_some_and(is_well) {
            self.repairs.remove(&id);
        }
    }
}
