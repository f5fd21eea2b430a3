//! The list of settings: their names, what holds without them, and what they mean.
use super::environment::Environment;

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
        "address and port of the HTTP server",
    ),
    setting("DBFORGE_DATA_DIR", "./db-data", "data folder"),
    setting(
        "DBFORGE_HOST_DATA_DIR",
        "",
        "path of the data folder on the Docker host; detected when not set",
    ),
    setting(
        "DBFORGE_RUNTIME",
        "auto",
        "where workers run: auto, docker or process",
    ),
    setting(
        "DBFORGE_ROOT_TOKEN",
        "",
        "the root token; when not set, generated at the first start and stored in the data folder",
    ),
    setting(
        "DBFORGE_DOMAIN",
        "db.localhost",
        "host name of the gateway; databases are subdomains of it",
    ),
    setting(
        "DBFORGE_WORKER_IMAGE",
        "db-worker-base",
        "container image of the workers",
    ),
    setting(
        "DBFORGE_POSTGRES_IMAGE",
        "db-worker-postgres",
        "container image of PostgreSQL's workers: of version 15 or newer",
    ),
    setting(
        "DBFORGE_POSTGRES_BIN",
        "",
        "folder of PostgreSQL's programs, for the process runtime; the newest of the host when not set",
    ),
    setting(
        "DBFORGE_WORKER_USER",
        "65532:65532",
        "user and group of the workers when the gateway is root",
    ),
    setting(
        "DBFORGE_ISOLATION",
        "gateway",
        "which process answers the SQL of new SQLite databases: gateway, or worker, their own",
    ),
    setting(
        "DBFORGE_ISOLATION_FENCE",
        "strict",
        "if the kernel lacks Landlock or seccomp: strict, workers do not serve; best-effort, they do",
    ),
    setting(
        "DBFORGE_INSTANCE",
        "",
        "UUID of this forge; generated at the first start when not set",
    ),
    setting(
        "DBFORGE_LOG",
        "info",
        "log filter: error, warn, info or debug; crate=level for others, as tracing-subscriber reads it",
    ),
    setting("DBFORGE_LOG_FORMAT", "text", "log format: text or json"),
    setting("DBFORGE_ACCESS_LOG", "off", "log every request: on or off"),
    setting(
        "DBFORGE_SLOW_STATEMENT",
        "1s",
        "log statements that take at least this long, without their values; off for none",
    ),
    setting("DBFORGE_MAX_BODY_BYTES", "1048576", "largest request body"),
    setting(
        "DBFORGE_MAX_REQUESTS",
        "1024",
        "requests processed concurrently; more get 503, or 429 past a token's share",
    ),
    setting(
        "DBFORGE_MAX_WAITING",
        "4096",
        "requests waiting concurrently for bodies, threads, events or jobs; more get 503 or 429",
    ),
    setting(
        "DBFORGE_MAX_BUFFERED_BYTES",
        "268435456",
        "bytes of requests and answers in memory; past it 503",
    ),
    setting(
        "DBFORGE_MAX_CONNECTIONS",
        "10000",
        "open client connections; past it, the longest idle ones are closed",
    ),
    setting(
        "DBFORGE_TRUSTED_PROXIES",
        "",
        "proxies whose X-Forwarded-For is trusted: 10.0.0.0/8, an address, private, loopback",
    ),
    setting(
        "DBFORGE_CORS_ORIGINS",
        "",
        "origins whose web pages may use the API: https://app.example.com, or * for all",
    ),
    setting(
        "DBFORGE_MAX_STREAMS",
        "1000",
        "open event streams; more get 503",
    ),
    setting(
        "DBFORGE_STOP_GRACE",
        "20s",
        "time for running requests to finish at shutdown",
    ),
    setting(
        "DBFORGE_WEBHOOK_TARGETS",
        "public,private,loopback",
        "networks that webhooks may reach; link-local (cloud metadata) is off by default",
    ),
    setting(
        "DBFORGE_WEBHOOK_MAX_FAILURES",
        "20",
        "failures in a row that disable a webhook; the default takes about three hours",
    ),
    setting(
        "DBFORGE_TRASH_RETENTION",
        "7d",
        "how long deleted databases stay in the trash",
    ),
    setting(
        "DBFORGE_MAX_UNFINISHED_JOBS",
        "10000",
        "unfinished jobs; past it, only cancels, deletes and purges are accepted",
    ),
    setting(
        "DBFORGE_JOURNAL_SEGMENT_BYTES",
        "67108864",
        "size of a journal segment; full segments can be archived",
    ),
    setting(
        "DBFORGE_READY_WAIT",
        "5s",
        "how long SQL waits for a database that is still being created",
    ),
    setting(
        "DBFORGE_SQL_TIMEOUT",
        "5s",
        "default time limit of a statement",
    ),
    setting(
        "DBFORGE_SQL_MAX_TIMEOUT",
        "60s",
        "largest time limit that a request may ask for",
    ),
    setting(
        "DBFORGE_SQL_MAX_ROWS",
        "10000",
        "default row limit of a JSON answer",
    ),
    setting(
        "DBFORGE_SQL_MAX_RESULT_BYTES",
        "4194304",
        "default size limit of a JSON answer",
    ),
    setting(
        "DBFORGE_SQL_MAX_CONNECTIONS",
        "300",
        "open database connections; past it, idle ones are closed",
    ),
    setting(
        "DBFORGE_SQL_MAX_TEMP_BYTES",
        "8589934592",
        "bytes of temporary files of writes, at most half for one database; more get 507",
    ),
    setting(
        "DBFORGE_SQL_MAX_TRANSACTIONS",
        "100",
        "open transactions of several requests; more get 503",
    ),
    setting(
        "DBFORGE_SQL_MAX_DATABASE_TRANSACTIONS",
        "16",
        "the same per database, waiting ones included",
    ),
    setting(
        "DBFORGE_SQL_TRANSACTION_IDLE",
        "10s",
        "longest pause between a transaction's requests; then it is rolled back",
    ),
    setting(
        "DBFORGE_SQL_TRANSACTION_TOTAL",
        "60s",
        "longest duration of a transaction; then it is rolled back",
    ),
    setting(
        "DBFORGE_SQL_MAX_STREAMS",
        "32",
        "concurrent SQL streams, at most a quarter per database; more get 503",
    ),
    setting(
        "DBFORGE_MAX_UPLOAD_BYTES",
        "8589934592",
        "largest file that can be uploaded to be imported, as it is sent",
    ),
    setting(
        "DBFORGE_MAX_UNPACKED_BYTES",
        "68719476736",
        "most bytes that a compressed upload may unpack to",
    ),
    setting(
        "DBFORGE_UPLOAD_IDLE",
        "30s",
        "how long a client may send nothing during an upload; then it is given up",
    ),
    setting(
        "DBFORGE_UPLOAD_RETENTION",
        "24h",
        "how long an upload is kept that is not imported",
    ),
];

