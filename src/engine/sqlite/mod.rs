//! SQLite.
//!
//! Raw SQL of clients runs here. `connection/opening.rs` is the profile under which it does, and the order
//! of what it sets up matters. `sandbox/` says what SQL may do and ends what takes too long,
//! `functions/` has the SQL functions that replace SQLite's own or join them, `statement/` runs
//! statements and writes their answers. `open/` keeps the connections to each database, `readers/`
//! and `writer/` run reads and writes on them, `threads/` bounds their threads, `streams/` sends
//! rows as they come, `transactions/` spans several requests. `schema/` tells what is in a
//! database, `syntax/` takes stored SQL apart.
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod changes;
pub(crate) mod config;
pub(crate) mod connection;
mod error;
pub(crate) mod executor;
pub(crate) mod export;
mod files;
mod functions;
mod health;
mod limits;
mod loading;
pub(crate) mod open;
mod plans;
pub(crate) mod process;
mod raw_values;
pub(crate) mod readers;
mod remote;
mod sandbox;
pub(crate) mod schema;
pub mod statement;
pub(crate) mod streams;
pub(crate) mod syntax;
pub(crate) mod threads;
pub(crate) mod transactions;
pub(crate) mod writer;

pub use self::readers::snapshot::CountedSnapshot;
pub use self::sandbox::audit_role::TextOf;
pub use self::sandbox::bounded_program::Bounds;
pub use self::sandbox::execution_limits::{ExecutionLimits, InterruptHandle, Slice};
pub use self::sandbox::vfs::{TempBudget, TempSpace};
pub use self::statement::client_savepoints::Savepoints;
pub use self::statement::execution::Answer;
pub use self::transactions::transaction::SqliteTransaction;
pub use audit::Views;
pub use config::SqliteConfig;
pub use connection::{Profile, Role, SqliteConnection};
pub use error::SqlError;
pub use executor::SqliteExecutor;
pub use files::{MAIN_FILE, WAL_FILE};
pub use limits::{LIMITS, MAX_VALUE_BYTES};
pub use process::set_up_process;
pub use raw_values::{LARGEST_VALUE_BYTES, LentWriter};
pub use remote::{RUN_FOLDER, ServeConfig, SqliteInWorker, WorkerListener, ask_worker, serve};

use super::exporting::{ExportOrder, ExportReport};
use super::{Availability, Capabilities, DataFile, DataFileError, Engine, ReadyWhen};
use crate::config::FenceMode;
use crate::domain::database::{Database, Durability, Isolation, Limits};
use crate::engine::loading::{LoadOrder, LoadReport};
use crate::engine::sql::{ValueOrder, ValueWritten};
use crate::runtime::child::{ChildFailure, ChildProgress};
use crate::runtime::{Program, WorkerPlace};
use std::io;
use std::path::Path;

/// SQLite: one file for each database.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sqlite {
    /// What happens where the kernel lacks a part of the fence around a worker that serves.
    pub fence: FenceMode,
}

impl Sqlite {
    /// The word callers use.
    pub const NAME: &str = "sqlite";
}

impl Engine for Sqlite {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            ready_when: ReadyWhen::Provisioned,
            isolations: &[Isolation::Gateway, Isolation::Worker],
            protocols: &["http"],
            default_limits: Limits::default(),
            least_limits: Limits::LEAST,
            legacy_api: true,
            file_exports: true,
            loads: true,
        }
    }

    fn availability(&self) -> Availability {
        Availability::of_version(rusqlite::version().to_owned())
    }

    fn program(&self, database: &Database, place: &WorkerPlace) -> Program {
        match database.isolation {
            Isolation::Gateway => Program::sleeping(),
            Isolation::Worker => remote::program(database, place, self.fence),
        }
    }

    fn create_file(&self, folder: &Path, durability: Durability) -> Result<(), DataFileError> {
        files::create(folder, durability)
    }

    fn probe(&self, folder: &Path) -> Result<(), DataFileError> {
        files::probe(folder)
    }

    fn check_in_worker(&self, folder: &Path) -> Result<(), DataFileError> {
        health::check(folder)
    }

    fn is_empty(&self, folder: &Path) -> Result<bool, DataFileError> {
        files::is_empty(folder)
    }

    fn checkpoint_and_close(&self, folder: &Path) -> Result<(), DataFileError> {
        files::checkpoint_and_close(folder)
    }

    fn data_file(&self, folder: &Path) -> io::Result<DataFile> {
        files::data_file(folder)
    }

    fn size_bytes(&self, folder: &Path) -> u64 {
        files::size_bytes(folder)
    }

    fn export(&self, order: &ExportOrder) -> Result<ExportReport, ChildFailure> {
        export::export(order)
    }

    fn load(
        &self,
        order: &LoadOrder,
        report: &mut dyn FnMut(ChildProgress),
    ) -> Result<LoadReport, ChildFailure> {
        loading::load(order, report)
    }

    fn write_value(&self, order: &ValueOrder) -> Result<ValueWritten, ChildFailure> {
        raw_values::write(order)
    }

    fn replace(
        &self,
        living: &Path,
        incoming: &Path,
        outgoing: &Path,
    ) -> Result<(), DataFileError> {
        files::replace(living, incoming, outgoing)
    }
}
