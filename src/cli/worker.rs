//! What runs inside a worker; the gateway and the container runtime call these.
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::engine::registry::{DEFAULT_ENGINE, Engines};
use crate::runtime::WORKER_FOLDER;
use crate::worker;
use std::path::Path;

/// `dbforge worker`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum WorkerCommand {
    /// Wait for a stop signal
    Run,
    /// Do what the standard input says, once, under its limits
    Perform,
    /// Check whether the worker can work: exit code 0 or 1
    Health {
        /// The engine of its database
        #[arg(long, default_value = DEFAULT_ENGINE)]
        engine: String,
    },
}

pub(super) fn run(command: &WorkerCommand) -> Result<(), Failure> {
    match command {
        WorkerCommand::Run => worker::run().or_exit(Exit::Unavailable, "the worker cannot run"),
        WorkerCommand::Perform => worker::perform().or_exit(Exit::Refused, "nothing was done"),
        // Container runtimes expect 0 or 1.
        WorkerCommand::Health { engine } => {
            let engines = Engines::standard();
            let Some(engine) = engines.find(engine) else {
                return Err(Failure::new(
                    Exit::Refused,
                    format!("unknown engine `{engine}`"),
                ));
            };
            engine
                .check_in_worker(Path::new(WORKER_FOLDER))
                .or_exit(Exit::Refused, "the worker is unhealthy")
        }
    }
}
