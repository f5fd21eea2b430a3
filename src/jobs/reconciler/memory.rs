//! What earlier passes have found. It is kept in memory: losing it costs a second pass and a
//! longer wait.
use super::finding::Finding;
use crate::clock::timestamp::Timestamp;
use crate::domain::database::Database;
use crate::domain::ids::DatabaseId;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Repairs in a row before the reconciler gives up on a worker.
const REPAIRS_BEFORE_GIVING_UP: u32 = 5;
/// The pause after the first repair; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long an orphaned worker is only observed, because its creator may still be working.
pub(super) const ORPHAN_GRACE: Duration = Duration::from_secs(300);
/// A worker that has been healthy for this long has its repairs forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// The longest time counted between two passes, whatever the system clock says. A pass
/// runs at least every 90 s, so a longer step means that the clock was set, the machine slept, or
/// the runtime was unreachable. Grace periods count only observed time.
const LONGEST_STEP: Duration = Duration::from_secs(120);

/// What is remembered between passes.
#[derive(Debug, Default)]
pub struct Memory {
    looked_at: Option<Timestamp>,
    /// The observed time since the first pass. All grace periods count it.
    watched: Duration,
    pub(super) missing_once: HashSet<DatabaseId>,
    /// Unhealthy, but repaired too recently for another repair.
    pub(super) waiting: HashSet<DatabaseId>,
    repairs: HashMap<DatabaseId, Repairs>,
    /// Orphaned workers, and when they were first seen.
    orphans: HashMap<String, Duration>,
    /// What was reported to the operator in the last pass.
    told: HashSet<Finding>,
}

#[derive(Debug, Clone, Copy)]
struct Repairs {
    count: u32,
    latest: Duration,
}

impl Memory {
    /// Whether another pass is needed soon.
    #[must_use]
    pub fn wants_another_look(&self) -> bool {
        !self.missing_once.is_empty() || !self.waiting.is_empty()
    }

    /// Counts the time since the last pass. A clock that was set back counts nothing.
    pub(super) fn begin_look(&mut self, now: Timestamp) {
        let step = self
            .looked_at
            .map_or(Duration::ZERO, |before| now.since(before));
        self.watched += step.min(LONGEST_STEP);
        self.looked_at = Some(now);
    }

    pub(super) fn has_missed(&self, id: DatabaseId) -> bool {
        self.missing_once.contains(&id) || self.waiting.contains(&id)
    }

    /// The action for an unhealthy worker, or how long to wait before it.
    pub(super) fn judge(
        &mut self,
        database: &Database,
        trouble: &'static str,
    ) -> Result<Finding, Duration> {
        let earlier = self.repairs.get(&database.id).copied();
        let count = earlier.map_or(0, |it| it.count);
        let wait = FIRST_WAIT * (1 << count.saturating_sub(1).min(10));
        let due = earlier.map_or(Duration::ZERO, |repairs| repairs.latest + wait);
        if self.watched < due {
            return Err(due - self.watched);
        }
        if count >= REPAIRS_BEFORE_GIVING_UP {
            self.repairs.remove(&database.id);
            return Ok(Finding::GiveUp {
                database: database.id,
                reason: format!(
                    "the worker of `{}` was replaced {count} times in a row without success: {trouble}",
                    database.name
                ),
            });
        }
        let repairs = Repairs {
            count: count + 1,
            latest: self.watched,
        };
        self.repairs.insert(database.id, repairs);
        Ok(Finding::repair(database, trouble))
    }

    /// Notes a healthy worker.
    pub(super) fn forgive(&mut self, id: DatabaseId) {
        let is_well = |it: &Repairs| self.watched >= it.latest + FORGIVEN_AFTER;
        if self.repairs.get(&id).is_some_and(is_well) {
            self.repairs.remove(&id);
        }
    }

    pub(super) fn forget_repairs_unless(&mut self, is_known: impl Fn(DatabaseId) -> bool) {
        self.repairs.retain(|id, _| is_known(*id));
    }

    /// Findings that the previous pass did not have: each is reported once, not in every
    /// pass.
    pub(super) fn news<'a>(&mut self, findings: Vec<&'a Finding>) -> Vec<&'a Finding> {
        let told = findings.iter().map(|finding| (*finding).clone()).collect();
        let before = std::mem::replace(&mut self.told, told);
        let is_news = |it: &&Finding| !before.contains(it);
        findings.into_iter().filter(is_news).collect()
    }

    /// The remaining grace of each of these orphaned workers; forgets all others.
    pub(super) fn grace_of(&mut self, orphans: &[&str]) -> Vec<Duration> {
        self.orphans.retain(|id, _| orphans.contains(&id.as_str()));
        let watched = self.watched;
        orphans
            .iter()
            .map(|id| *self.orphans.entry((*id).to_owned()).or_insert(watched))
            .map(|seen| (seen + ORPHAN_GRACE).saturating_sub(watched))
            .collect()
    }
}
