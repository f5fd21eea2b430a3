//! What is in a database, told and changed.
mod explain;
mod hostile;
mod kept;
mod tables;
mod texts;
mod told;

use crate::support::sql::{Sql, read_only, soon};
use dbforge::data::{QueryError, Schema};
use std::sync::Arc;

/// The schema as any caller sees it now.
async fn schema(sql: &Sql) -> Result<Arc<Schema>, QueryError> {
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    sql.plane.schema(&guard, &sql.target, &read_only()).await
}
