//! PostgreSQL: a server of its own for each database, in the database's worker.
//!
//! `files/` makes a database's folder: a copy of a cluster that was made once (`files/template.rs`),
//! with the roles and secrets of `roles.rs`. `server.rs` is the server's command line, `programs.rs`
//! finds PostgreSQL's programs on this host, `health.rs` asks a server whether it serves.
mod bounded_run;
mod files;
mod forge_key;
mod health;
mod programs;
pub mod roles;
mod server;

pub use files::socket;
pub use programs::{HostPrograms, OLDEST_MAJOR, PgVersion};

use self::files::{Making, Templates};
use self::forge_key::ForgeKey;
use self::roles::RoleSecrets;
use super::{Capabilities, DataFile, DataFileError, Engine, ReadyWhen};
use crate::domain::database::{Database, Durability, Isolation, Limits};
use crate::locks::Mutex;
use crate::runtime::{Program, StopSignal, WorkerPlace};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a database may use when the caller does not say.
const DEFAULT_LIMITS: Limits = Limits {
    size_bytes: 2 << 30,
    memory_bytes: 256 << 20,
    cpu_millis: 500,
};

/// The least that a server starts and works with. A new cluster takes 24 MB.
pub const LEAST_LIMITS: Limits = Limits {
    size_bytes: 64 << 20,
    memory_bytes: 128 << 20,
    cpu_millis: 10,
};

/// A server that ends writes what it has in memory, and what that is its settings bound.
const STOP_GRACE: Duration = Duration::from_secs(30);

/// Sessions, and ten processes of the server's own.
const MOST_PROCESSES: u32 = 64;

/// The folder in the data folder that holds what new clusters are copied from.
const TEMPLATES: &str = "templates";

/// PostgreSQL, of a version that this host has.
#[derive(Debug)]
pub struct Postgres {
    home: Option<Home>,
}

/// What the engine uses of the gateway that it is in.
#[derive(Debug)]
struct Home {
    config: PostgresConfig,
    templates: Mutex<Templates>,
    programs: Mutex<Option<HostPrograms>>,
    key: Mutex<Option<ForgeKey>>,
}

/// Where an engine works.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// The data folder.
    pub data_dir: PathBuf,
    /// User and group of the workers, where the gateway is root.
    pub owner: Option<(u32, u32)>,
    /// The folder of the host's programs; `None`: it is looked for.
    pub bin: Option<PathBuf>,
}

impl Postgres {
    /// The word callers use.
    pub const NAME: &str = "postgres";

    /// In the gateway of a data folder.
    #[must_use]
    pub fn new(config: PostgresConfig) -> Self {
        let home = Home {
            templates: Mutex::new(Templates::new(config.data_dir.join(TEMPLATES))),
            programs: Mutex::default(),
            key: Mutex::default(),
            config,
        };
        Self { home: Some(home) }
    }

    /// Outside of a gateway: it looks at what is there and makes nothing.
    #[must_use]
    pub fn elsewhere() -> Self {
        Self { home: None }
    }

    /// The passwords of the roles of every database.
    ///
    /// # Errors
    /// When their key cannot be read or made.
    pub fn secrets(&self) -> io::Result<RoleSecrets> {
        Ok(self.key()?.secrets())
    }

    fn key(&self) -> io::Result<ForgeKey> {
        let home = self.home()?;
        let mut key = home.key.lock();
        if key.is_none() {
            *key = Some(ForgeKey::open(&home.config.data_dir.join(".forge"))?);
        }
        key.clone()
            .ok_or_else(|| io::Error::other("there is no key"))
    }

    /// The host's programs. Blocks while they are looked for.
    ///
    /// # Errors
    /// Why there are none.
    pub fn host_programs(&self) -> io::Result<HostPrograms> {
        let home = self.home()?;
        let mut known = home.programs.lock();
        if let Some(programs) = known.as_ref() {
            return Ok(programs.clone());
        }
        let found = HostPrograms::find(home.config.bin.as_deref());
        let found = found.map_err(|reason| io::Error::new(io::ErrorKind::NotFound, reason))?;
        *known = Some(found.clone());
        Ok(found)
    }

