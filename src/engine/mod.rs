//! The kinds of database the forge can serve: one folder each, one registry.
pub mod access_lock;
pub mod availability;
pub mod data_file;
pub mod exporting;
mod isolations;
pub mod loading;
pub mod postgres;
pub mod registry;
pub mod sql;
pub mod sqlite;

pub use availability::Availability;
pub use data_file::{DataFile, DataFileError};

use crate::domain::database::{Database, Durability, Isolation, Limits};
use crate::domain::ids::DatabaseId;
use crate::runtime::child::{ChildFailure, ChildProgress};
use crate::runtime::{Program, Runtime, WorkerPlace};
use exporting::{ExportOrder, ExportReport};
use futures_util::future::BoxFuture;
use loading::{LoadOrder, LoadReport};
use sql::{SqlExecutor, ValueOrder, ValueWritten};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The stack of every thread that runs clients' SQL. Half of it is more than any statement takes
/// (`tests/forge/sql/language/depths.rs`); what is not touched is not there.
pub const SQL_THREAD_STACK: usize = 8 << 20;

/// One kind of database, as seen by the code that makes, moves and inspects its files.
///
/// Every call blocks, may be repeated, and may be cut off anywhere and run again.
pub trait Engine: Send + Sync {
    /// The word callers use: `sqlite`.
    fn name(&self) -> &'static str;

    /// What it can do, and what it needs.
    fn capabilities(&self) -> Capabilities;

    /// Whether databases of it can be made and started in this gateway, as it was seen last.
    fn availability(&self) -> Availability;

    /// The version whose files new databases are, which no other version's are; `None` where every
    /// version reads the others' files.
    fn version_of_new(&self) -> Option<String> {
        None
    }

    /// Looks for what runs its databases' workers: at the start of the gateway, and now and then.
    fn look_around<'a>(&'a self, runtime: &'a Arc<dyn Runtime>) -> BoxFuture<'a, ()> {
        let _ = runtime;
        Box::pin(std::future::ready(()))
    }

    /// What the worker of `database` runs in `place`.
    ///
    /// Asked for often, so it looks at no disk. A worker whose program is another one now is
    /// replaced.
    fn program(&self, database: &Database, place: &WorkerPlace) -> Program {
        let _ = (database, place);
        Program::sleeping()
    }

    /// Makes sure that `folder` holds a database that answers; an existing one is left as it is.
    ///
    /// # Errors
    /// When the disk refuses, or what lies there is no database.
    fn create_file(&self, folder: &Path, durability: Durability) -> Result<(), DataFileError>;

