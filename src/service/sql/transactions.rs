//! Transactions of several requests: begin, statements, commit, roll back.
use super::{Batch, FailedStatement, RunError, Several, check_time, line_at};
use crate::data::{
    Access, BatchMode, BegunTransaction, NewTransaction, QueryAnswer, QueryOptions, QueryRequest,
    TransactionBatchError, TransactionKey, TransactionMode,
};
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::resolver::ResolveError;
use std::pin::pin;
use std::sync::Arc;

/// A transaction as a request names it.
#[derive(Debug, Clone, Copy)]
pub struct TransactionRef<'r> {
    /// The database's name or id.
    pub database: &'r str,
    /// As it was answered when it began.
    pub id: &'r str,
}

impl Service {
    /// Begins a transaction that only this caller can use.
    ///
    /// # Errors
    /// When the caller may not, a time is out of bounds, or there are too many.
    pub async fn begin(
        &self,
        caller: &Caller,
        reference: &str,
        mut new: NewTransaction,
    ) -> Result<BegunTransaction, RunError> {
        new.access = caller.sql_access()?;
        new.owner = caller.token_id();
        if new.access == Access::ReadOnly && new.mode == TransactionMode::Immediate {
            return Err(RunError::WriterNotAllowed);
        }
        let bounds = self.data.config();
        check_time("timeout_ms", new.wait, bounds.largest_timeout)?;
        check_time("idle_timeout_ms", new.idle, bounds.transaction_idle)?;
        check_time("total_timeout_ms", new.total, bounds.transaction_total)?;
        let entered = self.enter_within(caller, reference, &mut new.wait).await?;
        let clock = self.control.clock().as_ref();
        let begun = self.data.begin(&entered.guard, &entered.target, new, clock);
        Ok(begun.await?)
    }

    /// Runs one statement in a transaction.
    ///
    /// # Errors
    /// When the caller may not, the transaction is over, or the statement fails.
    pub async fn query_in(
        self: &Arc<Self>,
        caller: &Caller,
        transaction: TransactionRef<'_>,
        mut request: QueryRequest,
    ) -> Result<QueryAnswer, RunError> {
        self.allow(caller, &mut request.options)?;
        let key = self.living_key(caller, transaction).await?;
        let clock = self.control.clock().as_ref();
        let answer = self.data.query_in(&key, request, clock);
        let answer = pin!(async { answer.await.map_err(RunError::from) });
        self.while_living(key.database, answer).await
    }

    /// Runs several statements in a transaction.
    ///
    /// # Errors
    /// As [`Self::query_in`], with the statement that failed.
    pub async fn batch_in(
        self: &Arc<Self>,
        caller: &Caller,
        transaction: TransactionRef<'_>,
        mut batch: Batch,
    ) -> Result<Vec<QueryAnswer>, RunError> {
        self.allow(caller, &mut batch.options)?;
        let key = self.living_key(caller, transaction).await?;
        let clock = self.control.clock().as_ref();
        let Batch {
            statements,
            mode,
            options,
        } = batch;
        let ran = self.data.batch_in(&key, statements, mode, options, clock);
        let of = Several::Batch {
            one_by_one: mode == BatchMode::None,
            in_transaction: true,
        };
        let ran = pin!(async { ran.await.map_err(|failure| failed(failure, of)) });
        self.while_living(key.database, ran).await
    }

    /// Runs a script in a transaction. Needs the scope `write`.
    ///
    /// # Errors
    /// As [`Self::query_in`], with the statement that failed.
    pub async fn script_in(
        self: &Arc<Self>,
        caller: &Caller,
        transaction: TransactionRef<'_>,
        script: &str,
        mut options: QueryOptions,
    ) -> Result<Vec<QueryAnswer>, RunError> {
        caller.require(Scope::Write)?;
        self.allow(caller, &mut options)?;
        let key = self.living_key(caller, transaction).await?;
        let clock = self.control.clock().as_ref();
        let ran = self.data.script_in(&key, script, options, clock);
        let ran = pin!(async {
            ran.await.map_err(|error| {
                let of = Several::Script {
                    offset: error.offset,
                    line: line_at(script, error.offset),
                };
                failed(error.failure, of)
            })
        });
        self.while_living(key.database, ran).await
    }

    /// Keeps what a transaction did, and ends it.
    ///
    /// # Errors
    /// When the caller may not, it is over, or it cannot be kept.
    pub async fn commit(
        &self,
        caller: &Caller,
        transaction: TransactionRef<'_>,
    ) -> Result<(), RunError> {
        caller.sql_access()?;
        let key = self.living_key(caller, transaction).await?;
        let clock = self.control.clock().as_ref();
        Ok(self.data.commit(&key, clock).await?)
    }

    /// Takes back what a transaction did, and ends it.
    ///
    /// # Errors
    /// When the caller may not, or it is over.
    pub async fn roll_back(
        &self,
        caller: &Caller,
        transaction: TransactionRef<'_>,
    ) -> Result<(), RunError> {
        caller.sql_access()?;
        let key = self.key(caller, transaction)?;
        let clock = self.control.clock().as_ref();
        Ok(self.data.roll_back(&key, clock).await?)
    }

    /// What names a transaction: all of it has to fit. The access lock is not asked: the
    /// transaction holds it, and an exclusive lock waits for the transaction.
    fn key<'r>(
        &self,
        caller: &Caller,
        transaction: TransactionRef<'r>,
    ) -> Result<TransactionKey<'r>, ResolveError> {
        let current = self.control.current();
        let database = caller.find_database(&current.state, transaction.database)?;
        Ok(TransactionKey {
            id: transaction.id,
            database: database.id,
            owner: caller.token_id(),
        })
    }

    /// The same, of a database that has not expired; else the transaction is rolled back.
    async fn living_key<'r>(
        &self,
        caller: &Caller,
        transaction: TransactionRef<'r>,
    ) -> Result<TransactionKey<'r>, ResolveError> {
        let key = self.key(caller, transaction)?;
        let current = self.control.current();
        if let Some(database) = current.state.database(key.database)
            && let Err(expired) = self.refuse_expired(database)
        {
            let clock = self.control.clock().as_ref();
            // A transaction that has ended already has nothing to take back.
            let _ = self.data.roll_back(&key, clock).await;
            return Err(expired.into());
        }
        Ok(key)
    }
}

fn failed(failure: TransactionBatchError, of: Several) -> RunError {
    let TransactionBatchError {
        statement,
        kept,
        error,
    } = failure;
    match statement {
        Some(statement) => RunError::Statement(FailedStatement {
            statement,
            kept,
            of,
            error,
        }),
        None => error.into(),
    }
}
