//! The savepoints that a client makes in its transaction.
//!
//! SQLite reads SAVEPOINT, RELEASE and ROLLBACK TO, and the authorizer tells what they name. They
//! are then done under other names, so that no client names a savepoint of the gateway's own, and
//! counted here: a reader has nothing to undo and only remembers them.
use super::answer::{AnswerWriter, Totals};
use super::execution::{Answer, prepare};
use super::first_word::begins_with;
use super::pieces::Whole;
use crate::clock::Stopwatch;
use crate::engine::sql::Form;
use crate::engine::sql::Statement;
use crate::engine::sql::quoted;
use crate::engine::sqlite::connection::SqliteConnection;
use crate::engine::sqlite::error::SqlError;
use crate::engine::sqlite::sandbox::role::{Role, Step};
use rusqlite::hooks::TransactionOperation;

/// Most savepoints that may be open in one transaction.
const MOST: usize = 100;

/// The open savepoints of one transaction, the outermost first.
#[derive(Debug, Clone, Default)]
pub struct Savepoints {
    names: Vec<String>,
    /// How many were open before the statements that are kept together, which must not end them.
    fixed: usize,
}

impl Savepoints {
    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// The next statements are kept together, so none of them may end a savepoint from before.
    pub fn fix(&mut self) {
        self.fixed = self.names.len();
    }

    /// Every savepoint may be ended.
    pub fn unfix(&mut self) {
        self.fixed = 0;
    }

    /// What SQLite has to run for a step, and how many savepoints are open after it.
    fn plan(&self, step: &Step) -> Result<(String, usize), SqlError> {
        let name = quoted(&format!("client {}", step.name));
        match step.operation {
            TransactionOperation::Begin if self.names.len() >= MOST => Err(SqlError::Sql {
                message: format!("there are {MOST} savepoints in this transaction already"),
                hint: Some("RELEASE those that you do not need".to_owned()),
            }),
            TransactionOperation::Begin => Ok((format!("SAVEPOINT {name}"), self.names.len() + 1)),
            TransactionOperation::Release => Ok((format!("RELEASE {name}"), self.place(step)?)),
            _ => Ok((format!("ROLLBACK TO {name}"), self.place(step)? + 1)),
        }
    }

    /// Where the innermost savepoint of that name is.
    fn place(&self, step: &Step) -> Result<usize, SqlError> {
        let is_it = |name: &String| name.eq_ignore_ascii_case(&step.name);
        match self.names.iter().rposition(is_it) {
            None => Err(SqlError::sql(format!("no such savepoint: {}", step.name))),
            Some(place) if place < self.fixed => Err(SqlError::Sql {
                message: format!("the savepoint {} was made before this request", step.name),
                hint: Some(
                    "statements that are kept together cannot undo what was there before; send \
                     it alone, or in a batch with \"transaction\":\"none\""
                        .to_owned(),
                ),
            }),
            Some(place) => Ok(place),
        }
    }

    fn take(&mut self, step: Step, open: usize) {
        if step.operation == TransactionOperation::Begin {
            self.names.push(step.name);
        }
        self.names.truncate(open);
    }
}

impl SqliteConnection {
    /// Runs a statement that is SAVEPOINT, RELEASE or ROLLBACK TO. `None` when it is another one.
    pub fn run_savepoint(
        &mut self,
        statement: &Statement,
        form: &Form,
        savepoints: &mut Savepoints,
    ) -> Option<Result<Answer, SqlError>> {
        let is_one = begins_with(&statement.sql, &["savepoint", "release", "rollback"]);
        is_one.then(|| self.step(statement, form, savepoints))
    }

    /// Makes the savepoints on this connection, which has taken over the transaction.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn make_savepoints(&mut self, savepoints: &Savepoints) -> Result<(), SqlError> {
        for name in &savepoints.names {
            let name = quoted(&format!("client {name}"));
            self.do_step(&format!("SAVEPOINT {name}"))?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        statement: &Statement,
        form: &Form,
        savepoints: &mut Savepoints,
    ) -> Result<Answer, SqlError> {
        let (step, answer) = self.read_step(statement, form)?;
        let (command, open) = savepoints.plan(&step)?;
        if self.role == Role::Writer {
            self.do_step(&command)?;
        }
        savepoints.take(step, open);
        Ok(answer)
    }

