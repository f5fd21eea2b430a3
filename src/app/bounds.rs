//! Hands each room its part of the settings.
use super::runtime_choice::worker_user;
use crate::config::Config;
use crate::data::DataConfig;
use crate::http::HttpConfig;
use crate::jobs::webhooks::WebhookConfig;
use rustix::process::geteuid;

pub(super) fn of_sql(config: &Config) -> DataConfig {
    let sql = config.sql;
    DataConfig {
        // Only root can give folders away, and only root's workers run as somebody else.
        owner: geteuid().is_root().then(|| worker_user(config)),
        default_max_rows: sql.max_rows as u64,
        default_max_bytes: sql.max_result_bytes,
        default_timeout: sql.timeout,
        largest_timeout: sql.max_timeout,
        max_connections: sql.max_connections,
        streams: sql.max_streams,
        streams_per_database: sql.max_streams.div_ceil(4),
        max_transactions: sql.max_transactions,
        max_transactions_per_database: sql.max_database_transactions,
        transaction_idle: sql.transaction_idle,
        transaction_total: sql.transaction_total,
        ..DataConfig::default()
    }
}

pub(super) fn of_http(config: &Config) -> HttpConfig {
    let http = config.http;
    HttpConfig {
        domain: config.domain.clone(),
        body_limit: http.max_body_bytes,
        in_flight_limit: http.max_requests,
        connection_limit: http.max_connections,
        stream_limit: http.max_streams,
        drain_timeout: http.stop_grace,
        ready_wait: http.ready_wait,
        webhooks: WebhookConfig {
            targets: config.webhooks.targets,
            max_failures: u32::try_from(config.webhooks.max_failures).unwrap_or(u32::MAX),
            ..WebhookConfig::default()
        },
        ..HttpConfig::default()
    }
}
