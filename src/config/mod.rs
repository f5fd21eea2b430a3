//! The settings: what they are called, what they mean, and the one place that reads them.
//!
//! [`SETTINGS`] is the list: `dbforge serve --help`, `.env.example` and `docs/OPERATIONS.md` are
//! held against it by tests.
mod client;
mod env_file;
mod environment;
mod isolation;
mod origins;
mod proxies;
mod reader;
mod settings;
mod sql;
mod targets;

pub use client::ClientConfig;
pub use env_file::{EnvFileError, WithEnvFile};
pub use environment::{Environment, Overlay, ProcessEnvironment};
pub use isolation::{FenceMode, IsolationConfig};
pub use origins::CorsOrigins;
pub use proxies::TrustedProxies;
pub use settings::{CLIENT_SETTINGS, SETTINGS, Setting, unknown_settings};
pub use sql::SqlLimits;
pub use targets::Targets;

use reader::Reader;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// A value that traces and error texts must not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(value: String) -> Self {
        Self(value)
    }

    /// The secret itself.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where workers are to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuntimeChoice {
    /// Docker where it answers and has the worker image, else `process`; a data folder remembers
    /// what was chosen.
    Auto,
    /// Containers.
    Docker,
    /// Entries in the gateway's memory.
    Process,
}

/// How traces are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A user and a group by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserAndGroup {
    /// The user's number.
    pub user: u32,
    /// The group's number.
    pub group: u32,
}

/// Everything that can be set.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address and port of HTTP.
    pub listen: SocketAddr,
    /// The data folder.
    pub data_dir: PathBuf,
    /// The data folder's path on the Docker host, if set.
    pub host_data_dir: Option<PathBuf>,
    /// Where workers are to run.
    pub runtime: RuntimeChoice,
    /// The root token, if set.
    pub root_token: Option<Secret>,
    /// Host name of the gateway.
    pub domain: String,
    /// Image of the workers.
    pub worker_image: String,
    /// Image of PostgreSQL's workers.
    pub postgres_image: String,
    /// The folder of PostgreSQL's programs on this host, if set.
    pub postgres_bin: Option<PathBuf>,
    /// User and group of the workers when the gateway is root.
    pub worker_user: UserAndGroup,
    /// Which process answers the SQL of databases.
    pub isolation: IsolationConfig,
    /// Identity of the forge, if set.
    pub instance: Option<Uuid>,
    /// Bounds of HTTP.
    pub http: HttpLimits,
    /// Bounds of SQL.
    pub sql: SqlLimits,
    /// Bounds of uploaded files.
    pub uploads: UploadLimits,
    /// Bounds of webhooks.
    pub webhooks: WebhookLimits,
    /// How long the trash keeps a database.
    pub trash_retention: Duration,
    /// Most unfinished jobs.
    pub max_unfinished_jobs: usize,
    /// Largest segment of the event log's journal.
    pub journal_segment_bytes: u64,
}

/// Bounds of HTTP.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Largest request body.
    pub max_body_bytes: usize,
    /// Requests answered at the same time.
    pub max_requests: usize,
    /// Requests that wait at the same time.
    pub max_waiting: usize,
    /// Bytes of requests and answers in memory.
    pub max_buffered_bytes: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Proxies that are believed when they say for whom they ask.
    pub trusted_proxies: TrustedProxies,
    /// Origins whose pages may read answers in a browser.
    pub cors_origins: CorsOrigins,
    /// Open event streams.
    pub max_streams: usize,
    /// Time for running requests once the gateway stops.
    pub stop_grace: Duration,
    /// How long SQL waits for a database that is being created.
    pub ready_wait: Duration,
    /// Whether each request is a line of the log.
    pub access_log: bool,
}

/// Bounds of uploaded files.
#[derive(Debug, Clone, Copy)]
pub struct UploadLimits {
    /// Largest file, as it is sent.
    pub max_bytes: usize,
    /// Most bytes that it unpacks to.
    pub max_unpacked_bytes: usize,
    /// How long a client may send nothing.
    pub idle: Duration,
    /// How long one is kept that is not imported.
    pub retention: Duration,
}

/// Bounds of webhooks.
#[derive(Debug, Clone, Copy)]
pub struct WebhookLimits {
    /// Where they may go.
    pub targets: Targets,
    /// Failures in a row that disable one.
    pub max_failures: usize,
}

