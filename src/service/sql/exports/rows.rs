//! The rows of a table or of a query.
use crate::data::QueryError;
use crate::data::exports::{ExportForm, ExportSource, ExportedRows};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::sql::RunError;
use bytes::Bytes;
use std::pin::pin;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// An export that ends with its database's time to live.
pub struct LivingExport {
    /// The name of the database.
    pub database: String,
    rows: ExportedRows,
    _ends_with_database: AbortOnDropHandle<()>,
}

impl Service {
    /// Exports the rows of a table or a query. Needs the scope `read`.
    ///
    /// # Errors
    /// When the caller may not, there is no such database or table, or the statement fails before
    /// its first row.
    pub async fn export_rows(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        source: ExportSource,
        form: ExportForm,
    ) -> Result<LivingExport, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, reference).await?;
        let id = entered.guard.database();
        let exported = self
            .data
            .export_rows(&entered.guard, &entered.target, source, form);
        let exported = pin!(exported);
        let (rows, stopper) = self.while_living(id, exported).await?;
        let over = Arc::clone(self).until_over(id);
        let ends = tokio::spawn(async move {
            over.await;
            stopper.stop(QueryError::Expired);
        });
        let current = self.control.current();
        let name = current.state.database(id).map(|it| it.name.to_string());
        Ok(LivingExport {
            database: name.unwrap_or_else(|| reference.to_owned()),
            rows,
            _ends_with_database: AbortOnDropHandle::new(ends),
        })
    }
}

impl LivingExport {
    /// The next piece; `None` behind the last.
    pub async fn next(&mut self) -> Option<Result<Bytes, QueryError>> {
        self.rows.next().await
    }
}
