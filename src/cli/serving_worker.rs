//! `dbforge worker serve`: serves a SQLite database in its worker.
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::config::{FenceMode, TraceConfig};
use crate::domain::ids::DatabaseId;
use crate::telemetry;
use crate::worker::{self, ServeOrder};
use std::path::PathBuf;
use uuid::Uuid;

/// What is served, and within which bounds.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    /// The database's folder
    #[arg(long)]
    folder: PathBuf,
    /// Id of the database
    #[arg(long, value_name = "UUID")]
    database: Uuid,
    /// Memory of the worker
    #[arg(long, value_name = "BYTES")]
    memory_bytes: u64,
    /// Most bytes of the temporary files of its statements
    #[arg(long, value_name = "BYTES")]
    temp_bytes: u64,
    /// What happens where the kernel lacks a part of the fence: strict, or best-effort
    #[arg(long, value_parser = FenceMode::parse)]
    fence: FenceMode,
    /// Serve in this very process, which a worker starts
    #[arg(long, hide = true)]
    fenced: bool,
}

impl ServeArgs {
    /// Serves, or keeps a process running that does.
    pub(super) fn serve(&self) -> Result<(), Failure> {
        let order = ServeOrder {
            folder: self.folder.clone(),
            database: DatabaseId(self.database),
            memory_bytes: self.memory_bytes,
            temp_bytes: self.temp_bytes,
            fence: self.fence,
        };
        telemetry::start(&TraceConfig::of_workers())
            .or_exit(Exit::Unavailable, "the worker's log cannot be written")?;
        if self.fenced {
            let served = worker::serve(&order);
            return served.or_exit(Exit::Unavailable, "the database cannot be served");
        }
        let again = std::env::args().skip(1).chain(["--fenced".to_owned()]);
        let again: Vec<String> = again.collect();
        worker::supervise(&order, &again).or_exit(Exit::Unavailable, "the worker cannot run")
    }
}
