//! What runs inside a worker; the gateway and the container engine call these.
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::runtime::WORKER_FOLDER;
use crate::worker;
use std::path::Path;

/// `dbforge worker`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum WorkerCommand {
    /// Wait for a stop signal
    Run,
    /// Check whether the worker can work: exit code 0 or 1
    Health,
}

pub(super) fn run(command: &WorkerCommand) -> Result<(), Failure> {
    match command {
        WorkerCommand::Run => worker::run().or_exit(Exit::Unavailable, "the worker cannot run"),
        // Container engines expect 0 or 1.
        WorkerCommand::Health => worker::health(Path::new(WORKER_FOLDER))
            .or_exit(Exit::Refused, "the worker is unhealthy"),
    }
}
