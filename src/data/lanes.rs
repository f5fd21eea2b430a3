//! What is remembered about a database's statements: which are short and which are long.
//!
//! A read earns the fast lane, the thread that serves HTTP, by having been short and calm on a
//! thread of its own; it loses the lane when it runs out of its slice, and may earn it again.
//! Whoever changes the schema makes everybody earn anew, since the same text may mean other work.
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How a statement was the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// A read that was short and calm.
    Fast,
    /// A read that was calm and not short, or a write that ran out of its slice.
    Slow,
}

#[derive(Debug)]
pub(super) struct Lanes {
    most: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_sql: HashMap<Arc<str>, Lane>,
    /// Raised when everything is forgotten: who learned before has nothing to add after.
    epoch: u64,
}

impl Lanes {
    /// Remembers at most `most` statements.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    pub(super) fn of(&self, sql: &str) -> Option<Lane> {
        self.lock().by_sql.get(sql).copied()
    }

    pub(super) fn is_slow(&self, sql: &str) -> bool {
        self.of(sql) == Some(Lane::Slow)
    }

    /// Says when something is being learned.
    pub(super) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Remembers what was learned since `epoch`.
    pub(super) fn learn(&self, epoch: u64, sql: &Arc<str>, lane: Option<Lane>) {
        let mut known = self.lock();
        if known.epoch != epoch {
            return;
        }
        match lane {
            None => {
                known.by_sql.remove(sql);
            }
            Some(lane) => {
                if known.by_sql.len() >= self.most && !known.by_sql.contains_key(sql) {
                    // Texts that never come again fill it; what matters is soon learned anew.
                    known.by_sql.clear();
                }
                known.by_sql.insert(Arc::clone(sql), lane);
            }
        }
    }

    pub(super) fn forget_all(&self) {
        let mut known = self.lock();
        known.by_sql.clear();
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
        lanes.learn(before, &sql, Some(Lane::Fast));
        assert_eq!(lanes.of("SELECT 1"), Some(Lane::Fast));
        lanes.forget_all();
        assert_eq!(lanes.of("SELECT 1"), None);
        lanes.learn(before, &sql, Some(Lane::Fast));
        assert_eq!(lanes.of("SELECT 1"), None);
    }

    #[test]
    fn no_more_statements_are_remembered_than_allowed() {
        let lanes = Lanes::new(2);
        for text in ["a", "b", "c", "d", "e"] {
            lanes.learn(0, &text.into(), Some(Lane::Slow));
            assert!(lanes.lock().by_sql.len() <= 2);
            assert_eq!(lanes.of(text), Some(Lane::Slow));
        }
    }
}
