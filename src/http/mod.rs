//! HTTP: connections, authentication, routes, responses.

#![expect(
    unused_qualifications,
    reason = "utoipa's macro writes the paths of its traits out for every parameter"
)]

mod extract;
mod legacy;
mod metrics;
mod middleware;
mod openapi;
mod ready;
mod response;
mod routes;
mod routing;
mod server;

pub use self::metrics::Metrics;
pub use self::middleware::dispatch::Dispatcher;
pub use self::ready::announce_ready;
pub use self::response::error::{ErrorCode, Problem};
pub use self::server::serve::serve;

use self::middleware::RefusedSignIns;
use self::server::connections::Connections;
use crate::config::{CorsOrigins, TrustedProxies};
use crate::control::narrator::Told;
use crate::jobs::JobContext;
use crate::jobs::webhooks::WebhookConfig;
use crate::projections::control_db::ControlDb;

use crate::service::{RootToken, Service, ServiceConfig};
use crate::shares::{Accounts, RoomSizes, Rooms};
use std::sync::Arc;
use std::time::Duration;

/// Limits of the HTTP side.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Databases answer to `{label}.{domain}`.
    pub domain: String,
    /// Most bytes of a body, where a route does not say otherwise.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a request may take in all.
    pub request_timeout: Duration,
    /// Requests that may be worked on at once.
    pub in_flight_limit: usize,
    /// Requests that may wait at once.
    pub waiting_limit: usize,
    /// Bytes of requests and answers that may be in memory at once.
    pub buffered_bytes: usize,
    /// Connections that may be open at once; past it the longest idle ones are closed.
    pub connection_limit: usize,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: TrustedProxies,
    /// Origins whose pages may read answers in a browser.
    pub cors_origins: CorsOrigins,
    /// How long a request's head may take to arrive, and how long an idle connection is kept.
    pub header_timeout: Duration,
    /// How long a client may leave what it was sent unread.
    pub write_timeout: Duration,
    /// Event streams that may be open at once.
    pub stream_limit: usize,
    /// How long an event stream is silent before it says that it is there.
    pub stream_silence: Duration,
    /// How long requests may go on once the gateway is told to stop.
    pub drain_timeout: Duration,
    /// How long SQL waits for a database that is being created, or whose files a job has.
    pub ready_wait: Duration,
    /// Whether each request is a line of the log.
    pub access_log: bool,
    /// How long routes of the legacy API wait for a job.
    pub legacy_wait: Duration,
    /// Bounds of webhooks.
    pub webhooks: WebhookConfig,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            domain: "db.localhost".into(),
            body_limit: 1 << 20,
            body_timeout: Duration::from_secs(30),
            request_timeout: request_timeout(Duration::from_secs(60), Duration::from_secs(5)),
            in_flight_limit: 1024,
            // A long poll has some 10 kB.
            waiting_limit: 4096,
            buffered_bytes: 256 << 20,
            connection_limit: 10_000,
            trusted_proxies: TrustedProxies::default(),
            cors_origins: CorsOrigins::default(),
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            stream_limit: 1000,
            // Proxies between close what is silent for 30 s or 60 s.
            stream_silence: Duration::from_secs(15),
            drain_timeout: Duration::from_secs(20),
            ready_wait: Duration::from_secs(5),
            access_log: false,
            // Clients of the legacy API time out after 30 s.
            legacy_wait: Duration::from_secs(25),
            webhooks: WebhookConfig::default(),
        }
    }
}

/// The longest that `Prefer: wait=` and `?wait=` are honoured.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a request may take in all: longer than the longest wait for a job, and than a statement
/// of the longest time limit after its wait for a database.
#[must_use]
pub fn request_timeout(longest_statement: Duration, ready_wait: Duration) -> Duration {
    /// For the body to arrive, and for what is between.
    const REST: Duration = Duration::from_secs(10);
    LONGEST_WAIT
        .max(ready_wait.saturating_add(longest_statement))
        .saturating_add(REST)
}

/// Shared state of all request handlers.
pub struct Gateway {
    /// The use cases.
    pub service: Arc<Service>,
    /// Limits.
    pub config: HttpConfig,
    /// Request counters.
    pub metrics: Metrics,
    /// Events and jobs, as they are logged.
    pub told: Arc<Told>,
    /// Open connections.
    connections: Arc<Connections>,
    /// Limited resources: request slots, streams, memory.
    rooms: Arc<Rooms>,
    /// Their use by caller.
    accounts: Accounts,
    /// Sources of tokens that were not accepted, and which of these are logged.
    refused_sign_ins: RefusedSignIns,
}

impl Gateway {
    /// Accepts another root token from now on, and ends what the one before has open. Returns false
    /// if it is the same.
    pub fn replace_root_token(&self, secret: &str) -> bool {
        let is_other = self.service.replace_root_token(secret);
        if is_other {
            self.accounts.end_root();
        }
        is_other
    }

    /// A gateway that has answered nothing yet.
    #[must_use]
    pub fn new(
        job_context: &JobContext,
        control_db: Arc<ControlDb>,
        root_token: RootToken,
        config: HttpConfig,
    ) -> Self {
        let bounds = ServiceConfig {
            ready_wait: config.ready_wait,
            webhooks: config.webhooks,
        };
        Self {
            service: Arc::new(Service::new(job_context, control_db, root_token, bounds)),
            connections: Connections::new(config.connection_limit, config.trusted_proxies.clone()),
            rooms: Arc::new(Rooms::new(RoomSizes {
                working: config.in_flight_limit,
                waiting: config.waiting_limit,
                streams: config.stream_limit,
                bytes: config.buffered_bytes,
                forwarded: config.connection_limit,
            })),
            accounts: Accounts::default(),
            refused_sign_ins: RefusedSignIns::default(),
            config,
            metrics: Metrics::default(),
            told: Arc::default(),
        }
    }
}
