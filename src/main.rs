//! The program: one binary, the gateway's and the workers'.
use anyhow::Context;
use clap::{Parser, Subcommand};
use dbforge::runtime::WORKER_FOLDER;
use dbforge::worker;
use std::path::Path;

/// Praetorian DB-Forge: databases on call, on your own machine.
#[derive(Debug, Parser)]
enum Command {
    /// What runs inside a worker; the gateway calls these.
    #[command(subcommand)]
    Worker(WorkerCommand),
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// Wait until told to end.
    Run,
    /// Say whether the worker could work: exit code 0 or 1.
    Health,
}

fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Worker(WorkerCommand::Run) => worker::run().context("the worker cannot run"),
        Command::Worker(WorkerCommand::Health) => {
            worker::health(Path::new(WORKER_FOLDER)).context("the worker is unfit")
        }
    }
}
