//! The schema of an open database, kept until it changes.
//!
//! Whether it has changed is told by SQLite's own number for it, the schema cookie, which every
//! change raises, also one of another program. It is asked for again after each commit of the writer, and now
//! and then for the sake of other programs; in between nothing is asked.
use super::reader::schema_cookie;
use crate::engine::sql::Schema;
use crate::engine::sqlite::{SqlError, SqliteConnection};
use crate::locks::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is known of one database's schema.
#[derive(Debug, Default)]
pub(crate) struct SchemaCache {
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    schema: Arc<Schema>,
    cookie: i64,
    /// When the cookie was asked for.
    seen: Moment,
}

/// A moment in the life of an open database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Commits of its writer until then, at least those.
    pub(crate) commits: u64,
    /// Microseconds since it was opened.
    pub(crate) micros: u64,
}

/// Numbers of schemas, in all databases.
static VERSIONS: AtomicU64 = AtomicU64::new(1);

/// A number that no schema of this process has yet.
pub(crate) fn next_version() -> u64 {
    VERSIONS.fetch_add(1, Ordering::Relaxed)
}

impl SchemaCache {
    /// The schema, if nothing can have changed it since it was looked at.
    pub(super) fn fresh(&self, now: Moment, look_every: Duration) -> Option<Arc<Schema>> {
        let known = self.known.lock();
        let known = known.as_ref()?;
        let look_every = u64::try_from(look_every.as_micros()).unwrap_or(u64::MAX);
        let is_fresh = known.seen.commits == now.commits
            && now.micros < known.seen.micros.saturating_add(look_every);
        is_fresh.then(|| Arc::clone(&known.schema))
    }

    /// The schema, if this connection finds that it has not changed. `now` is from before it looks:
    /// a commit in between makes what is known older than it is, never younger.
    pub(super) fn unchanged(
        &self,
        now: Moment,
        sqlite: &mut SqliteConnection,
    ) -> Result<Option<Arc<Schema>>, SqlError> {
        let Some(cookie) = self.known.lock().as_ref().map(|known| known.cookie) else {
            return Ok(None);
        };
        if schema_cookie(sqlite)? != cookie {
            return Ok(None);
        }
        let mut known = self.known.lock();
        let known = known.as_mut().filter(|known| known.cookie == cookie);
        Ok(known.map(|known| {
            if known.seen.commits <= now.commits {
                known.seen = now;
            }
            Arc::clone(&known.schema)
        }))
    }

    /// Reads the schema anew. `now` is from before.
    pub(super) fn read(
        &self,
        now: Moment,
        sqlite: &mut SqliteConnection,
    ) -> Result<Arc<Schema>, SqlError> {
        let (cookie, tables) = sqlite.read_schema()?;
        let schema = Arc::new(Schema::new(tables, next_version()));
        let mut known = self.known.lock();
        // A reader that was slow does not replace what another has read since.
        if known
            .as_ref()
            .is_none_or(|known| known.seen.commits <= now.commits)
        {
            *known = Some(Known {
                schema: Arc::clone(&schema),
                cookie,
                seen: now,
            });
        }
        Ok(schema)
    }
}
