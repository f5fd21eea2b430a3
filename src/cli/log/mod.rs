//! The event log of a data folder, read from its journal. Works beside a running gateway: reading
//! takes no lock and changes nothing.
mod archive;
mod verify;

use super::terminal::output;
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::Failure;
use crate::config::Environment;
use crate::event_log::canonical::export_line;
use crate::event_log::verify::verify_each;
use std::path::Path;

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
        LogCommand::Export(args) => export(&args.data_dir(environment)?.join(".forge")),
        LogCommand::Verify(args) => verify::verify(args, environment),
        LogCommand::Archive(args) => archive::archive(args, environment),
    }
}

/// Prints the events that verify: the whole log unless it is damaged.
fn export(forge_dir: &Path) -> Result<(), Failure> {
    let mut lines = output::Lines::begin();
    let mut printed = Ok(());
    let verified = verify_each(forge_dir, |recorded| {
        if printed.is_ok() {
            printed = lines.line(export_line(recorded));
        }
    });
    printed?;
    lines.end()?;
    verify::judged(verified, forge_dir).map(drop)
}
