//! Classifies a database's statements by their latency: which are short, which are long, and which
//! writes succeed.
//!
//! A read gets into the fast class, and runs on the thread that serves HTTP, when it was short
//! twice on a thread of its own and its program is bounded: from then on a time slice interrupts
//! it. An interrupted read leaves the class, and may get back into it. A schema change clears the
//! cache, since the same text may mean other work.
use crate::engine::sql::{Params, Statement};
use crate::engine::sqlite::Bounds;
use crate::locks::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};

/// What a statement is remembered by: its text; with rows of parameters, their order of magnitude
/// too, since they decide how long it takes.
pub(crate) fn key_of(statement: &Statement) -> Arc<str> {
    match &statement.params {
        Params::List(list) => {
            let magnitude = list.rows().checked_ilog2().unwrap_or(0);
            // No text of SQL has a NUL.
            format!("\0{magnitude}\0{}", statement.sql).into()
        }
        _ => Arc::clone(&statement.sql),
    }
}

/// How a statement was the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LatencyClass {
    /// A read that was short, whose program was not analysed yet.
    Short,
    /// A read that was short and whose program is bounded.
    Fast(Bounds),
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

#[derive(Debug)]
pub(crate) struct StatementClassifier {
    most: usize,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    recent: HashMap<Arc<str>, LatencyClass>,
    /// Those before, of which each that is asked for becomes a recent one.
    older: HashMap<Arc<str>, LatencyClass>,
    /// Raised when the cache is cleared: results from before are not added afterwards.
    epoch: u64,
}

impl Known {
    /// Texts that never come again fill it; what is asked for in between stays.
    fn remember(&mut self, sql: Arc<str>, class: LatencyClass, most: usize) {
        if self.recent.len() >= most / 2 && !self.recent.contains_key(&sql) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(sql, class);
    }
}

impl StatementClassifier {
    /// Remembers at most `most` statements.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    pub(crate) fn of(&self, sql: &str) -> Option<LatencyClass> {
        if sql.len() > LONGEST_TEXT {
            return None;
        }
        let mut known = self.lock();
        if let Some(class) = known.recent.get(sql) {
            return Some(*class);
        }
        let (sql, class) = known.older.remove_entry(sql)?;
        known.remember(sql, class, self.most);
        Some(class)
    }

    /// The epoch to pass to `learn`, taken before the statement runs: what a schema change has
    /// made outdated meanwhile is not learned.
    pub(crate) fn epoch(&self) -> u64 {
        self.lock().epoch
    }

    /// Remembers the class of a statement, unless the cache was cleared since `epoch`.
    pub(crate) fn learn(&self, epoch: u64, sql: &Arc<str>, class: Option<LatencyClass>) {
        if sql.len() > LONGEST_TEXT {
            return;
        }
        let mut known = self.lock();
        if known.epoch != epoch {
            return;
        }
        match class {
            None => {
                known.recent.remove(sql);
                known.older.remove(sql);
            }
            Some(class) => known.remember(Arc::clone(sql), class, self.most),
        }
    }

    pub(crate) fn forget_all(&self) {
        let mut known = self.lock();
        known.recent.clear();
        known.older.clear();
        known.epoch += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sql::ListBuilder;

    #[test]
    fn what_was_learned_before_the_schema_changed_is_not_remembered_after() {
        let classifier = StatementClassifier::new(2);
        let sql: Arc<str> = "SELECT 1".into();
        let before = classifier.epoch();
        classifier.learn(before, &sql, Some(LatencyClass::Short));
        assert_eq!(classifier.of("SELECT 1"), Some(LatencyClass::Short));
        classifier.forget_all();
        assert_eq!(classifier.of("SELECT 1"), None);
        classifier.learn(before, &sql, Some(LatencyClass::Short));
        assert_eq!(classifier.of("SELECT 1"), None);
    }

    #[test]
    fn a_statement_with_many_rows_of_parameters_is_not_taken_for_one_with_few() {
        let statement = |rows: usize| {
            let mut list = ListBuilder::of_width(0);
            (0..rows).for_each(|_| list.end_row());
            Statement {
                sql: "INSERT".into(),
                params: Params::List(list.finish()),
                ..Statement::default()
            }
        };
        assert_eq!(
            key_of(&Statement {
                params: Params::None,
                ..statement(1)
            }),
            "INSERT".into()
        );
        assert_ne!(key_of(&statement(1)), "INSERT".into());
        assert_eq!(key_of(&statement(600)), key_of(&statement(1000)));
        assert_ne!(key_of(&statement(10)), key_of(&statement(1000)));
    }

    #[test]
    fn no_more_statements_are_remembered_than_allowed() {
        let classifier = StatementClassifier::new(4);
        for text in ["a", "b", "c", "d", "e", "f", "g"] {
            classifier.learn(0, &text.into(), Some(LatencyClass::Slow));
            let known = classifier.lock();
            assert!(known.recent.len() + known.older.len() <= 4);
            drop(known);
            assert_eq!(classifier.of(text), Some(LatencyClass::Slow));
        }
        assert_eq!(classifier.of("a"), None);
    }

    #[test]
    fn what_is_asked_for_again_and_again_outlives_texts_that_never_come_again() {
        let classifier = StatementClassifier::new(4);
        classifier.learn(0, &"hot".into(), Some(LatencyClass::Short));
        for text in ["a", "b", "c", "d", "e", "f", "g"] {
            classifier.learn(0, &text.into(), Some(LatencyClass::Proven));
            assert_eq!(
                classifier.of("hot"),
                Some(LatencyClass::Short),
                "after {text}"
            );
        }
        classifier.learn(0, &"hot".into(), None);
        assert_eq!(classifier.of("hot"), None);
    }
}
