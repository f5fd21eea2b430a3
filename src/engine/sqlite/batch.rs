//! Several statements of one request.
use super::open::open_database::OpenDatabase;
use super::readers::snapshot::Snapshot;
use super::statement::savepoint::run_all;
use super::statement::script;
use super::threads::on_thread::held;
use super::{Answer, SqlError};
use crate::data::{Call, DataPlane, SharedGuard};
use crate::engine::sql::{
    BatchError, BatchMode, BatchStatement, QueryAnswer, QueryError, QueryOptions, ScriptError,
    Target,
};
use crate::engine::sql::{Counters, Shape, Statement};
use std::ops::Range;
use std::sync::Arc;

impl DataPlane {
    /// Runs statements in order. In a transaction all of them are kept, or none; without one,
    /// those before the first failure.
    ///
    /// # Errors
    /// The first failure, with the place of its statement.
    pub async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        statements: Vec<BatchStatement>,
        mode: BatchMode,
        options: QueryOptions,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let statements = self.looked_at_batch(statements)?;
        if statements.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.open_behind(guard, target).map_err(at(0))?;
        let call = self.call(&options);
        let may_write = options.may_write();
        let answers = match mode {
            BatchMode::None => {
                let one_by_one = self.one_by_one(guard, &open, &call, statements, may_write);
                return one_by_one.await;
            }
            BatchMode::Immediate if may_write => {
                self.write(guard, &open, &call, statements).await?
            }
            BatchMode::Immediate | BatchMode::Deferred => {
                let read = self.read_together(guard, &open, &call, statements.clone());
                match read.await {
                    // Nothing that has run so far leaves a trace: all of it runs again.
                    Err(it) if it.error == QueryError::ReadOnly && may_write => {
                        self.write(guard, &open, &call, statements).await?
                    }
                    other => other?,
                }
            }
        };
        Ok(answers.into_iter().map(Into::into).collect())
    }

    /// Runs a script in one transaction: all of its statements are kept, or none. Rows that they
    /// return are left out.
    ///
    /// # Errors
    /// The first failure, with the place of its statement among the statements and in the text.
    pub async fn script(
        &self,
        guard: &SharedGuard,
        target: &Target,
        text: &str,
        options: QueryOptions,
    ) -> Result<Vec<QueryAnswer>, ScriptError<BatchError>> {
        let script = self.looked_at_script::<BatchError>(text).await?;
        let in_text = |failure: BatchError| script.failed(failure.statement, failure);
        if !options.may_write() {
            return Err(in_text(at(0)(QueryError::ReadOnly)));
        }
        if script.statements.is_empty() {
            return Ok(Vec::new());
        }
        let open = self.open_behind(guard, target).map_err(at(0));
        let open = open.map_err(in_text)?;
        let call = self.call(&silent(options));
        let statements = script.statements.clone();
        let answers = self.write(guard, &open, &call, statements).await;
        let answers = answers.map_err(in_text)?;
        Ok(answers.into_iter().map(Into::into).collect())
    }

    async fn one_by_one(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statements: Vec<Statement>,
        may_write: bool,
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
            let answer = self.one(guard, open, call, statement, may_write).await;
            let answer = answer.map_err(at(index))?;
            bytes += answer.body.len();
            counters = answer.counters;
            answers.push(answer);
        }
        Ok(answers)
    }

    /// Runs statements on one reader that sees one moment. The first that would change something
    /// is refused with [`QueryError::ReadOnly`].
    async fn read_together(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statements: Vec<Statement>,
    ) -> Result<Vec<Answer>, BatchError> {
        let turn = open.turn(call.deadline).await.map_err(at(0))?;
        let (guard, reads) = (guard.clone(), Arc::clone(open));
        let call_of_it = *call;
        let work = self.on_thread(&open.bench, call, move |ticket| {
            let hold = held(&call_of_it, ticket);
            let read = || -> Result<Vec<Answer>, (usize, SqlError)> {
                let mut snapshot = Snapshot::begin(&reads, hold.clone()).map_err(|it| (0, it))?;
                snapshot.sqlite().hold(hold);
                let result = run_all(
                    snapshot.sqlite(),
                    &statements,
                    &call_of_it.form,
                    |sqlite, index| sqlite.run(&statements[index], &call_of_it.form),
                );
                snapshot.sqlite().release();
                result
            };
            let result = read();
            drop(reads);
            drop(guard); // last: what is behind the gate is out of hand
            drop(turn);
            result
        });
        let result = work.await.map_err(at(0))?;
        result.map_err(|(statement, error)| BatchError {
            statement,
            error: error.for_caller(call.timeout),
        })
    }

    fn refuse_many(&self, statements: usize, most: usize) -> Result<(), BatchError> {
        if statements <= most {
            return Ok(());
        }
        Err(at(most)(QueryError::PayloadTooLarge {
            what: "the number of statements",
            limit: most.to_string(),
        }))
    }

    /// The statements of a batch, each looked at before the first one runs.
    pub(crate) fn looked_at_batch(
        &self,
        statements: Vec<BatchStatement>,
    ) -> Result<Vec<Statement>, BatchError> {
        self.refuse_many(statements.len(), self.config.max_batch_statements)?;
        self.looked_at(statements)
    }

    /// The statements of a script, each looked at before the first one runs.
    pub(crate) async fn looked_at_script<E: From<BatchError>>(
        &self,
        text: &str,
    ) -> Result<Script, ScriptError<E>> {
        let most = self.config.max_script_statements;
        let places = split(text, most + 1).await;
        let mut script = Script {
            places: places.map_err(|error| ScriptError {
                offset: 0,
                failure: at(0)(error).into(),
            })?,
            statements: Vec::new(),
        };
        let statements = script.places.iter().map(|place| BatchStatement {
            sql: text[place.clone()].into(),
            params: crate::data::Params::None,
        });
        let statements = statements.collect();
        let looked_at = self.refuse_many(script.places.len(), most);
        let looked_at = looked_at.and_then(|()| self.looked_at(statements));
        match looked_at {
            Ok(statements) => {
                script.statements = statements;
                Ok(script)
            }
            Err(failure) => Err(script.failed(failure.statement, failure.into())),
        }
    }

    /// Looks at every statement before the first one runs.
    fn looked_at(&self, statements: Vec<BatchStatement>) -> Result<Vec<Statement>, BatchError> {
        let look = |(index, it): (usize, BatchStatement)| {
            self.refuse_early(&it.sql).map_err(at(index))?;
            Ok(Statement {
                sql: it.sql,
                params: it.params,
                ..Statement::default()
            })
        };
        statements.into_iter().enumerate().map(look).collect()
    }
}

