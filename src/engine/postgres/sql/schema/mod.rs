//! What is in a database: read from the server's catalogue, and kept until that has changed.
pub(super) mod known;
mod table;

use super::error::{Asked, Failure};
use super::executor::PostgresExecutor;
use super::pool::{Purpose, Role};
use super::session::Session;
use super::work::within;
use crate::engine::access_lock::SharedGuard;
use crate::engine::postgres::client::fields;
use crate::engine::sql::executor::Call;
use crate::engine::sql::{QueryError, Schema, SqlDialect, Target};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Every table and view of the schema `public`, those of extensions left out, each as JSON.
const CATALOG: &str = include_str!("catalog.sql");

/// What changes with every change of the catalogue: how many entries it has, and which transaction
/// has written the last.
const FINGERPRINT: &str = "SELECT pg_catalog.concat_ws(',', \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_class), \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_attribute), \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_attrdef), \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_constraint), \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_index), \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_trigger), \
     (SELECT (count(*), max(xmin::text::bigint)) FROM pg_catalog.pg_rewrite))";

/// Schemas of this engine have numbers that those of others do not reach.
static VERSIONS: AtomicU64 = AtomicU64::new(1 << 62);

impl PostgresExecutor {
    /// What is in a database, as it is committed now.
    pub(super) async fn read_schema(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
    ) -> Result<Arc<Schema>, QueryError> {
        let pool = self.pool(guard, target)?;
        let leased = pool.lease(guard, Role::Reader, Purpose::Statement, call.deadline);
        let mut lease = leased.await?;
        let stopper = lease.stopper();
        let work = async {
            let session = lease.session();
            let fingerprint = texts(session, FINGERPRINT).await?.pop();
            let fingerprint = fingerprint.unwrap_or_default();
            if let Some(known) = pool.schema.find(&fingerprint) {
                return Ok(known);
            }
            let tables = texts(session, CATALOG).await?;
            let tables = tables.iter().map(|json| table::read(json));
            let tables = tables.collect::<Result<_, _>>().map_err(|error| {
                let reason = format!("the catalogue answered what it cannot: {error}");
                Failure::Refused(QueryError::Broken { reason })
            })?;
            let version = VERSIONS.fetch_add(1, Ordering::Relaxed);
            let schema = Arc::new(Schema::new(tables, version).speaking(SqlDialect::Postgres));
            pool.schema.keep(fingerprint, &schema);
            Ok::<_, Failure>(schema)
        };
        let read = within(call.deadline, &pool, stopper, work).await;
        read.map_err(|failure| {
            failure.for_caller(&Asked {
                timeout: call.timeout,
                may_write: false,
                begins_like_a_read: true,
                keeps_at_once: false,
            })
        })
    }
}

/// The first column of a statement of the gateway's own.
async fn texts(session: &mut Session, sql: &str) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::new();
    let read = session.simple_rows(sql, |row| {
        let first = fields(row).next().flatten().unwrap_or_default();
        texts.push(String::from_utf8_lossy(first).into_owned());
    });
    read.await?;
    Ok(texts)
}
