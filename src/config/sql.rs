//! The bounds of SQL.
use super::reader::Reader;
use std::str::FromStr;
use std::time::Duration;

/// Bounds of SQL.
#[derive(Debug, Clone, Copy)]
pub struct SqlLimits {
    /// Time for a statement when the request names none.
    pub timeout: Duration,
    /// Longest time a request may name.
    pub max_timeout: Duration,
    /// A statement that takes at least so long is logged; none is where it is `None`.
    pub slow: Option<Duration>,
    /// Rows in a JSON answer when the request names no bound.
    pub max_rows: usize,
    /// Bytes of a JSON answer when the request names no bound.
    pub max_result_bytes: usize,
    /// Open connections to databases.
    pub max_connections: usize,
    /// Bytes of the temporary files of statements that write.
    pub max_temp_bytes: u64,
    /// Answers that are streamed at the same time.
    pub max_streams: usize,
    /// Open transactions of several requests.
    pub max_transactions: usize,
    /// The same on one database.
    pub max_database_transactions: usize,
    /// How long one may wait for its next request.
    pub transaction_idle: Duration,
    /// How long one may last.
    pub transaction_total: Duration,
}

impl SqlLimits {
    /// `None` only with a problem noted; every setting is read before that is looked at.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let timeout = reader.duration("DBFORGE_SQL_TIMEOUT");
        let max_timeout = reader.duration("DBFORGE_SQL_MAX_TIMEOUT");
        let slow = reader.duration_or_off("DBFORGE_SLOW_STATEMENT");
        let max_rows = reader.count("DBFORGE_SQL_MAX_ROWS");
        let max_result_bytes = reader.count("DBFORGE_SQL_MAX_RESULT_BYTES");
        let max_connections = reader.count("DBFORGE_SQL_MAX_CONNECTIONS");
        let max_temp_bytes = reader.value("DBFORGE_SQL_MAX_TEMP_BYTES", u64::from_str);
        let max_streams = reader.count("DBFORGE_SQL_MAX_STREAMS");
        let max_transactions = reader.count("DBFORGE_SQL_MAX_TRANSACTIONS");
        let max_database_transactions = reader.count("DBFORGE_SQL_MAX_DATABASE_TRANSACTIONS");
        let transaction_idle = reader.duration("DBFORGE_SQL_TRANSACTION_IDLE");
        let transaction_total = reader.duration("DBFORGE_SQL_TRANSACTION_TOTAL");
        Some(Self {
            timeout: timeout?,
            max_timeout: max_timeout?,
            slow: slow?,
            max_rows: max_rows?,
            max_result_bytes: max_result_bytes?,
            max_connections: max_connections?,
            max_temp_bytes: max_temp_bytes?,
            max_streams: max_streams?,
            max_transactions: max_transactions?,
            max_database_transactions: max_database_transactions?,
            transaction_idle: transaction_idle?,
            transaction_total: transaction_total?,
        })
    }
}
