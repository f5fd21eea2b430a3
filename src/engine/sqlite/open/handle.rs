//! Connections that are counted while they are open.
use super::connections::Counted;
use crate::engine::sqlite::SqliteConnection;
use std::ops::{Deref, DerefMut};
use tokio::sync::OwnedSemaphorePermit;

/// A connection that is counted while it is open.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) sqlite: SqliteConnection,
    pub(crate) _counted: Counted,
    /// Reads that it did for a thread that had others before.
    pub(crate) reads_in_a_row: u32,
    pub(crate) large_cache: Option<OwnedSemaphorePermit>,
}

/// The one connection that writes.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) handle: Handle,
    /// The size that it was opened for.
    pub(crate) size_bytes: u64,
}

impl Handle {
    /// Whether it has one of the large page caches.
    pub(crate) fn has_large_cache(&self) -> bool {
        self.large_cache.is_some()
    }

    /// Has a large page cache from now on.
    pub(crate) fn widen(&mut self, large_cache: OwnedSemaphorePermit) {
        if self.sqlite.widen_page_cache().is_ok() {
            self.large_cache = Some(large_cache);
        }
    }
}

impl Deref for Handle {
    type Target = SqliteConnection;
    fn deref(&self) -> &SqliteConnection {
        &self.sqlite
    }
}

impl DerefMut for Handle {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.sqlite
    }
}
