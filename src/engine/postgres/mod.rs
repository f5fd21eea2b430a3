//! PostgreSQL: a server of its own for each database, in the database's worker.
//!
//! `files/` makes a database's folder: a copy of a cluster that was made once (`files/template.rs`),
//! with the roles and secrets of `roles.rs`. `server.rs` is the server's command line, `programs.rs`
//! finds PostgreSQL's programs on this host, `health.rs` asks a server whether it serves.
mod bounded_run;
mod client;
mod files;
mod forge_key;
mod health;
mod programs;
mod quota;
pub mod roles;
mod server;
mod source;
pub mod sql;

pub use files::socket;
pub use programs::{HostPrograms, OLDEST_MAJOR, PgVersion};

use self::files::{Making, Templates};
use self::forge_key::ForgeKey;
use self::quota::WithinQuota;
use self::roles::RoleSecrets;
use self::source::{ImagePrograms, Source};
use self::sql::{PostgresExecutor, SecretsSource};
use super::sql::SqlExecutor;
use super::{
    Availability, Capabilities, DataFile, DataFileError, DatabasesFolder, Engine, ReadyWhen,
    ServedEngine,
};
use crate::domain::database::{Database, Durability, Isolation, Limits};
use crate::locks::Mutex;
use crate::runtime::{Errand, Program, Runtime, StopSignal, WorkerPlace};
use crate::whole_file;
use futures_util::future::BoxFuture;
use rustix::process::{getegid, geteuid};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::Handle;

/// What a database may use when the caller does not say.
const DEFAULT_LIMITS: Limits = Limits {
    size_bytes: 2 << 30,
    memory_bytes: 256 << 20,
    cpu_millis: 500,
};

/// The least that a server starts and works with. A new cluster takes 24 MB.
const LEAST_LIMITS: Limits = Limits {
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

/// Making a cluster in a container takes ten seconds with half a processor, and more where many
/// containers start.
const ERRAND_TIME: Duration = Duration::from_secs(100);

/// A cluster that an image brings, where it has no shell that `initdb` needs.
const CLUSTER_OF_IMAGE: &str = "/usr/share/dbforge/postgres";

/// In the folder that a container fills: the passwords, until they are read.
const SECRETS_FILE: &str = "secrets";
/// The user of that container, by name: `initdb` asks for it.
const USERS_FILE: &str = "passwd";

/// PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    home: Option<Arc<Home>>,
}

/// What the engine uses of the gateway that it is in.
struct Home {
    config: PostgresConfig,
    templates: Mutex<Templates>,
    /// The programs, or why there are none, as they were seen last.
    source: Mutex<Option<Result<Source, String>>>,
    /// What runs its images.
    runtime: OnceLock<Arc<dyn Runtime>>,
    key: Mutex<Option<ForgeKey>>,
}

/// Where the engine works.
#[derive(Debug, Clone)]
pub struct PostgresConfig {
    /// The data folder.
    pub data_dir: PathBuf,
    /// User and group of the workers, where the gateway is root.
    pub owner: Option<(u32, u32)>,
    /// The folder of the host's programs; `None`: it is looked for.
    pub bin: Option<PathBuf>,
    /// The image of workers in containers.
    pub image: String,
}

impl Postgres {
    /// The word callers use.
    pub const NAME: &str = "postgres";

    /// In the gateway of a data folder.
    #[must_use]
    pub fn new(config: PostgresConfig) -> Self {
        let home = Home {
            templates: Mutex::new(Templates::new(config.data_dir.join(TEMPLATES))),
            source: Mutex::default(),
            runtime: OnceLock::new(),
            key: Mutex::default(),
            config,
        };
        Self {
            home: Some(Arc::new(home)),
        }
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
        Ok(self.home()?.key()?.secrets())
    }

    fn home(&self) -> io::Result<&Arc<Home>> {
        self.home
            .as_ref()
            .ok_or_else(|| io::Error::new(io::ErrorKind::Unsupported, "this process is no gateway"))
    }

    fn source(&self) -> Result<Source, String> {
        self.home().map_err(|error| error.to_string())?.source()
    }
}

