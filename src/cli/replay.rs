//! Rebuilds the state from an exported or hand-written event log and prints it.
use super::terminal::output;
use crate::cli::exit::{Exit, Failure, OrExit};
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use crate::event_log::import::{ImportError, LineError, read_export};
use similar::TextDiff;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// `dbforge replay`.
#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// Output of `dbforge log export`, or JSON lines with at least `kind` and `data`; `-` reads
    /// the standard input
    file: PathBuf,
    /// Stop after this sequence
    #[arg(long, value_name = "SEQUENCE")]
    at: Option<u64>,
    /// Compare the state with this file (text or insta snapshot): print the differences and exit
    /// with 4, or print nothing
    #[arg(long, value_name = "SNAPSHOT")]
    assert: Option<PathBuf>,
}

/// Prints the state after the file's events. Hashes in the file are verified.
pub(super) fn replay(args: &ReplayArgs) -> Result<(), Failure> {
    let at = args.at.map_or(Sequence(u64::MAX), Sequence);
    let state = if args.file == Path::new("-") {
        fold(io::stdin().lock(), at)
    } else {
        let file = File::open(&args.file).or_exit(Exit::Unavailable, args.file.display())?;
        fold(BufReader::new(file), at)
    };
    let state = state.map_err(|error| {
        let exit = match error.reason {
            LineError::Io(_) => Exit::Unavailable,
            _ => Exit::Damage,
        };
        let message = format!("{}: {error}", args.file.display());
        Failure::new(exit, message)
    })?;
    match &args.assert {
        None => output::text(state),
        Some(snapshot) => compare(&state, snapshot),
    }
}

fn compare(state: &State, snapshot: &Path) -> Result<(), Failure> {
    let kept = std::fs::read_to_string(snapshot).or_exit(Exit::Unavailable, snapshot.display())?;
    let (kept, replayed) = (contents(&kept).trim_end(), state.to_string());
    let replayed = replayed.trim_end();
    if kept == replayed {
        return Ok(());
    }
    let differences = TextDiff::from_lines(kept, replayed);
    let mut unified = differences.unified_diff();
    output::text(unified.header(&snapshot.display().to_string(), "replayed"))?;
    Err(Failure::told(Exit::Damage))
}

/// A snapshot's text without insta's header.
fn contents(snapshot: &str) -> &str {
    snapshot
        .strip_prefix("---\n")
        .and_then(|headed| headed.split_once("\n---\n"))
        .map_or(snapshot, |(_, text)| text)
}

fn fold(export: impl BufRead, at: Sequence) -> Result<State, ImportError> {
    let mut state = State::default();
    for recorded in read_export(export) {
        let recorded = recorded?;
        if recorded.sequence > at {
            break;
        }
        state.evolve(&recorded);
    }
    Ok(state)
}
