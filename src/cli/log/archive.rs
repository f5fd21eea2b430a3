//! Old segments of the journal, compressed and out of the way.
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
    /// Leave so many of the newest sealed segments as they are
    #[arg(long, value_name = "N", default_value_t = 0)]
    keep: usize,
    #[command(flatten)]
    data_dir: DataDirArgs,
}

/// Archives what is sealed and verifies.
pub(super) fn archive(args: &ArchiveArgs, environment: &dyn Environment) -> Result<(), Failure> {
    let forge_dir = args.data_dir.data_dir(environment)?.join(".forge");
    let journal = forge_dir.join("journal");
    std::fs::metadata(&journal).or_exit(Exit::Unavailable, journal.display())?;
    let archiver = Archiver::begin(&forge_dir).map_err(refused)?;
    judged(verify_each(&forge_dir, |_| {}), &forge_dir)?;
    let sealed = archiver.sealed(args.keep).map_err(refused)?;
    if sealed.is_empty() {
        output::note("nothing to archive: the last segment is written to, the others are archived");
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
        ArchiveError::InUse => (Exit::Refused, "try again when it is done"),
        ArchiveError::Unreachable { .. } => (Exit::Unavailable, "is that disk mounted?"),
        ArchiveError::ReadBack { .. } => (Exit::Damage, "nothing was removed; look at the disk"),
        ArchiveError::Replaced { .. } => (Exit::Refused, "nothing was removed; try again"),
        ArchiveError::Io { .. } => (Exit::Unavailable, "the segment is where it was"),
    };
    Failure {
        exit,
        error: Some(error.into()),
        hint: Some(hint.to_owned()),
    }
}