/// The statements of a script, and where they are in its text.
pub(crate) struct Script {
    places: Vec<Range<usize>>,
    pub(crate) statements: Vec<Statement>,
}

impl Script {
    /// Says where in the text a statement failed.
    pub(crate) fn failed<E>(&self, statement: usize, failure: E) -> ScriptError<E> {
        ScriptError {
            offset: self.places.get(statement).map_or(0, |it| it.start),
            failure,
        }
    }
}

/// Options of statements whose answers are not shown: their shortest form, and no bound on it.
pub(crate) fn silent(options: QueryOptions) -> QueryOptions {
    QueryOptions {
        max_rows: Some(0),
        max_bytes: Some(usize::MAX),
        shape: Shape::Original,
        ..options
    }
}
/// The places of the first statements of a script. A long one is split on a thread of its own: a
/// megabyte takes milliseconds, and others wait for this one.
async fn split(text: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
    let split = move |text: &str| script::statements(text).take(most).collect();
    if text.len() <= SPLIT_HERE_BYTES {
        return Ok(split(text));
    }
    let owned = text.to_owned();
    let places = tokio::task::spawn_blocking(move || split(&owned)).await;
    places.map_err(|_| QueryError::Broken {
        reason: "the thread that split this script ended".to_owned(),
    })
}

/// The longest script that is split where it arrives.
const SPLIT_HERE_BYTES: usize = 64 << 10;

fn at(statement: usize) -> impl Fn(QueryError) -> BatchError {
    move |error| BatchError { statement, error }
}
