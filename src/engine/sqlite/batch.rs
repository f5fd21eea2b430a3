//! Several statements of one request.
use super::executor::SqliteExecutor;
use super::open::open_database::OpenDatabase;
use super::readers::snapshot::Snapshot;
use super::statement::savepoint::run_all;
use super::statement::script;
use super::threads::on_thread::limits_of;
use super::{Answer, SqlError};
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::error::at;
use crate::engine::sql::executor::Call;
use crate::engine::sql::{
    BatchError, BatchMode, Counters, QueryAnswer, QueryError, Statement, Target,
};
use std::ops::Range;
use std::sync::Arc;

/// The longest script that is split where it arrives.
const SPLIT_HERE_BYTES: usize = 64 << 10;

impl SqliteExecutor {
    /// Runs statements in order. In a transaction all of them are kept, or none; without one,
    /// those before the first failure.
    ///
    /// # Errors
    /// The first failure, with the place of its statement.
    pub async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        mode: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let open = self.open_behind(guard, target).map_err(at(0))?;
        let answers = match mode {
            BatchMode::None => {
                return self.one_by_one(guard, &open, call, statements).await;
            }
            BatchMode::Immediate if call.may_write => {
                self.write(guard, &open, call, statements).await?
            }
            BatchMode::Immediate | BatchMode::Deferred => {
                let read = self.read_together(guard, &open, call, statements.clone());
                match read.await {
                    // Nothing that has run so far leaves a trace: all of it runs again.
                    Err(failure) if failure.error == QueryError::ReadOnly && call.may_write => {
                        self.write(guard, &open, call, statements).await?
                    }
                    other => other?,
                }
            }
        };
        Ok(answers.into_iter().map(Into::into).collect())
    }

    /// The places of the first statements of a script. A long one is split on a thread of its own:
    /// a megabyte takes milliseconds, and others wait for this one.
    ///
    /// # Errors
    /// When that thread ends early.
    pub async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        split_script(script, most).await
    }

    async fn one_by_one(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statements: Vec<Statement>,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let mut answers = Vec::with_capacity(statements.len());
        let mut bytes = 0;
        let mut counters = Counters::default();
        for (index, mut statement) in statements.into_iter().enumerate() {
            // What is answered is kept: the bound is looked at before the next one runs.
            if bytes > call.form.max_bytes {
                let limit = format!("{} bytes", call.form.max_bytes);
                return Err(at(index)(QueryError::ResultTooLarge { limit }));
            }
            statement.counters = counters;
            let answer = self.one(guard, open, call, statement).await;
            let answer = answer.map_err(at(index))?;
            bytes += answer.body.len();
            counters = answer.counters;
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Runs statements on one reader that sees one moment. The first that would change something
    /// is refused with [`QueryError::ReadOnly`].
    pub(super) async fn read_together(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statements: Vec<Statement>,
    ) -> Result<Vec<Answer>, BatchError> {
        let turn = open.turn(call.deadline).await.map_err(at(0))?;
        let (guard, reads) = (guard.clone(), Arc::clone(open));
        let call_of_it = *call;
        let work = self.on_thread(&open.breaker, call, move |cancellation| {
            let limits = limits_of(&call_of_it, cancellation);
            let read = || -> Result<Vec<Answer>, (usize, SqlError)> {
                let mut snapshot =
                    Snapshot::begin(&reads, limits.clone()).map_err(|error| (0, error))?;
                snapshot.sqlite().set_limits(limits);
                let result = run_all(
                    snapshot.sqlite(),
                    &statements,
                    &call_of_it.form,
                    |sqlite, index| sqlite.run(&statements[index], &call_of_it.form),
                );
                snapshot.sqlite().clear_limits();
                result
            };
            let result = read();
            drop(reads);
            drop(guard); // last, after all handles
            drop(turn);
            result
        });
        let result = work.await.map_err(at(0))?;
        result.map_err(|(statement, error)| BatchError {
            statement,
            error: error.for_caller(call.timeout),
        })
    }
}

/// The places of the first `most` statements of a script.
///
/// # Errors
/// As [`SqliteExecutor::split`].
pub(super) async fn split_script(
    script: &str,
    most: usize,
) -> Result<Vec<Range<usize>>, QueryError> {
    let split = move |text: &str| script::statements(text).take(most).collect();
    if script.len() <= SPLIT_HERE_BYTES {
        return Ok(split(script));
    }
    let owned = script.to_owned();
    let places = tokio::task::spawn_blocking(move || split(&owned)).await;
    places.map_err(|_| QueryError::Broken {
        reason: "the thread that split this script ended".to_owned(),
    })
}