/// Every setting of the client commands.
pub const CLIENT_SETTINGS: &[Setting] = &[
    setting(
        "DBFORGE_URL",
        "",
        "gateway URL for the client commands; this machine at the port of `DBFORGE_LISTEN` when not set",
    ),
    setting(
        "DBFORGE_TOKEN",
        "",
        "token for the client commands; the data folder's root token when not set",
    ),
];

/// Variables of the stack, of `make` and of the tests, which the program does not read.
const OTHER_VARIABLES: &[&str] = &[
    "DBFORGE_CONTRACT_EXAMPLES",
    "DBFORGE_CRASHES",
    "DBFORGE_DOCKER_GID",
    "DBFORGE_DOCKER_SOCKET",
    "DBFORGE_ENV_FILE",
    "DBFORGE_FUZZ_SECONDS",
    "DBFORGE_FUZZ_SEED",
    "DBFORGE_GATEWAY_IMAGE",
    "DBFORGE_GID",
    "DBFORGE_HTTPS_PORT",
    "DBFORGE_HTTP_BIND",
    "DBFORGE_HTTP_BURST",
    "DBFORGE_HTTP_PORT",
    "DBFORGE_HTTP_RATE",
    "DBFORGE_SLT_FILES",
    "DBFORGE_SQL_CASES",
    "DBFORGE_TEST_WORKER_IMAGE",
    "DBFORGE_TLS_DIR",
    "DBFORGE_UID",
];

/// Variables that look like settings and are none, each with the setting that was probably meant.
#[must_use]
pub fn unknown_settings(environment: &dyn Environment) -> Vec<(String, Option<&'static str>)> {
    let settings = SETTINGS.iter().chain(CLIENT_SETTINGS);
    let settings = settings.map(|setting| setting.variable);
    let known: Vec<&str> = settings.chain(OTHER_VARIABLES.iter().copied()).collect();
    let mut unknown = environment.names();
    unknown.retain(|name| name.starts_with("DBFORGE_") && !known.contains(&name.as_str()));
    unknown.sort_unstable();
    unknown.dedup();
    let meant = |name: &str| {
        let near = known.iter().map(|it| (strsim::osa_distance(name, it), *it));
        near.min().filter(|(distance, _)| *distance <= 3)
    };
    let unknown = unknown.into_iter();
    unknown
        .map(|name| {
            let meant = meant(&name).map(|(_, setting)| setting);
            (name, meant)
        })
        .collect()
}
