//! What earlier looks have shown: it lives as long as the process. Forgetting it costs a second
//! look and some patience.
use super::finding::Finding;
use crate::clock::timestamp::Timestamp;
use crate::domain::database::Database;
use crate::domain::ids::DatabaseId;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// Repairs in a row before a worker is left alone.
const REPAIRS_BEFORE_GIVING_UP: u32 = 5;
/// The wait behind the first repair; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// How long a worker without a database is only watched: what put it there may still be at work.
pub(super) const STRAY_GRACE: Duration = Duration::from_secs(300);
/// A worker that has been well for this long starts with a clean slate.
const FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// The most that passes from one look to the next, whatever the machine's clock says: a look
/// comes at least every 90 s, so a longer step is a clock that was set, a machine that slept, or
/// an engine that could not be seen. No grace passes unwatched.
const LONGEST_STEP: Duration = Duration::from_secs(120);

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub struct Memory {
    looked_at: Option<Timestamp>,
    /// The time that was watched since the first look. Every wait is counted in it.
    watched: Duration,
    pub(super) missing_once: HashSet<DatabaseId>,
    /// In trouble, and repaired too lately to be repaired again now.
    pub(super) waiting: HashSet<DatabaseId>,
    repairs: HashMap<DatabaseId, Repairs>,
    /// Workers without a database, and when they were first seen so.
    strays: HashMap<String, Duration>,
    /// What only a person can mend and was told in the latest look.
    told: HashSet<Finding>,
}

#[derive(Debug, Clone, Copy)]
struct Repairs {
    count: u32,
    latest: Duration,
}

impl Memory {
    /// Whether something waits for another look soon.
    #[must_use]
    pub fn wants_another_look(&self) -> bool {
        !self.missing_once.is_empty() || !self.waiting.is_empty()
    }

    /// Counts the time since the last look. A clock that was set back counts nothing.
    pub(super) fn begin_look(&mut self, now: Timestamp) {
        let step = self.looked_at.map_or(Duration::ZERO, |it| now.since(it));
        self.watched += step.min(LONGEST_STEP);
        self.looked_at = Some(now);
    }

    pub(super) fn has_missed(&self, id: DatabaseId) -> bool {
        self.missing_once.contains(&id) || self.waiting.contains(&id)
    }

    /// What is done about a worker in trouble, or how long nothing may be.
    pub(super) fn judge(
        &mut self,
        database: &Database,
        trouble: &'static str,
    ) -> Result<Finding, Duration> {
        let earlier = self.repairs.get(&database.id).copied();
        let count = earlier.map_or(0, |it| it.count);
        let wait = FIRST_WAIT * (1 << count.saturating_sub(1).min(10));
        let due = earlier.map_or(Duration::ZERO, |it| it.latest + wait);
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

    /// A worker is well.
    pub(super) fn forgive(&mut self, id: DatabaseId) {
        let is_well = |it: &Repairs| self.watched >= it.latest + FORGIVEN_AFTER;
        if self.repairs.get(&id).is_some_and(is_well) {
            self.repairs.remove(&id);
        }
    }

    pub(super) fn forget_repairs_unless(&mut self, is_known: impl Fn(DatabaseId) -> bool) {
        self.repairs.retain(|id, _| is_known(*id));
    }

    /// Those of the findings that the look before did not have: each is told once, not in every
    /// look while it lasts.
    pub(super) fn news<'a>(&mut self, findings: Vec<&'a Finding>) -> Vec<&'a Finding> {
        let told = findings.iter().map(|it| (*it).clone()).collect();
        let before = std::mem::replace(&mut self.told, told);
        let is_news = |it: &&Finding| !before.contains(it);
        findings.into_iter().filter(is_news).collect()
    }

    /// How long each of these workers without a database still has; the others are forgotten.
    pub(super) fn grace_of(&mut self, strays: &[&str]) -> Vec<Duration> {
        self.strays.retain(|id, _| strays.contains(&id.as_str()));
        let watched = self.watched;
        strays
            .iter()
            .map(|id| *self.strays.entry((*id).to_owned()).or_insert(watched))
            .map(|seen| (seen + STRAY_GRACE).saturating_sub(watched))
            .collect()
    }
}
