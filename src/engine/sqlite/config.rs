//! The bounds of SQL on SQLite, each with its default and its reason.
use std::time::Duration;

/// Every bound that is SQLite's own. The defaults suit a machine of two to eight cores.
#[derive(Debug, Clone)]
pub struct SqliteConfig {
    /// Past its deadline and this much more, a statement is answered for; its thread is written off
    /// if it has worked for half of that time. 200 ms: interrupting takes far less where it works at
    /// all, and the answer is there within 250.
    pub stuck_grace: Duration,
    /// A thread that does not work is written off so long past its deadline. 5 s: a busy machine
    /// lets one wait for a second or two, and a disk that takes longer does not answer.
    pub blocked_grace: Duration,
    /// Threads for SQL that may take long. 32: more than a few databases can fill.
    pub threads: usize,
    /// Most threads that are replaced while a statement that nothing stops holds them. 8.
    pub max_stuck: usize,
    /// Threads that one database's reads may have at a time. 4: others have theirs.
    pub readers_per_database: usize,
    /// Reads of one database that may wait for one. 512.
    pub waiting_reads: usize,
    /// Streams of all databases at a time. 32: each has a thread, a connection and up to half a
    /// megabyte on its way.
    pub streams: usize,
    /// Streams that one database may have at a time. 8: others have theirs.
    pub streams_per_database: usize,
    /// Streams of one database that may wait for one. 64.
    pub waiting_streams: usize,
    /// How long a stream waits for its turn. 1 s: one that is read takes less for 100,000 rows.
    pub stream_patience: Duration,
    /// Writes of one database that may wait. 1,024.
    pub waiting_writes: usize,
    /// Most writes that one commit makes lasting. 128.
    pub group_requests: usize,
    /// Most work in one commit before it is made lasting. 2 ms: about ten syncs of a disk, so a
    /// group wins, and its first member does not wait long for its last.
    pub group_time: Duration,
    /// How long a drain of one database's writes keeps its thread while others wait for one.
    /// 50 ms.
    pub drain_time: Duration,
    /// How long a read with a bounded program may take on the thread that serves HTTP before it is
    /// cut and run elsewhere. 1 ms.
    pub inline_slice: Duration,
    /// A read that kept a processor busy for no longer may run on the thread that serves HTTP, if
    /// its program is bounded. 300 µs.
    pub inline_after: Duration,
    /// How often reads look whether the file that is open lies in its place; writes look each
    /// time. 10 ms: looking is 4 % of a point read.
    pub look_every: Duration,
    /// Statements of one database that are remembered as short or long. 256.
    pub remembered_statements: usize,
    /// Prepared statements that one connection keeps. 64.
    pub cached_statements: usize,
    /// Most open connections on all databases; each has two or three files. 300: within the usual
    /// limit of 1,024 files.
    pub max_connections: usize,
    /// Most bytes of the temporary files of all statements that write; one database may have half
    /// of it. 8 GiB: a change of every row of 2 GiB keeps their old pages, and sorting needs as much
    /// twice.
    pub temp_bytes: u64,
    /// Readers that may have a large page cache: those that are busy. 8.
    pub large_caches: usize,
    /// A WAL larger than this is brought into the main file and cut, waiting for readers. 32 MiB.
    pub wal_bytes: u64,
    /// A statement that takes at least so long is logged. 1 s: people wait by then.
    pub slow_statement: Option<Duration>,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self {
            stuck_grace: Duration::from_millis(200),
            blocked_grace: Duration::from_secs(5),
            threads: 32,
            max_stuck: 8,
            readers_per_database: 4,
            waiting_reads: 512,
            streams: 32,
            streams_per_database: 8,
            waiting_streams: 64,
            stream_patience: Duration::from_secs(1),
            waiting_writes: 1_024,
            group_requests: 128,
            group_time: Duration::from_millis(2),
            drain_time: Duration::from_millis(50),
            inline_slice: Duration::from_millis(1),
            inline_after: Duration::from_micros(300),
            look_every: Duration::from_millis(10),
            remembered_statements: 256,
            cached_statements: 64,
            max_connections: 300,
            temp_bytes: 8 << 30,
            large_caches: 8,
            wal_bytes: 32 << 20,
            slow_statement: Some(Duration::from_secs(1)),
        }
    }
}