    fn do_step(&mut self, command: &str) -> Result<(), SqlError> {
        let done = self.as_internal(|sqlite| sqlite.execute_batch(command));
        done.map_err(|error| {
            let error = SqlError::from_sqlite(&error, self.interrupts.interrupt());
            self.is_spoiled |= error.spoils_connection();
            error
        })
    }

    /// What the statement does to savepoints, and the answer of one that did.
    fn read_step(&self, statement: &Statement, form: &Form) -> Result<(Step, Answer), SqlError> {
        let stopwatch = Stopwatch::start();
        self.recorder.take();
        self.recorder.lock().reads_savepoint = true;
        let read = || -> Result<_, SqlError> {
            let mut prepared = prepare(&self.inner, &statement.sql)
                .map_err(|error| SqlError::from_sqlite(&error, self.interrupts.interrupt()))?;
            let bound = super::binding::bind(&statement.params, &mut prepared);
            let mut writer = AnswerWriter::new(form, Whole::new(form.max_bytes));
            let head = writer.head(&prepared);
            // Outside of a transaction no client may find it prepared.
            prepared.discard();
            bound.and(head)?;
            Ok(writer.finish(&Totals {
                rows_affected: 0,
                last_insert_rowid: None,
                elapsed: stopwatch.elapsed(),
            }))
        };
        let written = read();
        let mut seen = self.recorder.take();
        let written = written.map_err(|error| self.explain(error, &seen, &statement.sql))?;
        let step = seen.savepoint.take();
        let step = step.ok_or_else(|| SqlError::sql("this is no statement about savepoints"))?;
        let answer = Answer {
            body: written.body,
            held: written.held,
            row_count: 0,
            rows_affected: 0,
            truncated: false,
            elapsed: stopwatch.elapsed(),
            reads_only: true,
            changes_schema: false,
            counters: self.session.counters(),
            hidden: Vec::new(),
        };
        Ok((step, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TransactionOperation::{Begin, Release, Rollback};

    fn step(savepoints: &mut Savepoints, operation: TransactionOperation, name: &str) -> bool {
        let step = Step {
            operation,
            name: name.to_owned(),
        };
        match savepoints.plan(&step) {
            Ok((_, open)) => savepoints.take(step, open),
            Err(_) => return false,
        }
        true
    }

    #[test]
    fn the_innermost_savepoint_of_a_name_is_meant_in_whatever_case() {
        let mut savepoints = Savepoints::default();
        for name in ["a", "b", "A"] {
            assert!(step(&mut savepoints, Begin, name));
        }
        assert!(step(&mut savepoints, Rollback, "b"));
        assert_eq!(savepoints.names, ["a", "b"]);
        assert!(step(&mut savepoints, Release, "A"));
        assert_eq!(savepoints.count(), 0);
        assert!(!step(&mut savepoints, Rollback, "a"));
    }

    #[test]
    fn a_savepoint_from_before_is_not_ended_by_statements_that_are_kept_together() {
        let mut savepoints = Savepoints::default();
        step(&mut savepoints, Begin, "a");
        savepoints.fix();
        assert!(step(&mut savepoints, Begin, "b"));
        assert!(step(&mut savepoints, Rollback, "b"));
        assert!(!step(&mut savepoints, Release, "a"));
        savepoints.unfix();
        assert!(step(&mut savepoints, Release, "a"));
    }

    #[test]
    fn there_is_a_bound_on_savepoints() {
        let mut savepoints = Savepoints::default();
        for _ in 0..MOST {
            assert!(step(&mut savepoints, Begin, "a"));
        }
        assert!(!step(&mut savepoints, Begin, "a"));
    }
}
