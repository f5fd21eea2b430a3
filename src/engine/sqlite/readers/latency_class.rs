//! What is remembered about a database's statements: which are short, which are long, and which
//! end well.
//!
//! A read earns the fast class, the thread that serves HTTP, by having been short on a thread of its
//! own twice and by a program that is bounded: however it is run afterwards, a slice of time cuts
//! it. It loses the class when it is cut, and may earn it again. A schema change forgets everything,
//! since the same text may mean other work.
use crate::engine::sqlite::Bounds;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a statement was the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A read that was short, whose program nobody has looked at.
    Short,
    /// A read that was short and whose program is bounded.
    Fast(Fast),
    /// A read that was short and whose program is not bounded.
    Unbounded,
    /// A read that was not short or did not end within its bounds, or a write that ran out of its
    /// slice.
    Slow,
    /// A write that ended well.
    Proven,
}

/// Longer texts are not remembered: to look them up takes time where others wait, and keeping them
/// takes memory.
const LONGEST_TEXT: usize = 16 << 10;

/// What is known of a read in the fast class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fast {
    pub(crate) bounds: Bounds,
    /// Long enough to be interrupted often where processors are busy.
    pub(crate) is_long: bool,
}

#[derive(Debug)]
pub(crate) struct Lanes {
    most: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    recent: HashMap<Arc<str>, Lane>,
    /// Those before, of which each that is asked for becomes a recent one.
    older: HashMap<Arc<str>, Lane>,
    /// Raised when everything is forgotten: who learned before has nothing to add after.
    epoch: u64,
}

impl Known {
    /// Texts that never come again fill it; what is asked for in between stays.
    fn remember(&mut self, sql: Arc<str>, lane: Lane, most: usize) {
        if self.recent.len() >= most / 2 && !self.recent.contains_key(&sql) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(sql, lane);
    }
}

impl Lanes {
    /// Remembers at most `most` statements.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    pub(crate) fn of(&self, sql: &str) -> Option<Lane> {
        if sql.len() > LONGEST_TEXT {
            return None;
        }
        let mut known = self.lock();
        if let Some(lane) = known.recent.get(sql) {
            return Some(*lane);
        }
        let (sql, lane) = known.older.remove_entry(sql)?;
        known.remember(sql, lane, self.most);
        Some(lane)
    }

    /// Says when something is being learned.
    pub(crate) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Remembers what was learned since `epoch`.
    pub(crate) fn learn(&self, epoch: u64, sql: &Arc<str>, lane: Option<Lane>) {
        if sql.len() > LONGEST_TEXT {
            return;
        }
        let mut known = self.lock();
        if known.epoch != epoch {
            return;
        }
        match lane {
            None => {
                known.recent.remove(sql);
                known.older.remove(sql);
            }
            Some(lane) => known.remember(Arc::clone(sql), lane, self.most),
        }
    }

    pub(crate) fn forget_all(&self) {
        let mut known = self.lock();
        known.recent.clear();
        known.older.clear();
        known.epoch += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_before_the_schema_changed_is_not_remembered_after() {
        let lanes = Lanes::new(2);
        let sql: Arc<str> = "SELECT 1".into();
        let before = lanes.epoch();
        lanes.learn(before, &sql, Some(Lane::Short));
        assert_eq!(lanes.of("SELECT 1"), Some(Lane::Short));
        lanes.forget_all();
        assert_eq!(lanes.of("SELECT 1"), None);
        lanes.learn(before, &sql, Some(Lane::Short));
        assert_eq!(lanes.of("SELECT 1"), None);
    }

    #[test]
    fn no_more_statements_are_remembered_than_allowed() {
        let lanes = Lanes::new(4);
        for text in ["a", "b", "c", "d", "e", "f", "g"] {
            lanes.learn(0, &text.into(), Some(Lane::Slow));
            let known = lanes.lock();
            assert!(known.recent.len() + known.older.len() <= 4);
            drop(known);
            assert_eq!(lanes.of(text), Some(Lane::Slow));
        }
        assert_eq!(lanes.of("a"), None);
    }

    #[test]
    fn what_is_asked_for_again_and_again_outlives_texts_that_never_come_again() {
        let lanes = Lanes::new(4);
        lanes.learn(0, &"hot".into(), Some(Lane::Short));
        for text in ["a", "b", "c", "d", "e", "f", "g"] {
            lanes.learn(0, &text.into(), Some(Lane::Proven));
            assert_eq!(lanes.of("hot"), Some(Lane::Short), "after {text}");
        }
        lanes.learn(0, &"hot".into(), None);
        assert_eq!(lanes.of("hot"), None);
    }
}
