//! One database with its open connections.
use super::circuit_breaker::CircuitBreaker;
use super::connections::Connections;
use super::handle::{Handle, Writer};
use crate::clock::{Deadline, Stopwatch};
use crate::domain::database::Durability;
use crate::domain::ids::DatabaseId;
use crate::engine::sql::{QueryError, SqlStatistics, Target};
use crate::engine::sqlite::config::SqliteConfig;
use crate::engine::sqlite::readers::latency_class::StatementClassifier;
use crate::engine::sqlite::schema::SchemaCache;
use crate::engine::sqlite::threads::concurrency_limiter::ConcurrencyLimiter;
use crate::engine::sqlite::writer::queue::WriteQueue;
use crate::engine::sqlite::{
    MAIN_FILE, Profile, Role, SqlError, SqliteConnection, TempBudget, TempSpace,
};
use crate::locks::Mutex;
use crate::shares::Permit;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock};
use std::time::Duration;

/// One database of one generation. Connections are opened when they are needed.
#[derive(Debug)]
pub(crate) struct OpenDatabase {
    pub(crate) epoch: u64,
    pub(crate) classifier: StatementClassifier,
    /// Its schema, as it was last read.
    pub(crate) schema: SchemaCache,
    pub(crate) breaker: Arc<CircuitBreaker>,
    pub(crate) writes: Arc<WriteQueue>,
    /// Commits of its writer. Readers compare it to detect new commits.
    pub(crate) commits: AtomicU64,
    /// Transactions that read what was there when they began.
    pub(crate) snapshots: AtomicUsize,
    /// Whether the WAL has grown so long behind them that they have to end.
    pub(crate) wal_is_long: Arc<AtomicBool>,
    /// Reads that have a thread of their own.
    reads: ConcurrencyLimiter,
    pub(crate) streams: ConcurrencyLimiter,
    /// When it was last used, counted in uses of any database.
    pub(crate) last_used: AtomicU64,
    /// Where its writer has temporary files.
    temp_space: Arc<TempSpace>,
    folder: PathBuf,
    /// The file that its connections were opened on: device and inode.
    opened: OnceLock<(u64, u64)>,
    since: Stopwatch,
    /// When it was last seen in its place, in microseconds since then, and one; 0 for never.
    seen_in_place: AtomicU64,
    look_every: Duration,
    /// Until when its reads have threads, in microseconds since then.
    without_fast_class: AtomicU64,
    durability: Durability,
    size_bytes: AtomicU64,
    cached_statements: usize,
    /// Bytes of the WAL past which it is brought into the main file.
    pub(crate) wal_bytes: u64,
    /// Readers that rest; the last one to rest is the first to work, its pages being at hand.
    readers: Mutex<Vec<Handle>>,
    most_readers: usize,
    writer: Mutex<Option<Writer>>,
    connections: Arc<Connections>,
    database: DatabaseId,
    pub(crate) statistics: Arc<SqlStatistics>,
}