    /// The server of the host; one that is not there says so when it is started.
    fn server_program(&self) -> String {
        let known = self
            .home
            .as_ref()
            .and_then(|home| home.programs.lock().clone());
        known.map_or_else(
            || "postgres".to_owned(),
            |programs| programs.bin.join("postgres").display().to_string(),
        )
    }

    /// The cluster that others are copied from.
    fn template(&self) -> io::Result<PathBuf> {
        let (home, programs, key) = (self.home()?, self.host_programs()?, self.key()?);
        let (secrets, version) = (key.secrets(), programs.version.to_string());
        let making = Making {
            bin: &programs.bin,
            user: home.config.owner.map(user_of_programs),
            secrets: &secrets,
        };
        let templates = home.templates.lock();
        templates.ensure(&version, &key.fingerprint(), |folder| {
            tracing::info!(
                version,
                "making the cluster that new databases are copied from"
            );
            making.make(folder)
        })
    }

    fn home(&self) -> io::Result<&Home> {
        self.home
            .as_ref()
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this process is no gateway"))
    }
}

impl Engine for Postgres {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            ready_when: ReadyWhen::WorkerHealthy,
            isolations: &[Isolation::Worker],
            default_limits: DEFAULT_LIMITS,
            legacy_api: false,
            file_exports: false,
            loads: false,
        }
    }

    fn program(&self, database: &Database, place: &WorkerPlace) -> Program {
        let server = match place {
            WorkerPlace::Container => "postgres".to_owned(),
            WorkerPlace::Child { .. } => self.server_program(),
        };
        let folder = place.folder();
        let cluster = folder.join(files::CLUSTER).display().to_string();
        let arguments = server::arguments(&cluster, database.limits, database.durability);
        let check = ["worker", "health", "--engine", Self::NAME, "--folder"];
        Program {
            image: None,
            command: [server].into_iter().chain(arguments).collect(),
            environment: vec![("TZ".to_owned(), "UTC".to_owned())],
            health: [place.dbforge()]
                .into_iter()
                .chain(check)
                .map(str::to_owned)
                .chain([folder.display().to_string()])
                .collect(),
            // Its sessions are ended, and everything is written: SIGTERM would wait for them.
            stop_signal: StopSignal::Interrupt,
            stop_grace: STOP_GRACE,
            processes: MOST_PROCESSES,
            data_bytes: Some(server::data_bytes(database.limits)),
            leftovers: files::LEFTOVERS.iter().map(PathBuf::from).collect(),
        }
    }

    fn create_file(&self, folder: &Path, _: Durability) -> Result<(), DataFileError> {
        let template = self.template().map_err(|error| DataFileError::Io {
            action: "make the cluster that new databases are copied from",
            reason: error.to_string(),
        })?;
        files::create(folder, &template)
    }

    fn probe(&self, folder: &Path) -> Result<(), DataFileError> {
        let major = self.host_programs().map(|programs| programs.version.major);
        files::probe(folder, major.ok())
    }

    fn check_in_worker(&self, folder: &Path) -> Result<(), DataFileError> {
        health::check(folder)
    }

    fn is_empty(&self, folder: &Path) -> Result<bool, DataFileError> {
        files::is_empty(folder)
    }

    fn checkpoint_and_close(&self, folder: &Path) -> Result<(), DataFileError> {
        files::require_closed(folder)
    }

    fn data_file(&self, folder: &Path) -> io::Result<DataFile> {
        files::data_file(folder)
    }

    fn size_bytes(&self, folder: &Path) -> u64 {
        files::size_bytes(folder)
    }
}

/// Who runs programs that refuse to be run by root, and want their user to have a name: the
/// workers' user where it has one, else that of the package, else nobody.
fn user_of_programs(worker: (u32, u32)) -> (u32, u32) {
    let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let users = names.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let ids = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some((name, ids))
    });
    let users: Vec<(&str, (u32, u32))> = users.collect();
    let named = |wanted: &str| users.iter().find(|(name, _)| *name == wanted);
    let by_id = users.iter().find(|(_, ids)| ids.0 == worker.0);
    let chosen = by_id
        .or_else(|| named("postgres"))
        .or_else(|| named("nobody"));
    chosen.map_or(worker, |(_, ids)| *ids)
}
