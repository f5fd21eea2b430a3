//! Rows without SQL: read, insert, change, remove.
use super::Service;
use super::caller::Caller;
use super::sql::{LivingRows, RunError};
use crate::data::QueryError;
use crate::data::rows::{
    self, NewBytes, NewRows, OneRowAnswer, RowChanges, RowsPage, RowsQuery, RowsRead, RowsWritten,
    ValueBytes, ValueFacts, ValueName, WriteForm,
};
use crate::data::uploads::Upload;
use crate::domain::token::Scope;
use crate::shares::with_pass_of_here;
use bytes::Bytes;
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

/// The value of a column.
#[derive(Debug, Clone, Copy)]
pub struct ValueRef<'r> {
    /// Of which row.
    pub row: RowsRef<'r>,
    /// The column.
    pub column: &'r str,
}

impl<'r> ValueRef<'r> {
    fn name(&self) -> ValueName<'r> {
        ValueName {
            table: self.row.table,
            key: self.row.key.unwrap_or_default(),
            column: self.column,
        }
    }
}

/// Bytes of a value on their way to a client.
pub enum ValueAnswer {
    /// They are there.
    Whole(Bytes),
    /// They come in pieces.
    Pieces(LivingRows),
}

impl Service {
    /// What is known of a value.
    ///
    /// # Errors
    /// When the caller may not, or there is no such database, table, column or row.
    pub async fn value_facts(
        self: &Arc<Self>,
        caller: &Caller,
        of: ValueRef<'_>,
    ) -> Result<ValueFacts, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, of.row.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        Ok(rows::value_facts(&self.data, guard, target, of.name()).await?)
    }

    /// Reads bytes of a value.
    ///
    /// # Errors
    /// As [`Self::value_facts`]; when the value has changed since.
    pub async fn read_value(
        self: &Arc<Self>,
        caller: &Caller,
        of: ValueRef<'_>,
        facts: &ValueFacts,
        part: (u64, u64),
    ) -> Result<ValueAnswer, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, of.row.database).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let read = rows::read_value(&self.data, guard, target, of.name(), facts, part).await?;
        Ok(match read {
            ValueBytes::Whole(bytes) => ValueAnswer::Whole(bytes),
            ValueBytes::Pieces(pieces) => {
                ValueAnswer::Pieces(self.end_with_database(guard.database(), pieces))
            }
        })
    }

    /// Gives a value the bytes of an upload, which is removed then. Needs the scope `write`. Once it
    /// has begun it goes on to its end, whether its caller waits for it or not.
    ///
    /// # Errors
    /// As [`Self::value_facts`]; when the value has none of the marks.
    pub async fn write_value(
        self: &Arc<Self>,
        caller: &Caller,
        of: ValueRef<'_>,
        upload: Arc<Upload>,
        (is_text, if_match): (bool, Vec<String>),
    ) -> Result<(), RunError> {
        caller.require(Scope::Write)?;
        let entered = self.enter(caller, of.row.database).await?;
        let service = Arc::clone(self);
        let name = of.name();
        let (table, key) = (name.table.to_owned(), name.key.to_owned());
        let column = name.column.to_owned();
        let writing = with_pass_of_here(async move {
            let file = service.data.uploads().file(upload.id);
            let new = NewBytes {
                file: &file,
                size: upload.bytes,
                is_text,
                if_match,
            };
            let name = ValueName {
                table: &table,
                key: &key,
                column: &column,
            };
            let (guard, target) = (&entered.guard, &entered.target);
            let written = rows::write_value(&service.data, guard, target, name, new).await;
            let uploads = service.data.uploads().clone();
            let removed = tokio::task::spawn_blocking(move || uploads.remove(upload.id)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "failed to remove an upload");
            }
            written
        });
        let ended = tokio::spawn(writing).await;
        Ok(ended.map_err(|error| QueryError::Broken {
            reason: error.to_string(),
        })??)
    }
}
