//! Verifies a log or an export: unchanged and complete.
use crate::cli::data_dir::DataDirArgs;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::cli::terminal::output;
use crate::cli::terminal::plural::{counted, matching};
use crate::config::Environment;
use crate::domain::event::recorded::Head;
use crate::event_log::checkpoints::{
    Checkpoint, Checkpoints, Comparison, FileError, HeldCheckpoints, PublicKey, read_lines,
};
use crate::event_log::import::{LineError, read_whole_export};
use crate::event_log::verify::{Verified, VerifyError, verify_each};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// `dbforge log verify`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyArgs {
    /// Verify this export instead of a data folder
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    export: Option<PathBuf>,
    /// File of signed checkpoints, one per line [default: those in the data folder]
    #[arg(long, value_name = "FILE")]
    checkpoints: Option<PathBuf>,
    /// Public key of the checkpoints, as `dbforge audit key` prints it; repeatable [default: the
    /// one in the data folder]
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<PublicKey>,
    #[command(flatten)]
    data_dir: DataDirArgs,
}

/// Verifies an export or a data folder.
pub(super) fn verify(args: &VerifyArgs, environment: &dyn Environment) -> Result<(), Failure> {
    if let Some(export) = &args.export {
        let checkpoints = given(args)?;
        return verify_export(export, checkpoints.unwrap_or_default());
    }
    let forge_dir = args.data_dir.data_dir(environment)?.join(".forge");
    let own = Checkpoints::at(forge_dir.join("audit"));
    let checkpoints = match (given(args)?, args.keys.as_slice()) {
        (Some(given), _) => given,
        (None, keys) => kept(&own, keys)?,
    };
    verify_journal(&forge_dir, checkpoints)
}

fn verify_journal(forge_dir: &Path, checkpoints: Vec<Checkpoint>) -> Result<(), Failure> {
    let mut comparison = Comparison::with(checkpoints);
    let verified = verify_each(forge_dir, |recorded| comparison.follow(recorded));
    let verified = judged(verified, forge_dir)?;
    let head = verified.head;
    output::line(format_args!(
        "whole: {} in {} and {}; head {} {}",
        counted(verified.events, "event"),
        counted(verified.commits, "commit"),
        counted(verified.segments, "file"),
        head.sequence,
        hex::encode(head.hash),
    ))?;
    if verified.archived > 0 {
        output::line(format_args!(
            "archived: {} of the {} files, the events up to {}",
            verified.archived, verified.segments, verified.archived_to,
        ))?;
    }
    if verified.unfinished_bytes > 0 {
        output::note(format_args!(
            "{} bytes after the last commit are incomplete: a write in progress, or cut off by a \
             crash; the next start removes them",
            verified.unfinished_bytes
        ));
    }
    report(comparison)
}

fn verify_export(path: &Path, checkpoints: Vec<Checkpoint>) -> Result<(), Failure> {
    let file = File::open(path).or_exit(Exit::Unavailable, path.display())?;
    let mut comparison = Comparison::with(checkpoints);
    let mut head = Head::default();
    for recorded in read_whole_export(BufReader::new(file)) {
        let recorded = recorded.map_err(|error| {
            let exit = match error.reason {
                LineError::Io(_) => Exit::Unavailable,
                _ => Exit::Damage,
            };
            Failure::new(exit, format_args!("{}: {error}", path.display()))
        })?;
        comparison.follow(&recorded);
        head.sequence = recorded.sequence;
        head.hash = recorded.hash;
    }
    output::line(format_args!(
        "whole: {}; head {} {}",
        counted(head.sequence.0, "event"),
        head.sequence,
        hex::encode(head.hash),
    ))?;
    report(comparison)
}

fn report(comparison: Comparison) -> Result<(), Failure> {
    match comparison.end() {
        Ok(HeldCheckpoints { count: 0, .. }) => {
            output::note(
                "no signed checkpoint to compare with: a truncated log cannot be detected",
            );
            Ok(())
        }
        Ok(HeldCheckpoints { count, last }) => output::line(format_args!(
            "signed: {}, the last at event {last}",
            matching(count)
        )),
        Err(contradiction) => Err(Failure::new(Exit::Damage, contradiction)
            .hint("compare with a backup of the data folder")),
    }
}

/// The checkpoints of the given file, all signed by a trusted key.
fn given(args: &VerifyArgs) -> Result<Option<Vec<Checkpoint>>, Failure> {
    let Some(path) = &args.checkpoints else {
        return Ok(None);
    };
    if args.keys.is_empty() {
        return Err(Failure::new(Exit::Usage, "--checkpoints needs a --key")
            .hint("get it with `dbforge audit key`, and keep it outside the data folder"));
    }
    let file = File::open(path).or_exit(Exit::Unavailable, path.display())?;
    let checkpoints: Result<Vec<_>, _> = read_lines(BufReader::new(file)).collect();
    signed(readable(checkpoints, path)?, &args.keys).map(Some)
}

/// The checkpoints of the data folder itself.
fn kept(own: &Checkpoints, keys: &[PublicKey]) -> Result<Vec<Checkpoint>, Failure> {
    let checkpoints = readable(own.all(), Path::new("the data folder"))?;
    if !keys.is_empty() {
        return signed(checkpoints, keys);
    }
    let key = own.kept_key().or_exit(Exit::Damage, "the data folder")?;
    signed(checkpoints, key.as_slice())
}

fn readable(
    checkpoints: Result<Vec<Checkpoint>, FileError>,
    path: &Path,
) -> Result<Vec<Checkpoint>, Failure> {
    let exit = match checkpoints {
        Err(FileError::Io(_)) => Exit::Unavailable,
        _ => Exit::Damage,
    };
    checkpoints.or_exit(exit, path.display())
}

fn signed(checkpoints: Vec<Checkpoint>, keys: &[PublicKey]) -> Result<Vec<Checkpoint>, Failure> {
    for (line, checkpoint) in (1..).zip(&checkpoints) {
        let verified = checkpoint.verify(keys);
        verified.or_exit(Exit::Damage, format_args!("checkpoint {line}"))?;
    }
    Ok(checkpoints)
}

/// Turns the result of reading a journal into a failure with a hint.
pub(super) fn judged(
    verified: Result<Verified, VerifyError>,
    forge_dir: &Path,
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

const DAMAGE_HINT: &str = "copy the data folder, then restart the gateway: it repairs the journal \
     from an intact index; without one it serves SQL and is read-only otherwise";
