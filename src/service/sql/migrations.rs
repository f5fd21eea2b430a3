//! Migrations: applied once, and listed.
use super::{FailedStatement, RunError, Several, default_options, line_at};
use crate::data::{AppliedMigration, MigrateError, Migrated, MigrationRequest, ScriptError};
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

impl Service {
    /// Applies a migration, unless it was applied before. Needs the scope `write`.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, or the migration cannot be applied:
    /// nothing of it is kept then.
    pub async fn migrate(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        request: MigrationRequest,
        timeout: Option<Duration>,
    ) -> Result<Migrated, RunError> {
        caller.require(Scope::Write)?;
        let mut options = default_options();
        // It may take as long as a statement may take at most: it is not one that answers a user.
        options.timeout = Some(timeout.unwrap_or(self.data.config().largest_timeout));
        self.allow(caller, &mut options)?;
        let mut wait = timeout;
        let entered = self.enter_within(caller, reference, &mut wait).await?;
        options.timeout = wait.or(options.timeout);
        let (guard, target) = (&entered.guard, &entered.target);
        let (applied_by, now) = (caller.actor().0, self.control.clock().now());
        let sql = request.sql.clone();
        let migrated = pin!(async {
            let migrated = self
                .data
                .migrate(guard, target, request, applied_by, now, options);
            migrated.await.map_err(|error| failed(error, &sql))
        });
        self.while_living(guard.database(), migrated).await
    }

    /// The migrations that were applied, in that order.
    ///
    /// # Errors
    /// When the caller may not read, or there is no such database.
    pub async fn migrations(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
    ) -> Result<Vec<AppliedMigration>, RunError> {
        caller.require(Scope::Read)?;
        let entered = self.enter(caller, reference).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let listed = pin!(self.data.migrations(guard, target, default_options()));
        Ok(self.while_living(guard.database(), listed).await?)
    }
}

impl From<MigrateError> for RunError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Query(error) => error.into(),
            other => Self::Migration(other),
        }
    }
}

fn failed(error: ScriptError<MigrateError>, sql: &str) -> RunError {
    let offset = error.offset;
    match error.failure {
        MigrateError::Statement(failed) => RunError::Statement(FailedStatement {
            statement: failed.statement,
            kept: 0,
            of: Several::Migration {
                offset,
                line: line_at(sql, offset),
            },
            error: failed.error.into(),
        }),
        other => other.into(),
    }
}
