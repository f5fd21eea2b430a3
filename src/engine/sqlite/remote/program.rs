//! What the worker of a database runs that it answers itself.
use super::wire::{RUN_FOLDER, SOCKET};
use crate::config::FenceMode;
use crate::domain::database::Database;
use crate::runtime::{Program, StopSignal, WorkerPlace};
use std::path::PathBuf;
use std::time::Duration;

/// How long it may take to bring everything into the main file.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// The first process, the one that serves with its threads, and a check.
const MOST_THREADS: u32 = 96;
/// What stacks take of a process's data: they are bounds, and mostly not touched.
const STACKS_BYTES: u64 = 512 << 20;
/// Bytes of temporary files, beside the size that the database may have.
const LEAST_TEMP_BYTES: u64 = 256 << 20;

/// The program.
pub(in crate::engine::sqlite) fn program(
    database: &Database,
    place: &WorkerPlace,
    fence: FenceMode,
) -> Program {
    let folder = place.folder().display().to_string();
    // A container is a fence of its own, whose kernel may refuse to set another within.
    let fence = match place {
        WorkerPlace::Container => FenceMode::BestEffort,
        WorkerPlace::Child { .. } => fence,
    };
    let own = |words: &[&str]| -> Vec<String> {
        let words = [place.dbforge(), "worker"]
            .into_iter()
            .chain(words.iter().copied());
        words.map(str::to_owned).collect()
    };
    let memory = database.limits.memory_bytes;
    let temp = database.limits.size_bytes.max(LEAST_TEMP_BYTES);
    let mut command = own(&["serve", "--folder", &folder]);
    for (option, value) in [
        ("--database", database.id.to_string()),
        ("--memory-bytes", memory.to_string()),
        ("--temp-bytes", temp.to_string()),
        ("--fence", fence.as_str().to_owned()),
    ] {
        command.extend([option.to_owned(), value]);
    }
    Program {
        image: None,
        command,
        environment: vec![("TZ".to_owned(), "UTC".to_owned())],
        health: own(&["ask", "--folder", &folder]),
        stop_signal: StopSignal::Terminate,
        stop_grace: STOP_GRACE,
        processes: MOST_THREADS,
        data_bytes: Some(memory.saturating_add(STACKS_BYTES)),
        leftovers: vec![PathBuf::from(RUN_FOLDER).join(SOCKET)],
    }
}