/// Settings that cannot be used, all of them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid settings:\n{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Reads every setting.
    ///
    /// # Errors
    /// Names every variable that cannot be used, and why.
    pub fn read(environment: &dyn Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            environment,
            problems: Vec::new(),
        };
        let config = Self::read_with(&mut reader);
        match config {
            Some(config) if reader.problems.is_empty() => Ok(config),
            _ => Err(ConfigError(reader.problems)),
        }
    }

    /// `None` only with a problem noted; every setting is read before that is looked at.
    fn read_with(reader: &mut Reader<'_>) -> Option<Self> {
        let listen = reader.value("DBFORGE_LISTEN", SocketAddr::from_str);
        let data_dir = reader.value("DBFORGE_DATA_DIR", PathBuf::from_str);
        let host_data_dir = reader.optional("DBFORGE_HOST_DATA_DIR", PathBuf::from_str);
        let runtime = reader.value("DBFORGE_RUNTIME", runtime_choice);
        let root_token = reader.optional("DBFORGE_ROOT_TOKEN", root_token);
        let domain = reader.value("DBFORGE_DOMAIN", String::from_str);
        let worker_image = reader.value("DBFORGE_WORKER_IMAGE", String::from_str);
        let postgres_image = reader.value("DBFORGE_POSTGRES_IMAGE", String::from_str);
        let postgres_bin = reader.optional("DBFORGE_POSTGRES_BIN", PathBuf::from_str);
        let worker_user = reader.value("DBFORGE_WORKER_USER", user_and_group);
        let isolation = IsolationConfig::read(reader);
        let instance = reader.optional("DBFORGE_INSTANCE", Uuid::from_str);
        let max_body_bytes = reader.count("DBFORGE_MAX_BODY_BYTES");
        let max_requests = reader.count("DBFORGE_MAX_REQUESTS");
        let max_waiting = reader.count("DBFORGE_MAX_WAITING");
        let max_buffered_bytes = reader.count("DBFORGE_MAX_BUFFERED_BYTES");
        let max_connections = reader.count("DBFORGE_MAX_CONNECTIONS");
        let trusted_proxies = reader.optional("DBFORGE_TRUSTED_PROXIES", TrustedProxies::from_str);
        let cors_origins = reader.optional("DBFORGE_CORS_ORIGINS", CorsOrigins::from_str);
        let max_streams = reader.count("DBFORGE_MAX_STREAMS");
        let stop_grace = reader.duration("DBFORGE_STOP_GRACE");
        let ready_wait = reader.duration("DBFORGE_READY_WAIT");
        let access_log = reader.value("DBFORGE_ACCESS_LOG", on_or_off);
        let targets = reader.value("DBFORGE_WEBHOOK_TARGETS", Targets::from_str);
        let max_failures = reader.count("DBFORGE_WEBHOOK_MAX_FAILURES");
        let trash_retention = reader.duration("DBFORGE_TRASH_RETENTION");
        let max_unfinished_jobs = reader.count("DBFORGE_MAX_UNFINISHED_JOBS");
        let journal_segment_bytes = reader.value("DBFORGE_JOURNAL_SEGMENT_BYTES", segment_bytes);
        let max_upload_bytes = reader.count("DBFORGE_MAX_UPLOAD_BYTES");
        let max_unpacked_bytes = reader.count("DBFORGE_MAX_UNPACKED_BYTES");
        let upload_idle = reader.duration("DBFORGE_UPLOAD_IDLE");
        let upload_retention = reader.duration("DBFORGE_UPLOAD_RETENTION");
        let sql = SqlLimits::read(reader);
        Some(Self {
            listen: listen?,
            data_dir: data_dir?,
            host_data_dir,
            runtime: runtime?,
            root_token,
            domain: domain?,
            worker_image: worker_image?,
            postgres_image: postgres_image?,
            postgres_bin,
            worker_user: worker_user?,
            isolation: isolation?,
            instance,
            http: HttpLimits {
                max_body_bytes: max_body_bytes?,
                max_requests: max_requests?,
                max_waiting: max_waiting?,
                max_buffered_bytes: max_buffered_bytes?,
                max_connections: max_connections?,
                trusted_proxies: trusted_proxies.unwrap_or_default(),
                cors_origins: cors_origins.unwrap_or_default(),
                max_streams: max_streams?,
                stop_grace: stop_grace?,
                ready_wait: ready_wait?,
                access_log: access_log?,
            },
            sql: sql?,
            uploads: UploadLimits {
                max_bytes: max_upload_bytes?,
                max_unpacked_bytes: max_unpacked_bytes?,
                idle: upload_idle?,
                retention: upload_retention?,
            },
            webhooks: WebhookLimits {
                targets: targets?,
                max_failures: max_failures?,
            },
            trash_retention: trash_retention?,
            max_unfinished_jobs: max_unfinished_jobs?,
            journal_segment_bytes: journal_segment_bytes?,
        })
    }
}

