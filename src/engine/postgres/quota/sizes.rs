//! The sizes of databases, as they were measured last.
use crate::clock::Stopwatch;
use crate::domain::ids::DatabaseId;
use crate::engine::DatabasesFolder;
use crate::engine::postgres::files;
use crate::engine::sql::Target;
use crate::locks::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a measurement holds, where there is much room left; each looks at a thousand files.
const LONGEST: Duration = Duration::from_secs(10);
/// How long it holds at least.
const SHORTEST: Duration = Duration::from_millis(250);
/// How many bytes a second a database grows by at most, about.
const GROWTH: u64 = 64 << 20;
/// How often a database is measured while a statement writes to it.
const WHILE_WRITING: Duration = Duration::from_millis(500);

/// Measures databases.
#[derive(Debug)]
pub(super) struct Sizes {
    databases: DatabasesFolder,
    known: Mutex<HashMap<DatabaseId, Measured>>,
}

#[derive(Debug, Clone, Copy)]
struct Measured {
    bytes: u64,
    at: Stopwatch,
}

impl Sizes {
    pub(super) fn new(databases: DatabasesFolder) -> Arc<Self> {
        Arc::new(Self {
            databases,
            known: Mutex::default(),
        })
    }

    /// Whether a database is larger than it may be.
    pub(super) async fn is_over(self: &Arc<Self>, target: &Target) -> bool {
        let known = self.known.lock().get(&target.database).copied();
        let bytes = match known {
            Some(known) if known.at.elapsed() < holds(known.bytes, target.size_bytes) => {
                known.bytes
            }
            _ => self.measure(target.database).await,
        };
        bytes > target.size_bytes
    }

    /// Returns when a database has become larger than it may be.
    pub(super) async fn until_over(self: &Arc<Self>, target: &Target) {
        loop {
            tokio::time::sleep(WHILE_WRITING).await;
            if self.measure(target.database).await > target.size_bytes {
                return;
            }
        }
    }

    pub(super) fn forget(&self, database: DatabaseId) {
        self.known.lock().remove(&database);
    }

    async fn measure(self: &Arc<Self>, database: DatabaseId) -> u64 {
        let folder = self.databases.of(database);
        let measured = tokio::task::spawn_blocking(move || files::size_bytes(&folder)).await;
        // One that cannot be measured is what it was.
        let bytes = measured.unwrap_or_else(|_| {
            let known = self.known.lock();
            known.get(&database).map_or(0, |known| known.bytes)
        });
        let at = Stopwatch::start();
        self.known.lock().insert(database, Measured { bytes, at });
        bytes
    }
}

/// How long a measurement holds: less, the less room is left.
fn holds(bytes: u64, most: u64) -> Duration {
    let room = most.saturating_sub(bytes);
    Duration::from_millis(room.saturating_mul(1000) / GROWTH).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_room_is_left_the_sooner_it_is_measured_again() {
        assert_eq!(holds(0, 2 << 30), LONGEST);
        assert_eq!(holds(1 << 30, 1 << 30), SHORTEST);
        assert_eq!(holds(2 << 30, 1 << 30), SHORTEST, "it is full");
        let near = holds(896 << 20, 1 << 30);
        assert_eq!(near, Duration::from_secs(2));
    }
}
