//! A server's command line: every setting stands on it, so that a changed one is another worker.
use crate::domain::database::{Durability, Limits};

/// Most sessions of a server, the forge's own included.
const SERVER_SESSIONS: u32 = 24;

/// Bytes of temporary files of one session, where the database may be larger.
const MOST_TEMP_BYTES: u64 = 512 << 20;

/// Settings that are the same for every server, and why where that is not plain.
const FIXED: &[(&str, &str)] = &[
    ("listen_addresses", ""),
    // Seen from the cluster's folder, which has no room in a socket's address.
    ("unix_socket_directories", "../run"),
    ("unix_socket_permissions", "0700"),
    ("superuser_reserved_connections", "3"),
    ("huge_pages", "off"),
    ("dynamic_shared_memory_type", "mmap"),
    ("hash_mem_multiplier", "1.0"),
    ("autovacuum_max_workers", "1"),
    ("autovacuum_naptime", "5min"),
    ("max_worker_processes", "2"),
    ("max_parallel_workers", "0"),
    ("max_parallel_workers_per_gather", "0"),
    ("max_parallel_maintenance_workers", "0"),
    ("jit", "off"),
    ("wal_buffers", "1MB"),
    ("min_wal_size", "8MB"),
    ("max_wal_size", "64MB"),
    ("wal_level", "replica"),
    ("max_wal_senders", "2"),
    ("max_replication_slots", "2"),
    ("checkpoint_timeout", "15min"),
    // An idle server writes nothing.
    ("bgwriter_lru_maxpages", "0"),
    ("wal_writer_delay", "10s"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("statement_timeout", "60s"),
    ("idle_in_transaction_session_timeout", "60s"),
    // A statement whose client is gone ends.
    ("client_connection_check_interval", "2s"),
    ("ssl", "off"),
    ("password_encryption", "scram-sha-256"),
    ("log_destination", "stderr"),
    ("logging_collector", "off"),
    ("log_min_messages", "warning"),
    ("log_checkpoints", "off"),
    // No SQL of clients in logs.
    ("log_min_error_statement", "panic"),
    ("log_statement", "none"),
    ("log_parameter_max_length", "0"),
    ("log_parameter_max_length_on_error", "0"),
    ("update_process_title", "off"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
    ("datestyle", "iso, ymd"),
    ("lc_messages", "C.UTF-8"),
    ("default_text_search_config", "pg_catalog.english"),
    ("shared_preload_libraries", ""),
];

/// The arguments of `postgres` for a database with these limits, whose cluster is in `cluster`.
#[must_use]
pub(super) fn arguments(cluster: &str, limits: Limits, durability: Durability) -> Vec<String> {
    let memory = limits.memory_bytes;
    let kilobytes = |bytes: u64| format!("{}kB", bytes >> 10);
    let synchronous_commit = match durability {
        Durability::Full => "on",
        Durability::Relaxed => "off",
    };
    let by_limits = [
        ("shared_buffers", kilobytes(memory / 8)),
        ("work_mem", kilobytes((memory / 128).max(1 << 20))),
        (
            "maintenance_work_mem",
            kilobytes((memory / 16).max(4 << 20)),
        ),
        ("autovacuum_work_mem", kilobytes((memory / 16).max(4 << 20))),
        (
            "temp_file_limit",
            kilobytes(limits.size_bytes.min(MOST_TEMP_BYTES)),
        ),
        ("max_connections", SERVER_SESSIONS.to_string()),
        ("synchronous_commit", synchronous_commit.to_owned()),
    ];
    let fixed = FIXED
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    let settings = fixed.chain(by_limits);
    let settings = settings.flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
    ["-D".to_owned(), cluster.to_owned()]
        .into_iter()
        .chain(settings)
        .collect()
}

/// Most bytes of data of each of a server's processes: a session that wants more gets an error, and
/// the others go on. Where the limit on memory ends a session, all of them are ended.
#[must_use]
pub(super) fn data_bytes(limits: Limits) -> u64 {
    limits.memory_bytes / 8 * 3
}
