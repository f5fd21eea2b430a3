//! State snapshots, so that a start need not read the whole log: `.forge/checkpoint`.
//!
//! A snapshot that is missing, damaged, from another log or from another build of the program
//! (which may rebuild the state differently) is ignored, and the state is rebuilt from all events.
//! The file has two lines: a header, then the state as JSON.
use super::{ControlPlane, fold_onto};
use crate::domain::event::recorded::Hash;
use crate::domain::ids::Sequence;
use crate::domain::state::State;
use crate::event_log::{EventLog, ReadError};
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const NAME: &str = "checkpoint";
/// A start reads about this many events at most, in 0.2 s.
const EVENTS_BETWEEN: u64 = 50_000;

/// The header of a snapshot.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// The last event of the state, and that event's hash.
    sequence: Sequence,
    hash: String,
    /// The build that wrote it.
    build: String,
    /// crc32c of the state's line.
    crc: u32,
}

/// The state of a log: from the snapshot in `forge_dir` and the events after it, or from all events.
///
/// # Errors
/// When the log cannot be read to its end.
pub fn restore(forge_dir: &Path, log: &dyn EventLog) -> Result<State, ReadError> {
    let state = match load(forge_dir, log) {
        Ok(state) => state,
        Err(reason) => {
            // A new log has none.
            if log.head().sequence > Sequence(0) {
                tracing::info!(
                    "rebuilding the state from the first event; cannot use the snapshot: {reason}"
                );
            }
            State::default()
        }
    };
    fold_onto(state, log)
}

/// Saves the state from time to time and at `stop`.
pub async fn keep(control: Arc<ControlPlane>, forge_dir: Arc<Path>, stop: CancellationToken) {
    let mut changes = control.changes();
    let mut saved = 0;
    loop {
        let is_over = tokio::select! {
            () = stop.cancelled() => true,
            changed = changes.changed() => changed.is_err(),
        };
        let sequence = control.current().head.sequence.0;
        let is_due = sequence >= saved + EVENTS_BETWEEN || (is_over && sequence > saved);
        if is_due {
            let (control, forge_dir) = (control.clone(), forge_dir.clone());
            let save = move || save(&forge_dir, &control);
            match tokio::task::spawn_blocking(save).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "failed to save the state snapshot"),
                Err(error) => tracing::error!(%error, "saving the state snapshot panicked"),
            }
            // A failed save is retried after the next interval.
            saved = sequence;
        }
        if is_over {
            return;
        }
    }
}

/// Saves the current state.
///
/// # Errors
/// When it cannot be written; the previous snapshot stays.
pub fn save(forge_dir: &Path, control: &ControlPlane) -> io::Result<()> {
    let current = control.current();
    if current.read_only.is_some() {
        return Ok(());
    }
    let state = serde_json::to_string(&current.state)?;
    let header = Header {
        sequence: current.head.sequence,
        hash: hex::encode(current.head.hash),
        build: build()?,
        crc: crc32c::crc32c(state.as_bytes()),
    };
    let text = format!("{}\n{state}", serde_json::to_string(&header)?);
    whole_file::replace(&forge_dir.join(NAME), text.as_bytes())
}

fn load(forge_dir: &Path, log: &dyn EventLog) -> Result<State, String> {
    if log.read_only().is_some() {
        return Err("the log is read-only".to_owned());
    }
    let text = fs::read_to_string(forge_dir.join(NAME)).map_err(|error| error.to_string())?;
    let (header, state) = text.split_once('\n').ok_or("it is truncated")?;
    let header: Header = serde_json::from_str(header).map_err(|error| error.to_string())?;
    if header.build != build().map_err(|error| error.to_string())? {
        return Err("it is from another build of this program".to_owned());
    }
    if header.crc != crc32c::crc32c(state.as_bytes()) {
        return Err("it is damaged".to_owned());
    }
    if hash_at(log, header.sequence)?.map(hex::encode) != Some(header.hash) {
        return Err("it is from another log".to_owned());
    }
    let state: State = serde_json::from_str(state).map_err(|error| error.to_string())?;
    if state.sequence != header.sequence {
        return Err("it is inconsistent".to_owned());
    }
    Ok(state)
}

fn hash_at(log: &dyn EventLog, sequence: Sequence) -> Result<Option<Hash>, String> {
    let Some(before) = sequence.0.checked_sub(1) else {
        return Ok(None);
    };
    let events = log.read_after(Sequence(before), 1);
    let events = events.map_err(|error| error.to_string())?;
    Ok(events.first().map(|it| it.hash))
}

/// Identifies the build by the program file.
fn build() -> io::Result<String> {
    let program = std::env::current_exe()?.metadata()?;
    let modified = (program.mtime(), program.mtime_nsec());
    Ok(format!(
        "{} {} {}.{}",
        env!("CARGO_PKG_VERSION"),
        program.len(),
        modified.0,
        modified.1
    ))
}
