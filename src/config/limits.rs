//! The bounds that can be set, by room.
use super::Targets;
use std::time::Duration;

/// Bounds of HTTP.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Requests answered at the same time.
    pub max_requests: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Open event streams.
    pub max_streams: usize,
    /// Time for running requests once the gateway stops.
    pub stop_grace: Duration,
    /// How long SQL waits for a database that is being created.
    pub ready_wait: Duration,
}

/// Bounds of webhooks.
#[derive(Debug, Clone, Copy)]
pub struct WebhookLimits {
    /// Where they may go.
    pub targets: Targets,
    /// Failures in a row that disable one.
    pub max_failures: usize,
}

/// Bounds of SQL.
#[derive(Debug, Clone, Copy)]
pub struct SqlLimits {
    /// Time for a statement when the request names none.
    pub timeout: Duration,
    /// Longest time a request may name.
    pub max_timeout: Duration,
    /// Rows in a JSON answer when the request names no bound.
    pub max_rows: usize,
    /// Bytes of a JSON answer when the request names no bound.
    pub max_result_bytes: usize,
    /// Open connections to databases.
    pub max_connections: usize,
    /// Answers that are streamed at the same time.
    pub max_streams: usize,
}