impl Home {
    fn key(&self) -> io::Result<ForgeKey> {
        let mut key = self.key.lock();
        if let Some(key) = key.as_ref() {
            return Ok(key.clone());
        }
        let opened = ForgeKey::open(&self.config.data_dir.join(".forge"))?;
        *key = Some(opened.clone());
        Ok(opened)
    }

    /// The programs as they were seen last; before the first look, those of the host.
    fn source(&self) -> Result<Source, String> {
        let mut source = self.source.lock();
        source.get_or_insert_with(|| self.host_programs()).clone()
    }

    fn host_programs(&self) -> Result<Source, String> {
        HostPrograms::find(self.config.bin.as_deref()).map(Source::Host)
    }

    /// Looks again. What does not answer now says nothing new.
    async fn look_around(self: &Arc<Self>, runtime: &Arc<dyn Runtime>) {
        let _ = self.runtime.set(Arc::clone(runtime));
        let found = match runtime.place(Path::new("/")) {
            WorkerPlace::Container => {
                let name = &self.config.image;
                match runtime.image(name).await {
                    Ok(facts) => ImagePrograms::of(name, facts.as_ref()).map(Source::Image),
                    Err(error) => {
                        let is_known = matches!(*self.source.lock(), Some(Ok(_)));
                        if error.is_transient() && is_known {
                            return;
                        }
                        Err(error.to_string())
                    }
                }
            }
            WorkerPlace::Child { .. } => {
                let home = Arc::clone(self);
                let found = tokio::task::spawn_blocking(move || home.host_programs()).await;
                found.unwrap_or_else(|error| Err(error.to_string()))
            }
        };
        let mut source = self.source.lock();
        if source.as_ref() != Some(&found) {
            match &found {
                Ok(found) => tracing::info!(version = %found.version(), "PostgreSQL is available"),
                Err(reason) => tracing::info!(reason, "PostgreSQL is not available"),
            }
            *source = Some(found);
        }
    }

    /// The cluster that others are copied from. Blocks, on a thread that may.
    fn template(&self, source: &Source) -> io::Result<PathBuf> {
        let key = self.key()?;
        let templates = self.templates.lock();
        templates.ensure(&source.mark(), &key.fingerprint(), |folder| {
            tracing::info!(
                version = %source.version(),
                "making the cluster that new databases are copied from"
            );
            match source {
                Source::Host(programs) => {
                    let user = self.config.owner.map(user_of_programs);
                    let secrets = key.secrets();
                    let making = Making {
                        bin: &programs.bin,
                        user,
                        secrets: &secrets,
                    };
                    making.make(folder)
                }
                Source::Image(programs) => self.fill_by_errand(folder, programs, &key.secrets()),
            }
        })
    }

    fn fill_by_errand(
        &self,
        folder: &Path,
        programs: &ImagePrograms,
        secrets: &RoleSecrets,
    ) -> io::Result<()> {
        let (Some(runtime), Ok(tokio)) = (self.runtime.get(), Handle::try_current()) else {
            return Err(io::Error::other("there is no runtime to run an image with"));
        };
        let (user, group) = self
            .config
            .owner
            .unwrap_or((geteuid().as_raw(), getegid().as_raw()));
        let users = folder.join(USERS_FILE);
        for (file, text) in [
            (folder.join(SECRETS_FILE), secrets_as_lines(secrets)),
            (users.clone(), format!("postgres:x:{user}:{group}::/:/\n")),
        ] {
            whole_file::replace(&file, text.as_bytes())?;
            if self.config.owner.is_some() {
                chown(&file, Some(user), Some(group))?;
            }
        }
        if self.config.owner.is_some() {
            chown(folder, Some(user), Some(group))?;
        }
        let arguments = ["worker", "template", "--engine", Postgres::NAME];
        let errand = Errand {
            image: programs.id.clone(),
            arguments: arguments.map(str::to_owned).to_vec(),
            folder: folder.to_owned(),
            files: vec![(users.clone(), "/etc/passwd")],
            longest: ERRAND_TIME,
        };
        let ended = tokio.block_on(runtime.run_errand(&errand));
        fs::remove_file(&users)?;
        ended.map_err(io::Error::other)
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home")
            .field("config", &self.config)
            .field("source", &*self.source.lock())
            .finish_non_exhaustive()
    }
}