impl OpenDatabase {
    pub(crate) fn new(
        folder: PathBuf,
        epoch: u64,
        target: &Target,
        config: &SqliteConfig,
        connections: &Arc<Connections>,
        temporary: &Arc<TempBudget>,
        statistics: &Arc<SqlStatistics>,
    ) -> Self {
        Self {
            epoch,
            classifier: StatementClassifier::new(config.remembered_statements),
            schema: SchemaCache::default(),
            breaker: Arc::default(),
            writes: Arc::new(WriteQueue::new(config.waiting_writes)),
            commits: AtomicU64::new(0),
            snapshots: AtomicUsize::new(0),
            wal_is_long: Arc::default(),
            reads: ConcurrencyLimiter::new(
                "reads of this database",
                config.readers_per_database,
                config.waiting_reads,
            ),
            streams: ConcurrencyLimiter::new(
                "streams of this database",
                config.streams_per_database,
                config.waiting_streams,
            ),
            last_used: AtomicU64::new(0),
            temp_space: TempSpace::new(&folder, temporary),
            folder,
            opened: OnceLock::new(),
            since: Stopwatch::start(),
            seen_in_place: AtomicU64::new(0),
            look_every: config.look_every,
            without_fast_class: AtomicU64::new(0),
            durability: target.durability,
            size_bytes: AtomicU64::new(target.size_bytes),
            cached_statements: config.cached_statements,
            wal_bytes: config.wal_bytes,
            readers: Mutex::default(),
            most_readers: config.readers_per_database,
            writer: Mutex::new(None),
            connections: Arc::clone(connections),
            database: target.database,
            statistics: Arc::clone(statistics),
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the file that is open is still in its place. Writes to one that was moved or removed
    /// would be lost.
    pub(crate) fn is_in_place(&self) -> bool {
        self.opened
            .get()
            .is_none_or(|it| identity(&self.folder) == Some(*it))
    }

    /// The same, but looked at no more often than a read needs: what it answers is a moment old in
    /// any case.
    pub(crate) fn is_in_place_for_reads(&self) -> bool {
        let now = self.micros();
        let fresh = u64::try_from(self.look_every.as_micros()).unwrap_or(u64::MAX);
        let seen = self.seen_in_place.load(Ordering::Relaxed);
        if seen > 0 && now < (seen - 1).saturating_add(fresh) {
            return true;
        }
        let is_there = self.is_in_place();
        let seen = if is_there { now + 1 } else { 0 };
        self.seen_in_place.store(seen, Ordering::Relaxed);
        is_there
    }

    /// Whether its reads have threads at the moment, however short they are.
    pub(crate) fn is_without_fast_class(&self) -> bool {
        let until = self.without_fast_class.load(Ordering::Relaxed);
        until > 0 && self.micros() < until
    }

    /// Its reads have threads for a while.
    pub(crate) fn suspend_fast_class(&self, time: Duration) {
        let time = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let until = self.micros().saturating_add(time);
        self.without_fast_class.store(until, Ordering::Relaxed);
    }

    /// Microseconds since it was opened.
    pub(crate) fn micros(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The size that the state knows now; what is open for another one is opened anew.
    pub(crate) fn set_size_limit(&self, size_bytes: u64) {
        if self.size_bytes.swap(size_bytes, Ordering::Relaxed) != size_bytes {
            self.lock_readers().clear();
        }
    }

    /// A reader that rests, if one does.
    pub(crate) fn resting_reader(&self) -> Option<Handle> {
        self.lock_readers().pop()
    }

    /// A reader: one that rests, or a new one. Blocks.
    pub(crate) fn reader(&self) -> Result<Handle, SqlError> {
        match self.resting_reader() {
            Some(reader) => Ok(reader),
            None => self.open(Role::Reader, self.size_bytes.load(Ordering::Relaxed)),
        }
    }

    /// Lets a reader rest, if it may be used again and there are not enough.
    pub(crate) fn rest(&self, reader: Handle) {
        if reader.is_spoiled() {
            return;
        }
        let mut readers = self.lock_readers();
        if readers.len() < self.most_readers {
            readers.push(reader);
        }
    }

    /// Takes out a reader that rests with a large page cache.
    pub(crate) fn resting_large_reader(&self) -> Option<Handle> {
        let mut readers = self.lock_readers();
        let place = readers.iter().position(Handle::has_large_cache)?;
        Some(readers.remove(place))
    }

    /// A turn to read on a thread of its own.
    pub(crate) async fn turn(&self, deadline: Deadline) -> Result<Permit, QueryError> {
        self.reads.take(deadline).await
    }

    /// The place of the one writer, for the thread that drains the queue of writes.
    pub(crate) fn writer(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock()
    }

    /// The writer in its place: the one that is there, if it can be used, or a new one.
    ///
    /// # Errors
    /// [`SqlError::DataMissing`] when the file is no longer in its place; the next request
    /// finds what is there now. Otherwise what SQLite says.
    pub(crate) fn ready_writer<'w>(
        &self,
        place: &'w mut Option<Writer>,
    ) -> Result<&'w mut SqliteConnection, SqlError> {
        if !self.is_in_place() {
            self.seen_in_place.store(0, Ordering::Relaxed);
            return Err(SqlError::DataMissing);
        }
        let size_bytes = self.size_bytes.load(Ordering::Relaxed);
        let is_usable = |it: &Writer| {
            // One that a panic left in a transaction is not.
            !it.handle.is_spoiled() && it.handle.is_autocommit() && it.size_bytes == size_bytes
        };
        if !place.as_ref().is_some_and(is_usable) {
            *place = None;
        }
        let writer = match place.take() {
            Some(writer) => writer,
            None => Writer {
                handle: self.open(Role::Writer, size_bytes)?,
                size_bytes,
            },
        };
        Ok(&mut place.insert(writer).handle)
    }

    /// Closes every connection. The caller holds the exclusive lock, so none is in use. Blocks.
    pub(crate) fn close(&self) {
        self.lock_readers().clear();
        *self.writer() = None;
    }

    fn open(&self, role: Role, size_bytes: u64) -> Result<Handle, SqlError> {
        let profile = Profile {
            role,
            durability: self.durability,
            size_bytes,
            cached_statements: self.cached_statements,
        };
        let found = identity(&self.folder);
        let open = || {
            let mut sqlite = SqliteConnection::open(&self.folder, profile)?;
            sqlite.count_in(self.statistics.counter(self.database));
            if role == Role::Writer {
                sqlite.keep_temporary_files_in(Arc::clone(&self.temp_space))?;
            }
            Ok(sqlite)
        };
        let (sqlite, counted) = self.connections.open(open)?;
        // Looked at before: a file that was changed between the two counts as moved.
        if let Some(found) = found {
            self.opened.get_or_init(|| found);
        }
        Ok(Handle {
            sqlite,
            _counted: counted,
            reads_in_a_row: 0,
            large_cache: None,
        })
    }

    fn lock_readers(&self) -> MutexGuard<'_, Vec<Handle>> {
        self.readers.lock()
    }
}

/// Which file lies in the main file's place.
fn identity(folder: &Path) -> Option<(u64, u64)> {
    let it = folder.join(MAIN_FILE).symlink_metadata().ok()?;
    Some((it.dev(), it.ino()))
}
