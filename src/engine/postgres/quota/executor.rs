//! An executor whose databases stay within what they may take.
use super::room::makes_room;
use super::sizes::Sizes;
use super::transaction::TransactionWithinQuota;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::changes::{TableChanged, TableCommand, TableError};
use crate::engine::sql::executor::{Call, ExecutorHealth, SqlExecutor, SqlTransaction};
use crate::engine::sql::{
    BatchError, BatchMode, Form, MigrateError, Migrated, NewMigration, QueryAnswer, QueryError,
    Schema, Statement, Streamed, Target, TransactionError, TransactionMode, TransactionPlace,
};
use crate::engine::{DataFileError, DatabasesFolder};
use async_trait::async_trait;
use std::ops::Range;
use std::sync::Arc;

/// Runs SQL by another executor.
#[derive(Debug)]
pub(in crate::engine::postgres) struct WithinQuota<E> {
    inner: E,
    sizes: Arc<Sizes>,
}

impl<E: SqlExecutor> WithinQuota<E> {
    pub(in crate::engine::postgres) fn new(inner: E, databases: DatabasesFolder) -> Self {
        Self {
            inner,
            sizes: Sizes::new(databases),
        }
    }

    /// The call as it may be made on a database of this size.
    async fn bounded(&self, target: &Target, call: &Call, statements: &[Statement]) -> Bounded {
        let makes_room = || {
            statements
                .iter()
                .all(|statement| makes_room(&statement.sql))
        };
        let only_reads = call.may_write && self.sizes.is_over(target).await && !makes_room();
        Bounded {
            call: Call {
                may_write: call.may_write && !only_reads,
                ..*call
            },
            is_full: only_reads,
        }
    }

    /// Runs `work`, which writes, for as long as there is room.
    async fn watched<T, F: From<QueryError>>(
        &self,
        target: &Target,
        bounded: &Bounded,
        makes_room: bool,
        work: impl Future<Output = Result<T, F>>,
    ) -> Result<T, F> {
        if !bounded.call.may_write || makes_room {
            return work.await;
        }
        tokio::select! {
            biased;
            ran = work => ran,
            // Dropped, it is cancelled.
            () = self.sizes.until_over(target) => Err(QueryError::QuotaExceeded.into()),
        }
    }

    /// Refuses what only writes, where there is no room.
    async fn require_room(&self, target: &Target) -> Result<(), QueryError> {
        match self.sizes.is_over(target).await {
            true => Err(QueryError::QuotaExceeded),
            false => Ok(()),
        }
    }
}

/// A call, and whether it only reads for want of room.
struct Bounded {
    call: Call,
    is_full: bool,
}

impl Bounded {
    /// What is refused as a write is refused for want of room.
    fn told(&self, error: QueryError) -> QueryError {
        match error {
            QueryError::ReadOnly if self.is_full => QueryError::QuotaExceeded,
            error => error,
        }
    }
}

#[async_trait]
impl<E: SqlExecutor> SqlExecutor for WithinQuota<E> {
    async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        let makes_room = makes_room(&statement.sql);
        let bounded = self
            .bounded(target, call, std::slice::from_ref(&statement))
            .await;
        let work = self.inner.query(guard, target, &bounded.call, statement);
        let ran = self.watched(target, &bounded, makes_room, work).await;
        ran.map_err(|error| bounded.told(error))
    }

    async fn batch(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        mode: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let makes_room = statements
            .iter()
            .all(|statement| makes_room(&statement.sql));
        let bounded = self.bounded(target, call, &statements).await;
        let work = self
            .inner
            .batch(guard, target, &bounded.call, statements, mode);
        let ran = self.watched(target, &bounded, makes_room, work).await;
        ran.map_err(|failure| BatchError {
            error: bounded.told(failure.error),
            ..failure
        })
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        self.inner.split(script, most).await
    }

    async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        rows: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        let makes_room = makes_room(&statement.sql);
        let bounded = self
            .bounded(target, call, std::slice::from_ref(&statement))
            .await;
        let work = self
            .inner
            .stream(guard, target, &bounded.call, rows, statement);
        let ran = self.watched(target, &bounded, makes_room, work).await;
        ran.map_err(|error| bounded.told(error))
    }

    async fn schema(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        self.inner.schema(guard, target, call).await
    }

    async fn migrate(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        migration: NewMigration,
    ) -> Result<Migrated, MigrateError> {
        self.require_room(target).await?;
        let bounded = Bounded {
            call: *call,
            is_full: false,
        };
        let work = self.inner.migrate(guard, target, call, migration);
        self.watched(target, &bounded, false, work).await
    }

    async fn change_table(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        command: TableCommand,
    ) -> Result<TableChanged, TableError> {
        self.inner.change_table(guard, target, call, command).await
    }

    async fn suggest_indexes(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        schema: Arc<Schema>,
        sql: Arc<str>,
    ) -> Result<Vec<String>, QueryError> {
        self.inner
            .suggest_indexes(guard, target, call, schema, sql)
            .await
    }

    async fn begin(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        mode: TransactionMode,
        place: Arc<dyn TransactionPlace>,
    ) -> Result<Box<dyn SqlTransaction>, TransactionError> {
        if call.may_write {
            self.require_room(target).await?;
        }
        let begun = self.inner.begin(guard, target, call, mode, place).await?;
        Ok(Box::new(TransactionWithinQuota::new(
            begun,
            *target,
            Arc::clone(&self.sizes),
        )))
    }

    async fn close(&self, database: DatabaseId) -> Result<(), DataFileError> {
        self.sizes.forget(database);
        self.inner.close(database).await
    }

    async fn close_all(&self) {
        self.inner.close_all().await;
    }

    fn health(&self) -> ExecutorHealth {
        self.inner.health()
    }
}
