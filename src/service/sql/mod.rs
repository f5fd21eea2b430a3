//! Runs SQL on the database that a request names.
pub mod explain;
pub mod exports;
mod lifetime;
pub mod migrations;
pub mod rows;
pub mod schema;
pub mod tables;
pub mod transactions;

pub use self::lifetime::LivingRows;

use super::Service;
use super::caller::{AccessDenied, Caller};
use super::resolver::ResolveError;
use crate::data::rows::RowsError;
use crate::data::{
    Access, BatchMode, BatchStatement, DataConfig, MigrateError, QueryAnswer, QueryError,
    QueryOptions, QueryRequest, Streamed, TableError, TransactionError,
};
use crate::domain::token::Scope;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// A number of a request that lies outside of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` must be 1 to {most}, not {value}")]
pub struct InvalidOption {
    /// The option, as the API calls it.
    pub name: &'static str,
    /// The largest value.
    pub most: u64,
    /// What was sent.
    pub value: u64,
}

/// Why SQL was not run, or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RunError {
    /// The token does not allow it.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// An option lies outside of its bounds.
    #[error(transparent)]
    Option(#[from] InvalidOption),
    /// There is no such database that answers SQL.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The statement fails, or all of the request.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// As [`Self::Query`], of a transaction of several requests.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// A transaction that holds the writer was to begin, and the token may not write.
    #[error("an immediate transaction requires scope `write`")]
    WriterNotAllowed,
    /// One of several statements failed.
    #[error(transparent)]
    Statement(#[from] FailedStatement),
    /// A migration was not applied.
    #[error(transparent)]
    Migration(MigrateError),
    /// A request about rows does not fit the database, or fails.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// A table was not changed.
    #[error(transparent)]
    Table(TableError),
}

/// Which of several statements failed, and what it means for the others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("statement {statement} failed: {error}")]
pub struct FailedStatement {
    /// Its place, from 0.
    pub statement: usize,
    /// How many before it are kept.
    pub kept: usize,
    /// What the statements are part of.
    pub of: Several,
    /// Why it failed.
    #[source]
    pub error: TransactionError,
}

/// What several statements are part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Several {
    /// A batch.
    Batch {
        /// Whether each statement is kept or not by itself.
        one_by_one: bool,
        /// Whether it runs in a transaction of several requests.
        in_transaction: bool,
    },
    /// A script.
    Script {
        /// The byte at which the failed statement begins.
        offset: usize,
        /// Its line, from 1.
        line: usize,
    },
    /// A migration.
    Migration {
        /// The byte at which the failed statement begins.
        offset: usize,
        /// Its line, from 1.
        line: usize,
    },
}

/// An answer to one statement.
pub enum SqlAnswer {
    /// It is there.
    Whole(QueryAnswer),
    /// Its rows come one after another.
    Rows(LivingRows),
}

/// Statements that run in order.
pub struct Batch {
    /// What runs.
    pub statements: Vec<BatchStatement>,
    /// How the statements are grouped into transactions.
    pub mode: BatchMode,
    /// How they run and are answered.
    pub options: QueryOptions,
}

impl Service {
    /// Runs one statement. Dropped before it ends, it ends the statement too.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, or the statement fails.
    pub async fn query(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        mut request: QueryRequest,
    ) -> Result<QueryAnswer, RunError> {
        self.allow(caller, &mut request.options)?;
        let entered = self
            .enter_within(caller, reference, &mut request.options.timeout)
            .await?;
        let answer = pin!(self.data.query(&entered.guard, &entered.target, request));
        let answer = self.while_living(entered.guard.database(), answer);
        Ok(answer.await?)
    }

    /// Runs one statement whose rows are sent as they are read.
    ///
    /// # Errors
    /// As [`Self::query`], up to the first row.
    pub async fn stream(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        mut request: QueryRequest,
    ) -> Result<SqlAnswer, RunError> {
        self.allow(caller, &mut request.options)?;
        let entered = self
            .enter_within(caller, reference, &mut request.options.timeout)
            .await?;
        let database = entered.guard.database();
        let streamed = pin!(self.data.stream(&entered.guard, &entered.target, request));
        Ok(match self.while_living(database, streamed).await? {
            Streamed::Whole(answer) => SqlAnswer::Whole(answer),
            Streamed::Rows(rows) => SqlAnswer::Rows(self.end_with_database(database, rows)),
        })
    }