    /// Fills `folder`, in a container of an image that has the engine's programs, with what new
    /// databases are made of. `path` is where programs are looked for.
    ///
    /// # Errors
    /// When it cannot be made, or nothing is needed.
    fn fill_in_image(&self, folder: &Path, path: &str) -> io::Result<()> {
        let _ = (folder, path);
        let reason = format!("engine `{}` needs nothing of an image", self.name());
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    /// Looks whether the worker of the database in `folder` can be started here.
    ///
    /// # Errors
    /// Why it cannot: its version is another one, or what runs it is missing.
    fn check_start(&self, folder: &Path) -> Result<(), DataFileError> {
        let _ = folder;
        Ok(())
    }

    /// Opens the database in `folder` and asks it one question.
    ///
    /// # Errors
    /// When it is missing, is no database, or does not answer.
    fn probe(&self, folder: &Path) -> Result<(), DataFileError>;

    /// Checks, inside its worker, that the database in `folder` could be served. It runs often, so
    /// it opens nothing and takes no lock.
    ///
    /// # Errors
    /// What is wrong; the container runtime shows it as the check's output.
    fn check_in_worker(&self, folder: &Path) -> Result<(), DataFileError>;

    /// Whether the database in `folder` is empty.
    ///
    /// # Errors
    /// When it is missing, is no database, or does not answer.
    fn is_empty(&self, folder: &Path) -> Result<bool, DataFileError>;

    /// Brings everything that was written into the main file, so that it alone is the database.
    /// Called when it is not open elsewhere. A folder without a database is fine.
    ///
    /// # Errors
    /// When it is open elsewhere after all, or the disk refuses.
    fn checkpoint_and_close(&self, folder: &Path) -> Result<(), DataFileError>;

    /// How the data of the database in `folder` stands. Opens nothing, follows no link.
    ///
    /// # Errors
    /// When the disk refuses to tell.
    fn data_file(&self, folder: &Path) -> io::Result<DataFile>;

    /// Bytes of the database in `folder`; 0 when it has none.
    fn size_bytes(&self, folder: &Path) -> u64;

    /// Takes a step from a database to a file. Called in a child process alone.
    ///
    /// # Errors
    /// When the database is missing or damaged, something in it has no form in the file, the disk
    /// refuses, or the engine's databases do not become files.
    fn export(&self, order: &ExportOrder) -> Result<ExportReport, ChildFailure> {
        let _ = order;
        Err(ChildFailure::refused(format!(
            "databases of engine `{}` are not exported as files",
            self.name()
        )))
    }

    /// Makes a database of a file that others wrote. Called in a child process alone.
    ///
    /// # Errors
    /// When the file is not what it should be, or the engine takes none.
    fn load(
        &self,
        order: &LoadOrder,
        report: &mut dyn FnMut(ChildProgress),
    ) -> Result<LoadReport, ChildFailure> {
        let _ = (order, report);
        Err(ChildFailure::refused(format!(
            "databases of engine `{}` are not loaded from files",
            self.name()
        )))
    }

    /// Gives a value of a database that is being served the bytes of a file. Called in a child
    /// process alone.
    ///
    /// # Errors
    /// When the database or the file cannot be read, or the engine has no such values.
    fn write_value(&self, order: &ValueOrder) -> Result<ValueWritten, ChildFailure> {
        let _ = order;
        Err(ChildFailure::refused(format!(
            "values of engine `{}` are not written as files",
            self.name()
        )))
    }

    /// Makes sure that the database in `incoming` is in the place of the one in `living`, which is
    /// in `outgoing` then; both are whole and closed. When `incoming` has none, that was done.
    ///
    /// # Errors
    /// When the disk refuses, or the engine's databases cannot be exchanged.
    fn replace(
        &self,
        living: &Path,
        incoming: &Path,
        outgoing: &Path,
    ) -> Result<(), DataFileError> {
        let _ = (living, incoming, outgoing);
        Err(DataFileError::Io {
            action: "replace the database",
            reason: format!("engine `{}` does not support it", self.name()),
        })
    }
}

/// An engine that lives in its workers: what runs its SQL asks them.
pub trait ServedEngine: Engine {
    /// What runs SQL on databases below `databases`; `None` when nothing does.
    fn sql(&self, databases: &DatabasesFolder) -> Option<Box<dyn SqlExecutor>>;
}

/// What an engine can do, and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// When a database of it answers SQL.
    pub ready_when: ReadyWhen,
    /// Which processes may answer the SQL of its databases; at least one.
    pub isolations: &'static [Isolation],
    /// What clients may speak to its databases.
    pub protocols: &'static [&'static str],
    /// What a database may use when the caller does not say.
    pub default_limits: Limits,
    /// The least that a database of it works with.
    pub least_limits: Limits,
    /// Whether the routes of the legacy API know its databases.
    pub legacy_api: bool,
    /// Whether its databases are exported as files.
    pub file_exports: bool,
    /// Whether a database is loaded from a file.
    pub loads: bool,
}

impl Capabilities {
    /// The first of `limits` that is below what a database of the engine needs, and that least
    /// value.
    #[must_use]
    pub fn too_small(&self, limits: &Limits) -> Option<(&'static str, u64)> {
        let least = self.least_limits;
        let each = [
            ("size_bytes", limits.size_bytes, least.size_bytes),
            ("memory_bytes", limits.memory_bytes, least.memory_bytes),
            (
                "cpu_millis",
                u64::from(limits.cpu_millis),
                u64::from(least.cpu_millis),
            ),
        ];
        let mut too_small = each.into_iter().filter(|(_, has, least)| has < least);
        too_small.next().map(|(name, _, least)| (name, least))
    }

    /// What databases of the engine are good for beside SQL, in words.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        let Self {
            file_exports,
            loads,
            legacy_api,
            ..
        } = self;
        let words = [
            ("database_export", *file_exports),
            ("database_import", *loads),
            ("legacy_api", *legacy_api),
        ];
        let has = words.into_iter().filter(|(_, has)| *has);
        has.map(|(word, _)| word).collect()
    }
}

/// When a database answers SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadyWhen {
    /// As soon as its files are there, whatever its worker does.
    Provisioned,
    /// While its worker is healthy.
    WorkerHealthy,
}

/// Where the folders of living databases are.
#[derive(Debug, Clone)]
pub struct DatabasesFolder {
    path: PathBuf,
    /// Whether it is the folder of the only database that there is.
    is_of_one: bool,
}

impl DatabasesFolder {
    /// Below `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        let is_of_one = false;
        Self { path, is_of_one }
    }

    /// The folder of the only database that there is, as its worker sees it.
    #[must_use]
    pub fn of_one(path: PathBuf) -> Self {
        let is_of_one = true;
        Self { path, is_of_one }
    }

    /// The folder that holds them.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of one database.
    #[must_use]
    pub fn of(&self, database: DatabaseId) -> PathBuf {
        match self.is_of_one {
            true => self.path.clone(),
            false => self.path.join(database.to_string()),
        }
    }
}
