//! Rows without SQL: read, insert, change, remove.
mod values;

pub use self::values::{ValueAnswer, ValueRef};

use super::Service;
use super::caller::Caller;
use super::sql::RunError;
use crate::data::rows::{
    self, NewRows, OneRowAnswer, RowChanges, RowsPage, RowsQuery, RowsRead, RowsWritten, WriteForm,
};
use crate::domain::token::Scope;
use std::pin::pin;
use std::sync::Arc;

/// Rows of a table as a request names them.
#[derive(Debug, Clone, Copy)]
pub struct RowsRef<'r> {
    /// The database's name or id.
    pub database: &'r str,
    /// The table.
    pub table: &'r str,
    /// The part of the path that names one row, with its `%` escapes.
    pub key: Option<&'r str>,
}

impl Service {
    /// Reads rows.
    ///
    /// # Errors
    /// When the caller may not, there is no such database or table, or the request does not fit it.
    pub async fn read_rows(
        self: &Arc<Self>,
        caller: &Caller,
        of: RowsRef<'_>,
        query: &RowsQuery,
        read: RowsRead,
    ) -> Result<RowsPage, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, of.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let page = pin!(async {
            let page = rows::read_page(&self.data, guard, target, of.table, query, read);
            page.await.map_err(RunError::from)
        });
        self.while_living(guard.database(), page).await
    }

    /// Reads the row of a key.
    ///
    /// # Errors
    /// As [`Self::read_rows`]; when there is no such row.
    pub async fn read_row(
        self: &Arc<Self>,
        caller: &Caller,
        of: RowsRef<'_>,
        query: &RowsQuery,
        read: RowsRead,
    ) -> Result<OneRowAnswer, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, of.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let place = (of.table, of.key.unwrap_or_default());
        let row = pin!(async {
            let row = rows::read_one(&self.data, guard, target, place, query, read);
            row.await.map_err(RunError::from)
        });
        self.while_living(guard.database(), row).await
    }

    /// Inserts rows, all or none. Needs the scope `write`.
    ///
    /// # Errors
    /// As [`Self::read_rows`]; when a row does not fit.
    pub async fn write_rows(
        self: &Arc<Self>,
        caller: &Caller,
        of: RowsRef<'_>,
        query: &RowsQuery,
        (rows, form): (NewRows, WriteForm),
    ) -> Result<RowsWritten, RunError> {
        caller.require(Scope::Write)?;
        let entered = self.enter(caller, of.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let written = pin!(async {
            let write = (rows, form);
            let written = rows::insert(&self.data, guard, target, of.table, query, write);
            written.await.map_err(RunError::from)
        });
        self.while_living(guard.database(), written).await
    }

    /// Gives new values to rows. Needs the scope `write`.
    ///
    /// # Errors
    /// As [`Self::write_rows`]; when the row of a key is not there, or not what it was.
    pub async fn change_rows(
        self: &Arc<Self>,
        caller: &Caller,
        of: RowsRef<'_>,
        query: &RowsQuery,
        change: (RowChanges, WriteForm),
    ) -> Result<RowsWritten, RunError> {
        caller.require(Scope::Write)?;
        let entered = self.enter(caller, of.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let written = pin!(async {
            let place = (of.table, of.key);
            let written = rows::change(&self.data, guard, target, place, query, change);
            written.await.map_err(RunError::from)
        });
        self.while_living(guard.database(), written).await
    }

    /// Removes rows. Needs the scope `write`.
    ///
    /// # Errors
    /// As [`Self::change_rows`].
    pub async fn remove_rows(
        self: &Arc<Self>,
        caller: &Caller,
        of: RowsRef<'_>,
        query: &RowsQuery,
        form: WriteForm,
    ) -> Result<RowsWritten, RunError> {
        caller.require(Scope::Write)?;
        let entered = self.enter(caller, of.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let written = pin!(async {
            let place = (of.table, of.key);
            let written = rows::remove(&self.data, guard, target, place, query, form);
            written.await.map_err(RunError::from)
        });
        self.while_living(guard.database(), written).await
    }
}
