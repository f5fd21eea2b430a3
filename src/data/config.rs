//! The bounds of the data plane, each with its default and its reason.
use super::exports::ExportBounds;
use super::uploads::UploadBounds;
use crate::engine::registry::SqliteConfig;
use std::time::Duration;

/// Every bound on SQL. The defaults suit a machine of two to eight cores.
#[derive(Debug, Clone)]
pub struct DataConfig {
    /// Who owns the folders of databases, when the gateway is root: user and group of the workers.
    pub owner: Option<(u32, u32)>,
    /// Most bytes of one statement. 100 kB: longer ones are data, which belongs in parameters.
    pub max_statement_bytes: usize,
    /// Most statements of one batch. 1,000: many rows of one statement are one statement.
    pub max_batch_statements: usize,
    /// Most statements of one script. 10,000: it comes from a file, and no answer has rows.
    pub max_script_statements: usize,
    /// Rows of a JSON answer when the caller names no number. 10,000.
    pub default_max_rows: u64,
    /// Most rows of a JSON answer that a caller may ask for. 100,000.
    pub largest_max_rows: u64,
    /// Bytes of a JSON answer when the caller names no number. 4 MiB.
    pub default_max_bytes: usize,
    /// Most bytes of a JSON answer that a caller may ask for. 64 MiB: it is held in memory.
    pub largest_max_bytes: usize,
    /// A statement's time when the caller names none. 5 s.
    pub default_timeout: Duration,
    /// Most time that a caller may ask for. 60 s.
    pub largest_timeout: Duration,
    /// Transactions of several requests that may be open on all databases. 100: each has a
    /// connection.
    pub max_transactions: usize,
    /// The same on one database, those that wait for their turn included. 16: others have theirs.
    pub max_transactions_per_database: usize,
    /// Longest that such a transaction may wait for its next request. 10 s: others may wait for
    /// its writer meanwhile.
    pub transaction_idle: Duration,
    /// Longest that it may last. 60 s: what it reads keeps the WAL from being cut.
    pub transaction_total: Duration,
    /// The bounds of uploaded files.
    pub uploads: UploadBounds,
    /// The bounds of exports.
    pub exports: ExportBounds,
    /// The bounds of SQL on SQLite.
    pub sqlite: SqliteConfig,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            owner: None,
            max_statement_bytes: 1 << 20,
            max_batch_statements: 1_000,
            max_script_statements: 10_000,
            default_max_rows: 10_000,
            largest_max_rows: 100_000,
            default_max_bytes: 4 << 20,
            largest_max_bytes: 64 << 20,
            default_timeout: Duration::from_secs(5),
            largest_timeout: Duration::from_secs(60),
            max_transactions: 100,
            max_transactions_per_database: 16,
            transaction_idle: Duration::from_secs(10),
            transaction_total: Duration::from_secs(60),
            uploads: UploadBounds::default(),
            exports: ExportBounds::default(),
            sqlite: SqliteConfig::default(),
        }
    }
}
