//! What is in a database.
use super::{RunError, default_options};
use crate::data::{QueryRequest, Schema, quoted};
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::resolver::Entered;
use serde::Deserialize;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;

impl Service {
    /// The schema of a database, as it is committed now.
    ///
    /// # Errors
    /// When the caller may not read, or there is no such database.
    pub async fn database_schema(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
    ) -> Result<Arc<Schema>, RunError> {
        caller.require(Scope::Read)?;
        let entered = self.enter(caller, reference).await?;
        self.schema_of(&entered).await
    }

    /// The same, of a database that is entered.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn schema_of(
        self: &Arc<Self>,
        entered: &Entered,
    ) -> Result<Arc<Schema>, RunError> {
        let options = default_options();
        let (guard, target) = (&entered.guard, &entered.target);
        let schema = pin!(self.data.schema(guard, target, &options));
        Ok(self.while_living(guard.database(), schema).await?)
    }

    /// How many rows the tables of `schema` have, by name: those that keep rows.
    ///
    /// # Errors
    /// As for any statement; counting very large tables may run into the deadline.
    pub async fn count_rows(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        schema: &Schema,
    ) -> Result<HashMap<String, u64>, RunError> {
        #[derive(Deserialize)]
        struct Body {
            rows: Vec<(String, u64)>,
        }
        let mut counts = HashMap::new();
        let mut options = default_options();
        self.allow(caller, &mut options)?;
        let countable = schema.tables.iter().filter(|table| table.keeps_rows());
        let countable: Vec<_> = countable.collect();
        for some in countable.chunks(COUNTED_AT_ONCE) {
            let each = some.iter().map(|table| {
                let text = table.name.replace('\'', "''");
                format!("SELECT '{text}', count(*) FROM {}", quoted(&table.name))
            });
            let request = QueryRequest {
                sql: each.collect::<Vec<_>>().join(" UNION ALL "),
                params: crate::data::Params::None,
                options,
            };
            let answer = self.query(caller, reference, request).await?;
            let body: Body = serde_json::from_slice(&answer.body).map_err(|error| {
                crate::data::QueryError::Broken {
                    reason: format!("counting answered what it cannot: {error}"),
                }
            })?;
            counts.extend(body.rows);
        }
        Ok(counts)
    }
}

/// Tables whose rows one statement counts.
const COUNTED_AT_ONCE: usize = 100;
