//! Changes of tables, passed on to the engine.
use super::scripts::silent;
use super::{DataPlane, QueryError, QueryOptions, SharedGuard, Target};
use crate::engine::sql::changes::{TableChanged, TableCommand, TableError};

impl DataPlane {
    /// Changes a table of the database behind `guard`, all at once or not at all.
    ///
    /// # Errors
    /// What [`TableError`] lists.
    pub async fn change_table(
        &self,
        guard: &SharedGuard,
        target: &Target,
        command: TableCommand,
        options: QueryOptions,
    ) -> Result<TableChanged, TableError> {
        if !options.may_write() {
            return Err(QueryError::ReadOnly.into());
        }
        let executor = self.executor_of(target)?;
        let call = self.call(&silent(options));
        executor.change_table(guard, target, &call, command).await
    }
}
