//! Hands each room its part of the settings, as far as the limit on open files lets it.
use super::runtime_choice::worker_user;
use crate::config::Config;
use crate::data::uploads::UploadBounds;
use crate::data::{DataConfig, SqliteConfig};
use crate::http::{HttpConfig, request_timeout};
use crate::jobs::webhooks::WebhookConfig;
use rustix::process::geteuid;
use std::thread::available_parallelism;

/// Files of the gateway's own: the log, the read model, the runtime, and the first connections.
const OWN_FILES: u64 = 64;
/// Files of each thread that serves requests, of which there is one a processor.
const FILES_PER_PROCESSOR: u64 = 8;
/// A connection to a database is its file, its WAL and a share of what is common to all that are
/// open on it; a statement that runs may have temporary files.
const FILES_PER_DATABASE_CONNECTION: u64 = 4;

/// Lowers the bounds on connections to what `open_files` has room for, and says so. `None` is no
/// limit. Clients leave half of the room to connections to databases, where those need as much.
pub(super) fn within(open_files: Option<u64>, mut config: Config) -> Config {
    let processors = available_parallelism().map_or(1, |count| count.get() as u64);
    let own = OWN_FILES + processors * FILES_PER_PROCESSOR;
    let room = open_files.unwrap_or(u64::MAX).saturating_sub(own);
    let (http, sql) = (&mut config.http, &mut config.sql);
    let (clients, databases) = (http.max_connections, sql.max_connections);
    let wished = (databases as u64).saturating_mul(FILES_PER_DATABASE_CONNECTION);
    let for_databases = wished.min((room / 2).max(room.saturating_sub(clients as u64)));
    let for_clients = (room - for_databases).min(clients as u64);

    let fitting = |files: u64| usize::try_from(files).unwrap_or(usize::MAX).max(1);
    http.max_connections = fitting(for_clients);
    if for_databases < wished {
        sql.max_connections = fitting(for_databases / FILES_PER_DATABASE_CONNECTION);
        let share = sql.max_connections.div_ceil(4);
        sql.max_streams = sql.max_streams.min(share);
        sql.max_transactions = sql.max_transactions.min(share);
    }
    let (fewer_clients, fewer_databases) = (http.max_connections, sql.max_connections);
    if (fewer_clients, fewer_databases) == (clients, databases) {
        tracing::info!(
            open_files,
            "open files: the limit allows all configured connections"
        );
    } else {
        tracing::warn!(
            open_files,
            "the limit on open files allows only {fewer_clients} client connections ({clients} \
             configured) and {fewer_databases} database connections ({databases} configured); \
             raise it with `ulimit -n`"
        );
    }
    config
}

pub(super) fn of_sql(config: &Config) -> DataConfig {
    let sql = config.sql;
    let defaults = DataConfig::default();
    DataConfig {
        // Only root can change a folder's owner, and only root's workers run as another user.
        owner: geteuid().is_root().then(|| worker_user(config)),
        default_max_rows: sql.max_rows as u64,
        default_max_bytes: sql.max_result_bytes,
        default_timeout: sql.timeout,
        largest_timeout: sql.max_timeout,
        max_transactions: sql.max_transactions,
        max_transactions_per_database: sql.max_database_transactions,
        transaction_idle: sql.transaction_idle,
        transaction_total: sql.transaction_total,
        uploads: UploadBounds {
            upload_bytes: config.uploads.max_bytes as u64,
            unpacked_bytes: config.uploads.max_unpacked_bytes as u64,
            upload_idle: config.uploads.idle,
            upload_retention: config.uploads.retention,
            ..defaults.uploads
        },
        sqlite: SqliteConfig {
            threads: (defaults.sqlite.threads).min(sql.max_connections.div_ceil(2)),
            max_connections: sql.max_connections,
            temp_bytes: sql.max_temp_bytes,
            streams: sql.max_streams,
            slow_statement: sql.slow,
            streams_per_database: sql.max_streams.div_ceil(4),
            ..defaults.sqlite
        },
        ..defaults
    }
}

pub(super) fn of_http(config: &Config) -> HttpConfig {
    let http = config.http.clone();
    HttpConfig {
        domain: config.domain.clone(),
        body_limit: http.max_body_bytes,
        in_flight_limit: http.max_requests,
        waiting_limit: http.max_waiting,
        buffered_bytes: http.max_buffered_bytes,
        connection_limit: http.max_connections,
        trusted_proxies: http.trusted_proxies,
        cors_origins: http.cors_origins,
        stream_limit: http.max_streams,
        drain_timeout: http.stop_grace,
        ready_wait: http.ready_wait,
        request_timeout: request_timeout(config.sql.max_timeout, http.ready_wait),
        access_log: http.access_log,
        webhooks: WebhookConfig {
            targets: config.webhooks.targets,
            max_failures: u32::try_from(config.webhooks.max_failures).unwrap_or(u32::MAX),
            ..WebhookConfig::default()
        },
        ..HttpConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    fn config() -> Config {
        let environment: BTreeMap<String, String> = BTreeMap::new();
        Config::read(&environment).unwrap()
    }

    #[test]
    fn bounds_on_connections_stay_below_the_limit_on_open_files() {
        let set = config();
        for open_files in [64, 256, 1_024, 4_096, 1 << 20] {
            let config = within(Some(open_files), config());
            let (clients, databases) = (config.http.max_connections, config.sql.max_connections);
            let used = clients as u64 + databases as u64 * FILES_PER_DATABASE_CONNECTION;
            assert!(used <= open_files, "{open_files}: {clients} + {databases}");
            assert!(clients <= set.http.max_connections && databases <= set.sql.max_connections);
            let sql = of_sql(&config);
            let at_once = sql.sqlite.threads + sql.sqlite.streams + sql.max_transactions;
            assert!(at_once <= databases + 2, "{open_files}: {at_once} at once");
        }
    }

    #[test]
    fn no_request_ends_before_its_statement() {
        let mut config = config();
        assert_eq!(
            of_http(&config).request_timeout,
            HttpConfig::default().request_timeout
        );
        config.sql.max_timeout = Duration::from_secs(600);
        let most = of_http(&config).request_timeout;
        assert!(
            most > config.sql.max_timeout + config.http.ready_wait,
            "{most:?}"
        );
    }

    #[test]
    fn without_a_limit_the_bounds_are_those_that_are_set() {
        let (set, fitted) = (config(), within(None, config()));
        assert_eq!(fitted.http.max_connections, set.http.max_connections);
        assert_eq!(fitted.sql.max_connections, set.sql.max_connections);
        assert_eq!(fitted.sql.max_streams, set.sql.max_streams);
    }
}