/// How traces are written: read apart from the rest, since reading the rest is traced already.
#[derive(Debug, Clone)]
pub struct TraceConfig {
    /// The filter, as tracing-subscriber reads it.
    pub filter: String,
    /// For people or for programs.
    pub format: LogFormat,
    /// Whether each request is a line of the log, whatever the filter says.
    pub access_log: bool,
}

impl TraceConfig {
    /// Those of workers, whose output their runtime keeps.
    #[must_use]
    pub fn of_workers() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
            access_log: false,
        }
    }

    /// Reads the settings of traces.
    ///
    /// # Errors
    /// Names every variable that cannot be used, and why.
    pub fn read(environment: &dyn Environment) -> Result<Self, ConfigError> {
        let mut reader = Reader {
            environment,
            problems: Vec::new(),
        };
        let filter = reader.value("DBFORGE_LOG", String::from_str);
        let format = reader.value("DBFORGE_LOG_FORMAT", log_format);
        let access_log = reader.value("DBFORGE_ACCESS_LOG", on_or_off);
        match (filter, format, access_log) {
            (Some(filter), Some(format), Some(access_log)) => Ok(Self {
                filter,
                format,
                access_log,
            }),
            _ => Err(ConfigError(reader.problems)),
        }
    }

    /// The format of the log, also where the other settings cannot be used: text unless it is
    /// known to be another.
    #[must_use]
    pub fn format(environment: &dyn Environment) -> LogFormat {
        let mut reader = Reader {
            environment,
            problems: Vec::new(),
        };
        let format = reader.value("DBFORGE_LOG_FORMAT", log_format);
        format.unwrap_or(LogFormat::Text)
    }
}

fn runtime_choice(text: &str) -> Result<RuntimeChoice, String> {
    match text {
        "auto" => Ok(RuntimeChoice::Auto),
        "docker" => Ok(RuntimeChoice::Docker),
        "process" => Ok(RuntimeChoice::Process),
        _ => Err(format!("`{text}` is not one of auto, docker, process")),
    }
}

/// Below this a segment would hold hardly a commit; above it, reading one whole would take too
/// much memory.
const SEGMENT_BYTES: RangeInclusive<u64> = (4 << 10)..=(1 << 30);

fn segment_bytes(text: &str) -> Result<u64, String> {
    let bytes = text
        .parse()
        .ok()
        .filter(|bytes| SEGMENT_BYTES.contains(bytes));
    let (least, most) = (SEGMENT_BYTES.start(), SEGMENT_BYTES.end());
    bytes.ok_or_else(|| format!("`{text}` is not a whole number from {least} to {most}"))
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{text}` is not one of on, off")),
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("`{text}` is not one of text, json")),
    }
}

/// Short tokens can be guessed; 16 characters of anything random cannot.
fn root_token(text: &str) -> Result<Secret, &'static str> {
    if text.len() < 16 || !text.chars().all(|it| it.is_ascii_graphic()) {
        return Err("a root token has at least 16 printable ASCII characters and no spaces");
    }
    Ok(Secret::new(text.to_owned()))
}

fn user_and_group(text: &str) -> Result<UserAndGroup, String> {
    text.split_once(':')
        .and_then(|(user, group)| {
            Some(UserAndGroup {
                user: user.parse().ok()?,
                group: group.parse().ok()?,
            })
        })
        .filter(|it| it.user != 0)
        .ok_or_else(|| format!("`{text}` is not a numeric `user:group`, or its user is root"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn every_setting_has_a_usable_default() {
        let nothing: BTreeMap<String, String> = BTreeMap::new();
        let config = Config::read(&nothing).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert!(TraceConfig::read(&nothing).is_ok());
    }

    #[test]
    fn every_problem_is_reported_at_once_by_variable() {
        let environment = BTreeMap::from([
            ("DBFORGE_LISTEN".to_owned(), "nowhere".to_owned()),
            ("DBFORGE_RUNTIME".to_owned(), "podman".to_owned()),
            ("DBFORGE_MAX_BODY_BYTES".to_owned(), "0".to_owned()),
            (
                "DBFORGE_JOURNAL_SEGMENT_BYTES".to_owned(),
                "4095".to_owned(),
            ),
        ]);
        let ConfigError(problems) = Config::read(&environment).unwrap_err();
        assert_eq!(problems.len(), 4, "{problems:?}");
        assert!(problems[1].starts_with("DBFORGE_RUNTIME: `podman`"));
    }

    #[test]
    fn secrets_are_not_shown() {
        let secret = Secret::new("dbf_something_secret".to_owned());
        assert_eq!(format!("{secret:?} {secret}"), "*** ***");
    }
}
