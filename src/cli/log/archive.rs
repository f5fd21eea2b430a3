//! Compresses sealed segments of the journal into the archive.
use super::verify::judged;
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::terminal::output;
use crate::config::Environment;
use crate::event_log::archive::{ArchiveError, Archiver};
use crate::event_log::verify::verify_each;

/// `dbforge log archive`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ArchiveArgs {
    /// Do not archive the newest N sealed segments
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,
    #[command(flatten)]
    data_dir: DataDirArgs,
}

/// Verifies the log, then archives its sealed segments.
pub(super) fn archive(args: &ArchiveArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let forge_dir = args.data_dir.data_dir(environment)?.join(".forge");
    let journal = forge_dir.join("journal");
    std::fs::metadata(&journal).or_exit(Exit::Unavailable, journal.display())?;
    let archiver = Archiver::begin(&forge_dir).map_err(refused)?;
    judged(verify_each(&forge_dir, |_| {}), &forge_dir)?;
    let sealed = archiver.sealed(args.keep).map_err(refused)?;
    if sealed.is_empty() {
        output::note("nothing to archive: only the active segment is left");
    }
    for number in sealed {
        let done = archiver.archive(number).map_err(refused)?;
        output::line(format_args!(
            "{:08}.journal: {} bytes, {} in the archive",
            done.segment, done.bytes, done.compressed_bytes
        ))?;
    }
    Ok(())
}

fn refused(error: ArchiveError) -> Failure {
    let (exit, hint) = match &error {
        ArchiveError::InUse => (Exit::Refused, "retry when it has finished"),
        ArchiveError::Unreachable { .. } => (Exit::Unavailable, "check that the disk is mounted"),
        ArchiveError::ReadBack { .. } => (Exit::Damage, "nothing was removed; check the disk"),
        ArchiveError::Replaced { .. } => (Exit::Refused, "nothing was removed; retry"),
        ArchiveError::Io { .. } => (Exit::Unavailable, "the segment was not moved"),
    };
    Failure {
        exit,
        error: Some(error.into()),
        hint: Some(hint.to_owned()),
        answered: None,
    }
}
