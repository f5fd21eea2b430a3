//! What runs inside a worker; the gateway and the container runtime call these.
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::serving_worker::ServeArgs;
use crate::engine::Engine;
use crate::engine::registry::{DEFAULT_ENGINE, Engines, ask_worker};
use crate::runtime::WORKER_FOLDER;
use crate::worker::{self, ExecOrder, ExecParent};
use rustix::process::Signal;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `dbforge worker`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum WorkerCommand {
    /// Wait for a stop signal
    Run,
    /// Do what the standard input says, once, under its limits
    Perform,
    /// Fill the database's folder with what new databases are made of
    Template {
        /// The engine of the databases
        #[arg(long)]
        engine: String,
        /// Where programs are looked for
        #[arg(long, env = "PATH", hide_env_values = true)]
        path: String,
    },
    /// Check whether the worker can work: exit code 0 or 1
    Health {
        /// The engine of its database
        #[arg(long, default_value = DEFAULT_ENGINE)]
        engine: String,
        /// Its database's folder
        #[arg(long, default_value = WORKER_FOLDER)]
        folder: PathBuf,
    },
    /// Lock the database's folder, then become the program after `--`
    Exec(ExecArgs),
    /// Serve a SQLite database on a socket in its folder
    Serve(ServeArgs),
    /// Ask the process that serves the database in a folder whether it answers
    Ask {
        /// The database's folder
        #[arg(long)]
        folder: PathBuf,
    },
}

/// What the program is bound by.
#[derive(Debug, clap::Args)]
pub(super) struct ExecArgs {
    /// The file to lock; the program keeps the lock
    #[arg(long, value_name = "FILE")]
    lock: PathBuf,
    /// Most bytes of data of each of its processes
    #[arg(long, value_name = "BYTES")]
    data_bytes: Option<u64>,
    /// A file to remove once the lock is held; may be repeated
    #[arg(long, value_name = "FILE")]
    remove: Vec<PathBuf>,
    /// The parent process to end with
    #[arg(long, value_name = "PROCESS", requires = "end_with")]
    parent: Option<u32>,
    /// The signal that the program gets when its parent ends
    #[arg(long, value_name = "SIGNAL", requires = "parent", value_parser = signal)]
    end_with: Option<Signal>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    command: Vec<OsString>,
}

fn signal(name: &str) -> Result<Signal, String> {
    match name {
        "SIGTERM" => Ok(Signal::TERM),
        "SIGINT" => Ok(Signal::INT),
        "SIGQUIT" => Ok(Signal::QUIT),
        _ => Err("one of SIGTERM, SIGINT and SIGQUIT".to_owned()),
    }
}

pub(super) fn run(command: &WorkerCommand) -> Result<(), Failure> {
    match command {
        WorkerCommand::Run => worker::run().or_exit(Exit::Unavailable, "the worker cannot run"),
        WorkerCommand::Perform => worker::perform().or_exit(Exit::Refused, "nothing was done"),
        WorkerCommand::Template { engine, path } => engine_of(engine)?
            .fill_in_image(Path::new(WORKER_FOLDER), path)
            .or_exit(Exit::Unavailable, "nothing was made"),
        // Container runtimes expect 0 or 1.
        WorkerCommand::Health { engine, folder } => engine_of(engine)?
            .check_in_worker(folder)
            .or_exit(Exit::Refused, "the worker is unhealthy"),
        WorkerCommand::Exec(args) => exec(args),
        WorkerCommand::Serve(args) => args.serve(),
        WorkerCommand::Ask { folder } => {
            ask_worker(folder).or_exit(Exit::Refused, "the worker does not answer")
        }
    }
}

fn engine_of(name: &str) -> Result<Arc<dyn Engine>, Failure> {
    let engine = Engines::standard().find(name).cloned();
    engine.ok_or_else(|| Failure::new(Exit::Refused, format!("unknown engine `{name}`")))
}

fn exec(args: &ExecArgs) -> Result<(), Failure> {
    let parent = args.parent.zip(args.end_with);
    let order = ExecOrder {
        lock: args.lock.clone(),
        data_bytes: args.data_bytes,
        leftovers: args.remove.clone(),
        parent: parent.map(|(process, signal)| ExecParent { process, signal }),
        command: args.command.clone(),
    };
    match worker::exec(&order) {
        Ok(never) => match never {},
        Err(error) => Err(error).or_exit(Exit::Unavailable, "the worker's program cannot run"),
    }
}
