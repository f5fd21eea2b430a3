//! The event log of a data folder, read from its journal. Works beside a running gateway: reading
//! takes no lock and changes nothing.
mod archive;
mod export;
mod verify;

use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::Failure;
use crate::config::Environment;

/// `dbforge log`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum LogCommand {
    /// Print every event as a JSON line with its hashes
    Export(DataDirArgs),
    /// Verify the journal, its hash chain and the signed checkpoints
    Verify(verify::VerifyArgs),
    /// Verify the log, then move sealed journal files to the archive, compressed
    ///
    /// The archive is .forge/journal/archive, which may be a link to another disk. It must stay
    /// reachable: archived files are read there. Safe beside a running gateway; after a crash, run
    /// it again.
    Archive(archive::ArchiveArgs),
}

pub(super) fn run(command: &LogCommand, environment: &dyn Environment) -> Result<(), Failure> {
    match command {
        LogCommand::Export(args) => export::export(args, environment),
        LogCommand::Verify(args) => verify::verify(args, environment),
        LogCommand::Archive(args) => archive::archive(args, environment),
    }
}
