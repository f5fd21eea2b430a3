//! Scripts and batches, looked at before their first statement runs.
use super::{
    BatchError, BatchMode, BatchStatement, DataPlane, QueryAnswer, QueryError, QueryOptions,
    ScriptError, Shape, SharedGuard, Target,
};
use crate::engine::sql::{Params, Statement, at};
use std::ops::Range;

impl DataPlane {
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
        let executor = self.executor_of(target).map_err(|error| ScriptError {
            offset: 0,
            failure: at(0)(error),
        })?;
        let places = executor.split(text, self.most_places()).await;
        let script = self.looked_at_script::<BatchError>(text, places)?;
        let in_text = |failure: BatchError| script.failed(failure.statement, failure);
        if !options.may_write() {
            return Err(in_text(at(0)(QueryError::ReadOnly)));
        }
        if script.statements.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.call(&silent(options));
        let statements = script.statements.clone();
        let mode = BatchMode::Immediate;
        let answers = executor.batch(guard, target, &call, statements, mode).await;
        answers.map_err(in_text)
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
    pub(super) fn looked_at_batch(
        &self,
        statements: Vec<BatchStatement>,
    ) -> Result<Vec<Statement>, BatchError> {
        self.refuse_many(statements.len(), self.config.max_batch_statements)?;
        self.looked_at(statements)
    }

    /// Of more statements than this it is enough to know that there are more than may be.
    pub(super) fn most_places(&self) -> usize {
        self.config.max_script_statements + 1
    }

    /// The statements of a script at their places, each looked at before the first one runs.
    pub(super) fn looked_at_script<E: From<BatchError>>(
        &self,
        text: &str,
        places: Result<Vec<Range<usize>>, QueryError>,
    ) -> Result<Script, ScriptError<E>> {
        let most = self.config.max_script_statements;
        let mut script = Script {
            places: places.map_err(|error| ScriptError {
                offset: 0,
                failure: at(0)(error).into(),
            })?,
            statements: Vec::new(),
        };
        let statements = script.places.iter().map(|place| BatchStatement {
            sql: text[place.clone()].into(),
            params: Params::None,
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
            let refused = self.refuse_early(&it.sql, &it.params);
            refused.map_err(at(index))?;
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
pub(super) struct Script {
    places: Vec<Range<usize>>,
    pub(super) statements: Vec<Statement>,
}

impl Script {
    /// Says where in the text a statement failed.
    pub(super) fn failed<E>(&self, statement: usize, failure: E) -> ScriptError<E> {
        ScriptError {
            offset: self.places.get(statement).map_or(0, |it| it.start),
            failure,
        }
    }
}

/// Options of statements whose answers are not shown: their shortest form, and no bound on it.
pub(super) fn silent(options: QueryOptions) -> QueryOptions {
    QueryOptions {
        max_rows: Some(0),
        max_bytes: Some(usize::MAX),
        shape: Shape::Original,
        ..options
    }
}
