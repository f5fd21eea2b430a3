//! Reads the event log of a data folder: from the journal alone, without a lock, changing nothing.
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::output;
use crate::config::Environment;
use crate::event_log::canonical::export_line;
use crate::event_log::verify::{Verified, VerifyError, verify, verify_each};
use std::path::PathBuf;

/// `dbforge log`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum LogCommand {
    /// Print every event as a line of JSON, with its hashes
    Export(DataDirArgs),
    /// Check every byte of the journal and the whole chain of hashes
    Verify(DataDirArgs),
}

pub(super) fn run(command: &LogCommand, environment: &dyn Environment) -> Result<(), Failure> {
    match command {
        LogCommand::Export(args) => export(args.data_dir(environment)?.join(".forge")),
        LogCommand::Verify(args) => report(args.data_dir(environment)?.join(".forge")),
    }
}

/// Prints what verifies, which is the whole log unless it is damaged.
fn export(forge_dir: PathBuf) -> Result<(), Failure> {
    let mut lines = output::Lines::begin();
    let mut printed = Ok(());
    let verified = verify_each(&forge_dir, |recorded| {
        if printed.is_ok() {
            printed = lines.line(export_line(recorded));
        }
    });
    printed?;
    lines.end()?;
    judged(verified, forge_dir).map(drop)
}

fn report(forge_dir: PathBuf) -> Result<(), Failure> {
    let verified = judged(verify(&forge_dir), forge_dir)?;
    output::line(format_args!(
        "whole: {} events in {} commits and {} files; head {} {}",
        verified.events,
        verified.commits,
        verified.segments,
        verified.head.sequence,
        hex::encode(verified.head.hash),
    ))?;
    if verified.unfinished_bytes > 0 {
        output::note(format_args!(
            "{} bytes behind the head are no whole commit: it is being written, or a crash cut it \
             short and the next start cuts it off",
            verified.unfinished_bytes
        ));
    }
    Ok(())
}

fn judged(
    verified: Result<Verified, VerifyError>,
    forge_dir: PathBuf,
) -> Result<Verified, Failure> {
    let journal = forge_dir.join("journal");
    match verified {
        Ok(verified) => Ok(verified),
        Err(error @ VerifyError::Damaged { .. }) => Err(error)
            .or_exit(Exit::Damage, format_args!("{}", journal.display()))
            .map_err(|failure| failure.hint(DAMAGE_HINT)),
        Err(error @ VerifyError::Unreadable(_)) => {
            Err(error).or_exit(Exit::Unavailable, format_args!("{}", journal.display()))
        }
    }
}

const DAMAGE_HINT: &str = "the next start heals it from the index where that is whole, else the \
     gateway serves SQL and takes no commands; keep a copy of the data folder first";