impl ServedEngine for Postgres {
    fn sql(&self, databases: &DatabasesFolder) -> Option<Box<dyn SqlExecutor>> {
        let home = Arc::clone(self.home.as_ref()?);
        let secrets = SecretsSource::new(move || Ok(home.key()?.secrets()));
        let executor = PostgresExecutor::new(databases.clone(), secrets);
        Some(Box::new(WithinQuota::new(executor, databases.clone())))
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
            protocols: &["http"],
            default_limits: DEFAULT_LIMITS,
            least_limits: LEAST_LIMITS,
            legacy_api: false,
            file_exports: false,
            loads: false,
        }
    }

    fn availability(&self) -> Availability {
        match self.source() {
            Ok(source) => Availability::of_version(source.version().to_string()),
            Err(trouble) => Availability::none(trouble),
        }
    }

    fn version_of_new(&self) -> Option<String> {
        let source = self.source().ok()?;
        Some(source.version().major.to_string())
    }

    fn look_around<'a>(&'a self, runtime: &'a Arc<dyn Runtime>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Some(home) = &self.home {
                home.look_around(runtime).await;
            }
        })
    }

    fn program(&self, database: &Database, place: &WorkerPlace) -> Program {
        // One that is not there says so when it is started.
        let source = self.source().ok();
        let server = source.as_ref().map(Source::server);
        let folder = place.folder();
        let cluster = folder.join(files::CLUSTER).display().to_string();
        let arguments = server::arguments(&cluster, database.limits, database.durability);
        let check = ["worker", "health", "--engine", Self::NAME, "--folder"];
        let check = [place.dbforge()].into_iter().chain(check);
        Program {
            image: match source {
                Some(Source::Image(programs)) => Some(programs.id),
                Some(Source::Host(_)) | None => None,
            },
            command: [server.unwrap_or_else(|| "postgres".to_owned())]
                .into_iter()
                .chain(arguments)
                .collect(),
            environment: vec![("TZ".to_owned(), "UTC".to_owned())],
            health: check
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
        if files::has_cluster(folder) {
            return files::probe(folder, None);
        }
        let unavailable = |reason| DataFileError::Unavailable { reason };
        let source = self.source().map_err(unavailable)?;
        let template = self.home().and_then(|home| home.template(&source));
        let template = template.map_err(|error| {
            let action = "make the cluster that new databases are copied from";
            DataFileError::of_io(action, &error)
        })?;
        files::create(folder, &template)
    }

    fn fill_in_image(&self, folder: &Path, path: &str) -> io::Result<()> {
        let secrets_file = folder.join(SECRETS_FILE);
        let secrets = fs::read_to_string(&secrets_file)?;
        fs::remove_file(&secrets_file)?;
        let secrets = secrets_of_lines(&secrets)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "there are no secrets"))?;
        let mut folders = path.split(':').map(Path::new);
        let bin = folders.find(|folder| folder.join("postgres").is_file());
        let bin = bin
            .ok_or_else(|| io::Error::other(format!("there is no program `postgres` in {path}")))?;
        let making = Making {
            bin,
            user: None,
            secrets: &secrets,
        };
        match Path::new(CLUSTER_OF_IMAGE) {
            cluster if cluster.is_dir() => making.make_of(cluster, folder),
            _ => making.make(folder),
        }
    }

    fn check_start(&self, folder: &Path) -> Result<(), DataFileError> {
        let source = self.source();
        let source = source.map_err(|reason| DataFileError::Unavailable { reason })?;
        files::probe(folder, Some(source.version().major))
    }

    fn probe(&self, folder: &Path) -> Result<(), DataFileError> {
        let major = self.source().map(|source| source.version().major);
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

fn secrets_as_lines(secrets: &RoleSecrets) -> String {
    let RoleSecrets { owner, app, reader } = secrets;
    [owner, app, reader]
        .map(|secret| format!("{secret}\n"))
        .concat()
}

fn secrets_of_lines(lines: &str) -> Option<RoleSecrets> {
    let mut lines = lines.lines().map(str::to_owned);
    Some(RoleSecrets {
        owner: lines.next()?,
        app: lines.next()?,
        reader: lines.next()?,
    })
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