    /// Runs several statements.
    ///
    /// # Errors
    /// As [`Self::query`], with the statement that failed.
    pub async fn batch(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        mut batch: Batch,
    ) -> Result<Vec<QueryAnswer>, RunError> {
        self.allow(caller, &mut batch.options)?;
        let entered = self
            .enter_within(caller, reference, &mut batch.options.timeout)
            .await?;
        let Batch {
            statements,
            mode,
            options,
        } = batch;
        let ran = self
            .data
            .batch(&entered.guard, &entered.target, statements, mode, options);
        let ran = pin!(async {
            ran.await.map_err(|failure| {
                let one_by_one = mode == BatchMode::None;
                let failed = FailedStatement {
                    statement: failure.statement,
                    kept: if one_by_one { failure.statement } else { 0 },
                    of: Several::Batch {
                        one_by_one,
                        in_transaction: false,
                    },
                    error: failure.error.into(),
                };
                RunError::from(failed)
            })
        });
        self.while_living(entered.guard.database(), ran).await
    }

    /// Runs a script: its statements are all kept, or none. Needs the scope `write`.
    ///
    /// # Errors
    /// As [`Self::query`], with the statement that failed.
    pub async fn script(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        script: &str,
        mut options: QueryOptions,
    ) -> Result<Vec<QueryAnswer>, RunError> {
        caller.require(Scope::Write)?;
        self.allow(caller, &mut options)?;
        let entered = self
            .enter_within(caller, reference, &mut options.timeout)
            .await?;
        let ran = self
            .data
            .script(&entered.guard, &entered.target, script, options);
        let ran = pin!(async {
            ran.await.map_err(|error| {
                let failed = FailedStatement {
                    statement: error.failure.statement,
                    kept: 0,
                    of: Several::Script {
                        offset: error.offset,
                        line: line_at(script, error.offset),
                    },
                    error: error.failure.error.into(),
                };
                RunError::from(failed)
            })
        });
        self.while_living(entered.guard.database(), ran).await
    }

    /// Gives statements the rights of the caller, and checks their options.
    fn allow(&self, caller: &Caller, options: &mut QueryOptions) -> Result<(), RunError> {
        options.access = caller.sql_access()?;
        check_options(options, self.data.config())?;
        Ok(())
    }
}

/// Options as a request begins with them, before it says anything: with no right to write, which
/// the caller's token adds.
#[must_use]
pub fn default_options() -> QueryOptions {
    QueryOptions::for_access(Access::ReadOnly)
}

/// Checks the numbers of a request against the bounds of this machine.
///
/// # Errors
/// With the first number that lies outside.
pub fn check_options(options: &QueryOptions, bounds: &DataConfig) -> Result<(), InvalidOption> {
    check_time("timeout_ms", options.timeout, bounds.largest_timeout)?;
    check("max_rows", options.max_rows, bounds.largest_max_rows)?;
    let max_bytes = options.max_bytes.map(|it| it as u64);
    check("max_bytes", max_bytes, bounds.largest_max_bytes as u64)
}

fn check_time(
    name: &'static str,
    value: Option<Duration>,
    most: Duration,
) -> Result<(), InvalidOption> {
    check(name, value.map(milliseconds), milliseconds(most))
}

fn check(name: &'static str, value: Option<u64>, most: u64) -> Result<(), InvalidOption> {
    match value {
        Some(value) if value < 1 || value > most => Err(InvalidOption { name, most, value }),
        _ => Ok(()),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The line of a byte, from 1.
fn line_at(script: &str, offset: usize) -> usize {
    let before = script.as_bytes()[..offset].iter();
    1 + before.filter(|byte| **byte == b'\n').count()
}
