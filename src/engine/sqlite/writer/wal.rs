//! Keeps the WAL of a database short.
use crate::clock::Deadline;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::{ExecutionLimits, SqliteConnection, WAL_FILE};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a WAL checkpoint waits for readers; past that, a later checkpoint truncates it.
const CHECKPOINT_PATIENCE: Duration = Duration::from_millis(10);

/// A WAL that is this many times as long as it may get before it is truncated takes no more writes.
const MOST_WALS: u64 = 2;
/// While a transaction's snapshot keeps it from being truncated, it may grow to this many times
/// that length; then such transactions end.
const WALS_OF_SNAPSHOTS: u64 = 8;

impl OpenDatabase {
    /// Brings a WAL that has grown too large into the main file.
    pub(crate) fn keep_wal_short(&self, writer: &mut SqliteConnection) {
        if !writer.is_spoiled() && self.wal_is_longer_than(self.wal_bytes) {
            self.cut_wal(writer);
        }
    }

    /// Whether more may be written. A running read keeps the WAL from being truncated, and repeated
    /// writes to the same pages do not touch the size limit.
    pub(crate) fn wal_has_room(&self, writer: &mut SqliteConnection) -> bool {
        let wals = if self.has_snapshots() {
            WALS_OF_SNAPSHOTS
        } else {
            1
        };
        let most = self.wal_bytes.saturating_mul(wals * MOST_WALS);
        if self.wal_is_longer_than(most) {
            self.cut_wal(writer);
        }
        !self.wal_is_longer_than(most)
    }

    /// Checkpoints the WAL into the main file and truncates it. Readers that still use it put that
    /// off until the next time: they end by their deadlines. Streams and snapshots of transactions,
    /// which may last for a minute, are not waited for.
    fn cut_wal(&self, writer: &mut SqliteConnection) {
        let has_snapshots = self.has_snapshots();
        let longest = self.wal_bytes.saturating_mul(WALS_OF_SNAPSHOTS);
        if has_snapshots && self.wal_is_longer_than(longest) {
            self.wal_is_long.store(true, Ordering::Release);
        }
        writer.set_limits(ExecutionLimits {
            deadline: Deadline::after(CHECKPOINT_PATIENCE),
            cancellation: None,
            slice: None,
            may_wait: true,
        });
        let is_whole = writer.checkpoint(if has_snapshots || self.streams.are_taken() {
            "PRAGMA wal_checkpoint(PASSIVE);"
        } else {
            "PRAGMA wal_checkpoint(TRUNCATE);"
        });
        writer.clear_limits();
        self.statistics.checkpointed(is_whole == Ok(true));
    }

    fn has_snapshots(&self) -> bool {
        self.snapshots.load(Ordering::Acquire) > 0
    }

    fn wal_is_longer_than(&self, bytes: u64) -> bool {
        self.wal_length() > bytes
    }

    /// Bytes of the WAL; 0 when there is none.
    pub(crate) fn wal_length(&self) -> u64 {
        let wal = self.folder().join(WAL_FILE);
        wal.metadata().map_or(0, |it| it.len())
    }
}
