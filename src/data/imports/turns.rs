//! The turns of the writer that an import takes, and what can come of them.
use super::input::ReadError;
use crate::clock::Deadline;
use crate::data::{
    Access, BatchError, BatchMode, BatchStatement, DataPlane, Params, QueryAnswer, QueryError,
    QueryOptions, QueryRequest, Schema, SharedGuard, Target,
};
use crate::domain::import::RowError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a turn of the writer is waited for, all tries together.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum TableImportError {
    /// The file or the table does not suit; trying again changes nothing.
    #[error("{0}")]
    Refused(String),
    /// A row does not fit.
    #[error("{row}{kept}")]
    Row {
        /// Which one, and why.
        row: RowError,
        /// What is kept, in words.
        kept: String,
    },
    /// The file is gone.
    #[error("the upload is gone")]
    FileGone,
    /// The database refuses.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// It was told to end.
    #[error("the import was interrupted")]
    Interrupted,
    /// A thread of it ended.
    #[error("the import's thread ended: {0}")]
    Broken(String),
}

impl From<ReadError> for TableImportError {
    fn from(error: ReadError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// The database of an import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turns<'c> {
    pub(super) plane: &'c DataPlane,
    pub(super) database: &'c Target,
    pub(super) interrupted: &'c CancellationToken,
}

impl Turns<'_> {
    pub(super) async fn schema(&self) -> Result<Arc<Schema>, TableImportError> {
        let guard = self.enter().await?;
        let options = QueryOptions::for_access(Access::ReadOnly);
        let schema = self.plane.schema(&guard, self.database, &options);
        Ok(schema.await?)
    }

    /// Asks as any client does.
    pub(super) async fn ask<R: DeserializeOwned>(
        &self,
        sql: String,
        params: Params,
    ) -> Result<Vec<R>, TableImportError> {
        #[derive(Deserialize)]
        struct Body<R> {
            rows: Vec<R>,
        }
        let guard = self.enter().await?;
        let request = QueryRequest {
            sql,
            params,
            options: QueryOptions::for_access(Access::ReadOnly),
        };
        let answer = self.plane.query(&guard, self.database, request).await?;
        let body: Body<R> = serde_json::from_slice(&answer.body)
            .map_err(|error| TableImportError::Broken(error.to_string()))?;
        Ok(body.rows)
    }

    async fn enter(&self) -> Result<SharedGuard, TableImportError> {
        let entered = self
            .plane
            .enter(self.database.database, Deadline::after(PATIENCE));
        entered.await.map_err(|_| QueryError::Locked.into())
    }

    /// Runs statements in one transaction.
    pub(super) async fn commit(
        &self,
        statements: Vec<BatchStatement>,
    ) -> Result<(), TableImportError> {
        match self.batch(statements, None).await {
            Ok(_) => Ok(()),
            Err(BatchError { error, .. }) => Err(match error {
                QueryError::Sql { .. } | QueryError::Constraint { .. } => {
                    TableImportError::Refused(in_words(&error))
                }
                other => other.into(),
            }),
        }
    }

    /// The same. Where the writer is taken, it is tried again for a while.
    pub(super) async fn batch(
        &self,
        statements: Vec<BatchStatement>,
        timeout: Option<Duration>,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let patience = Deadline::after(PATIENCE);
        loop {
            let ran = self.batch_once(statements.clone(), timeout).await;
            match ran {
                Err(failure)
                    if failure.error.is_retryable()
                        && failure.error != QueryError::DiskFull
                        && !patience.has_passed()
                        && !self.interrupted.is_cancelled() =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                ran => return ran,
            }
        }
    }

    async fn batch_once(
        &self,
        statements: Vec<BatchStatement>,
        timeout: Option<Duration>,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        let (plane, database) = (self.plane, self.database);
        let guard = plane
            .enter(database.database, Deadline::after(PATIENCE))
            .await;
        let guard = guard.map_err(|_| QueryError::Locked)?;
        let options = QueryOptions {
            timeout: Some(timeout.unwrap_or(plane.config().largest_timeout)),
            ..QueryOptions::for_access(Access::ReadWrite)
        };
        plane
            .batch_of_job(&guard, database, statements, BatchMode::Immediate, options)
            .await
    }
}

pub(super) fn row_error(line: u64, error: &QueryError) -> RowError {
    let message = in_words(error);
    // `NOT NULL constraint failed: table.column`
    let column = message.rsplit_once("failed: ").and_then(|(_, place)| {
        let column = place.rsplit_once('.')?.1;
        (!place.contains(", ")).then(|| column.to_owned())
    });
    RowError {
        line,
        column,
        message,
    }
}

/// What SQLite says, without the words in front of it.
pub(super) fn in_words(error: &QueryError) -> String {
    let said = error.to_string();
    said.strip_prefix("SQL Error: ")
        .map_or(said.clone(), str::to_owned)
}
