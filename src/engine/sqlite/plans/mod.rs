//! Which indexes would help a statement: tried on an empty copy of the schema, in memory.
mod empty_copy;
mod suggest;

use super::executor::SqliteExecutor;
use super::threads::on_thread::limits_of;
use crate::engine::access_lock::SharedGuard;
use crate::engine::sql::{Call, QueryError, Schema, Target};
use std::sync::Arc;

impl SqliteExecutor {
    /// Statements that make indexes which SQLite would use for `sql`, and by which it would scan or
    /// sort less; at most one for each table.
    ///
    /// # Errors
    /// When there is no thread for it, or it takes too long.
    pub async fn suggest_indexes(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        schema: Arc<Schema>,
        sql: Arc<str>,
    ) -> Result<Vec<String>, QueryError> {
        let open = self.open_behind(guard, target)?;
        let (guard, call_of_it) = (guard.clone(), *call);
        let tried = self.on_thread(&open.breaker, call, move |cancellation| {
            let limits = limits_of(&call_of_it, cancellation);
            let suggested = suggest::indexes(&schema, &sql, limits);
            drop(guard);
            suggested
        });
        let suggested = tried.await?;
        suggested.map_err(|error| error.for_caller(call.timeout))
    }
}
