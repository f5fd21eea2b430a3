//! The list of settings: their names, what holds without them, and what they mean.

/// One setting: a variable of the environment and a flag of `dbforge serve`.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The variable: `DBFORGE_LISTEN`; the flag is `--listen`.
    pub variable: &'static str,
    /// What holds when it is not set; empty for nothing.
    pub default: &'static str,
    /// What it means, in a line.
    pub about: &'static str,
}

impl Setting {
    /// The flag of `dbforge serve`, without its dashes: `max-body-bytes`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.variable
            .trim_start_matches("DBFORGE_")
            .to_ascii_lowercase()
            .replace('_', "-")
    }
}

const fn setting(variable: &'static str, default: &'static str, about: &'static str) -> Setting {
    Setting {
        variable,
        default,
        about,
    }
}

/// Every setting of the gateway.
pub const SETTINGS: &[Setting] = &[
    setting(
        "DBFORGE_LISTEN",
        "127.0.0.1:8080",
        "address and port to serve HTTP on",
    ),
    setting(
        "DBFORGE_DATA_DIR",
        "./db-data",
        "folder that holds everything",
    ),
    setting(
        "DBFORGE_HOST_DATA_DIR",
        "",
        "that folder as the container engine's host sees it; found by itself when not set",
    ),
    setting(
        "DBFORGE_RUNTIME",
        "auto",
        "auto, docker or process: where workers run",
    ),
    setting(
        "DBFORGE_ROOT_TOKEN",
        "",
        "the root token; made at first start and kept in the data folder when not set",
    ),
    setting(
        "DBFORGE_DOMAIN",
        "db.localhost",
        "host name of the gateway; databases get one label below it",
    ),
    setting(
        "DBFORGE_WORKER_IMAGE",
        "db-worker-base",
        "image of the workers",
    ),
    setting(
        "DBFORGE_WORKER_USER",
        "65532:65532",
        "user and group of the workers when the gateway is root",
    ),
    setting(
        "DBFORGE_INSTANCE",
        "",
        "identity of this forge, a UUID; made at first start when not set",
    ),
    setting(
        "DBFORGE_LOG",
        "info",
        "filter of the traces, as tracing-subscriber reads it",
    ),
    setting("DBFORGE_LOG_FORMAT", "text", "text or json"),
    setting("DBFORGE_MAX_BODY_BYTES", "1048576", "largest request body"),
    setting(
        "DBFORGE_MAX_REQUESTS",
        "1024",
        "requests worked on at the same time; more get 503, one token's past its share 429",
    ),
    setting(
        "DBFORGE_MAX_WAITING",
        "4096",
        "requests that wait at the same time: for their bodies, turns, events, jobs; more get 503 or 429",
    ),
    setting(
        "DBFORGE_MAX_BUFFERED_BYTES",
        "268435456",
        "bytes of requests and answers held in memory until they are sent; past it 503",
    ),
    setting(
        "DBFORGE_MAX_CONNECTIONS",
        "10000",
        "open client connections; past it the longest idle ones are closed",
    ),
    setting(
        "DBFORGE_TRUSTED_PROXIES",
        "",
        "networks of proxies whose X-Forwarded-For is believed: 10.0.0.0/8, an address, private, loopback",
    ),
    setting(
        "DBFORGE_MAX_STREAMS",
        "1000",
        "event streams open at the same time; more get 503",
    ),
    setting(
        "DBFORGE_STOP_GRACE",
        "20s",
        "how long running requests may take once the gateway stops",
    ),
    setting(
        "DBFORGE_WEBHOOK_TARGETS",
        "public,private,loopback",
        "networks that webhooks may go to; also: link-local, where clouds keep secrets",
    ),
    setting(
        "DBFORGE_WEBHOOK_MAX_FAILURES",
        "20",
        "failures in a row that disable a webhook; the default is about three hours",
    ),
    setting(
        "DBFORGE_TRASH_RETENTION",
        "7d",
        "how long the trash keeps a deleted database",
    ),
    setting(
        "DBFORGE_MAX_UNFINISHED_JOBS",
        "10000",
        "unfinished jobs; past it only cancels and deletes are taken",
    ),
    setting(
        "DBFORGE_JOURNAL_SEGMENT_BYTES",
        "67108864",
        "largest file of the event log's journal; past it a next one begins, and this one can be archived",
    ),
    setting(
        "DBFORGE_READY_WAIT",
        "5s",
        "how long SQL waits for a database that is being created",
    ),
    setting(
        "DBFORGE_SQL_TIMEOUT",
        "5s",
        "time for a statement when the request names none",
    ),
    setting(
        "DBFORGE_SQL_MAX_TIMEOUT",
        "60s",
        "longest time a request may name",
    ),
    setting(
        "DBFORGE_SQL_MAX_ROWS",
        "10000",
        "rows in a JSON answer when the request names no bound",
    ),
    setting(
        "DBFORGE_SQL_MAX_RESULT_BYTES",
        "4194304",
        "bytes of a JSON answer when the request names no bound",
    ),
    setting(
        "DBFORGE_SQL_MAX_CONNECTIONS",
        "300",
        "open connections to databases; idle ones are closed past it",
    ),
    setting(
        "DBFORGE_SQL_MAX_TEMP_BYTES",
        "8589934592",
        "temporary files of statements that write, half of them for one database; more get 507",
    ),
    setting(
        "DBFORGE_SQL_MAX_TRANSACTIONS",
        "100",
        "transactions of several requests that are open at the same time; more get 503",
    ),
    setting(
        "DBFORGE_SQL_MAX_DATABASE_TRANSACTIONS",
        "16",
        "the same on one database, those that wait for their turn included",
    ),
    setting(
        "DBFORGE_SQL_TRANSACTION_IDLE",
        "10s",
        "longest wait of a transaction for its next request; then it is rolled back",
    ),
    setting(
        "DBFORGE_SQL_TRANSACTION_TOTAL",
        "60s",
        "longest life of a transaction; then it is rolled back",
    ),
    setting(
        "DBFORGE_SQL_MAX_STREAMS",
        "32",
        "answers to SQL streamed at the same time, a quarter of them from one database; more get 503",
    ),
];

/// Every setting of the client commands.
pub const CLIENT_SETTINGS: &[Setting] = &[
    setting(
        "DBFORGE_URL",
        "http://127.0.0.1:8080",
        "where the gateway is that the client commands speak to",
    ),
    setting(
        "DBFORGE_TOKEN",
        "",
        "the token they send; the root token of the data folder when not set",
    ),
];
