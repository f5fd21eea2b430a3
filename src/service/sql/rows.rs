//! Tables and rows without SQL, as the legacy API works with them.
use super::RunError;
use crate::data::legacy_rows::{self, NewTable, RowSelection, SchemaFacts, TableDescription};
use crate::data::{KeyedRows, QueryAnswer};
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;

impl Service {
    /// Creates a table.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, or the description is no table.
    pub async fn create_table(
        &self,
        caller: &Caller,
        reference: &str,
        table: &NewTable,
    ) -> Result<(), RunError> {
        caller.require(Scope::Write)?;
        let entered = self.enter(caller, reference).await?;
        let made = legacy_rows::create_table(&self.data, &entered.guard, &entered.target, table);
        Ok(made.await?)
    }

    /// Inserts rows, all or none; the number of rows that were inserted.
    ///
    /// # Errors
    /// When the caller may not, there is no such database or table, or a row does not fit.
    pub async fn insert_rows(
        &self,
        caller: &Caller,
        reference: &str,
        table: &str,
        rows: KeyedRows,
    ) -> Result<u64, RunError> {
        caller.require(Scope::Write)?;
        let entered = self.enter(caller, reference).await?;
        let (guard, target) = (&entered.guard, &entered.target);
        let inserted = legacy_rows::insert_rows(&self.data, guard, target, table, rows);
        inserted.await.map_err(|failure| failure.error.into())
    }

    /// Selects rows.
    ///
    /// # Errors
    /// When the caller may not, or there is no such database, table or column.
    pub async fn select_rows(
        &self,
        caller: &Caller,
        reference: &str,
        table: &str,
        selection: &RowSelection,
    ) -> Result<QueryAnswer, RunError> {
        caller.require(Scope::Read)?;
        let entered = self.enter(caller, reference).await?;
        let selected = legacy_rows::select_rows(
            &self.data,
            &entered.guard,
            &entered.target,
            table,
            selection,
        );
        Ok(selected.await?)
    }

    /// The tables of a database, or the one of a name, with their columns and indexes.
    ///
    /// # Errors
    /// When the caller may not, or there is no such database or table.
    pub async fn describe_tables(
        &self,
        caller: &Caller,
        reference: &str,
        only: Option<&str>,
    ) -> Result<Vec<TableDescription>, RunError> {
        caller.require(Scope::Read)?;
        let entered = self.enter(caller, reference).await?;
        let described = legacy_rows::describe(&self.data, &entered.guard, &entered.target, only);
        Ok(described.await?)
    }

    /// The tables and indexes of a database.
    ///
    /// # Errors
    /// When there is no such database, or it cannot be read.
    pub async fn schema(&self, caller: &Caller, reference: &str) -> Result<SchemaFacts, RunError> {
        let entered = self.enter(caller, reference).await?;
        let schema = legacy_rows::schema(&self.data, &entered.guard, &entered.target);
        Ok(schema.await?)
    }
}
