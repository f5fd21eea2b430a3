//! A transaction of several requests that stays within what its database may take.
use super::room::makes_room;
use super::sizes::Sizes;
use crate::clock::Deadline;
use crate::engine::sql::executor::{Call, SqlTransaction};
use crate::engine::sql::{
    QueryAnswer, QueryError, Statement, Target, TransactionBatchError, TransactionEnd,
    TransactionError,
};
use async_trait::async_trait;
use std::ops::Range;
use std::sync::Arc;

/// Runs its statements in another one.
#[derive(Debug)]
pub(super) struct TransactionWithinQuota {
    inner: Box<dyn SqlTransaction>,
    target: Target,
    sizes: Arc<Sizes>,
}

impl TransactionWithinQuota {
    pub(super) fn new(inner: Box<dyn SqlTransaction>, target: Target, sizes: Arc<Sizes>) -> Self {
        Self {
            inner,
            target,
            sizes,
        }
    }
}

#[async_trait]
impl SqlTransaction for TransactionWithinQuota {
    async fn run(
        &self,
        call: &Call,
        statements: Vec<Statement>,
        together: bool,
    ) -> Result<Vec<QueryAnswer>, TransactionBatchError> {
        let makes_room = statements
            .iter()
            .all(|statement| makes_room(&statement.sql));
        let work = self.inner.run(call, statements, together);
        if !call.may_write || makes_room {
            return work.await;
        }
        tokio::select! {
            biased;
            ran = work => ran,
            // Dropped, it is cancelled.
            () = self.sizes.until_over(&self.target) => Err(QueryError::QuotaExceeded.into()),
        }
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        self.inner.split(script, most).await
    }

    async fn commit(&self) -> Result<(), TransactionError> {
        self.inner.commit().await
    }

    async fn roll_back(&self, deadline: Deadline) -> Result<(), TransactionError> {
        self.inner.roll_back(deadline).await
    }

    fn end(&self, end: TransactionEnd) {
        self.inner.end(end);
    }

    fn discard(&self) {
        self.inner.discard();
    }

    fn is_too_old(&self) -> bool {
        self.inner.is_too_old()
    }
}
