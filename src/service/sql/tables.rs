//! Tables and indexes, made, changed and removed.
use super::{RunError, default_options};
use crate::data::{Schema, Table, TableChanged, TableCommand, TableError};
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

impl Service {
    /// Changes a table. Needs the scope `write`.
    ///
    /// # Errors
    /// When the caller may not, there is no such database or table, or it cannot be changed so:
    /// nothing is changed then.
    pub async fn change_table(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        command: TableCommand,
        timeout: Option<Duration>,
    ) -> Result<TableChanged, RunError> {
        caller.require(Scope::Write)?;
        let mut options = default_options();
        // A table with many rows takes a while to be made anew.
        options.timeout = Some(timeout.unwrap_or(self.data.config().largest_timeout));
        self.allow(caller, &mut options)?;
        let mut wait = timeout;
        let entered = self.enter_within(caller, reference, &mut wait).await?;
        options.timeout = wait.or(options.timeout);
        let (guard, target) = (&entered.guard, &entered.target);
        let changed = pin!(self.data.change_table(guard, target, command, options));
        self.while_living(guard.database(), changed)
            .await
            .map_err(Into::into)
    }
}

impl Service {
    /// The table or view of this name.
    ///
    /// # Errors
    /// [`TableError::NotFound`], with the name that may be meant.
    pub fn find_table<'s>(&self, schema: &'s Schema, name: &str) -> Result<&'s Table, RunError> {
        let missing = || TableError::NotFound {
            what: "table",
            name: name.to_owned(),
            nearest: schema.nearest(name).map(str::to_owned),
        };
        schema.find(name).ok_or_else(|| missing().into())
    }
}

impl From<TableError> for RunError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Query(error) => error.into(),
            other => Self::Table(other),
        }
    }
}
