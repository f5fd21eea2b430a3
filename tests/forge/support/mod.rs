//! What every test shares.
pub(crate) mod children;
pub(crate) mod cli;
pub(crate) mod faulty_log;
#[path = "../../shared/gateway_process.rs"]
pub(crate) mod gateway_process;
pub(crate) mod history;
pub(crate) mod http;
#[path = "../../shared/log_copy.rs"]
pub(crate) mod log_copy;
pub(crate) mod postgres;
#[path = "../../shared/program_contract.rs"]
pub(crate) mod program_contract;
pub(crate) mod read_model;
#[path = "../../shared/runtime_contract.rs"]
pub(crate) mod runtime_contract;
pub(crate) mod sql;
pub(crate) mod sqlite;
pub(crate) mod stream_client;
pub(crate) mod test_forge;
pub(crate) mod unremovable;

use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::event::recorded::{CommitHeader, Idempotency, NewCommit};
use dbforge::domain::event::{DatabaseReady, DatabaseStopped, Event};
use dbforge::domain::ids::{Actor, CommitId, DatabaseId, RequestId};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// 2026-03-01T12:00:00Z, when most tests happen.
pub(crate) const NOON: i64 = 1_772_366_400_000;

/// Runs `check` with its snapshots kept in `snapshots/<folder>/` at the top of the repository.
pub(crate) fn with_snapshots_in(folder: &str, check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{ROOT}/snapshots/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(check);
}

/// A folder of its own for one test; removed when the test is done with it.
pub(crate) struct TempFolder(TempDir);

impl TempFolder {
    pub(crate) fn new() -> Self {
        Self::below(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// In memory where that is possible: for what is tried a thousand times, since a disk's syncs
    /// would take minutes.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() {
            Self::below(memory)
        } else {
            Self::new()
        }
    }

    fn below(folder: &Path) -> Self {
        Self(
            tempfile::Builder::new()
                .prefix("dbforge-")
                .tempdir_in(folder)
                .unwrap(),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Every file below a folder, by its path from there.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            let below = files_below(&path);
            files.extend(below.into_iter().map(|(it, bytes)| (name.join(it), bytes)));
        } else {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files
}

/// Writes files below a folder, which is made where it is missing.
pub(crate) fn write_files(files: &[(PathBuf, Vec<u8>)], folder: &Path) {
    for (path, bytes) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// The UUID whose last digits are `n`.
pub(crate) fn uuid(n: u64) -> Uuid {
    Uuid::from_u64_pair(0x7000, (1 << 63) | n)
}

/// The database whose id ends with `n`.
pub(crate) fn database(n: u64) -> DatabaseId {
    DatabaseId(uuid(n))
}

/// The header of the commit whose ids end with `n`, one second after that of `n - 1`.
pub(crate) fn header(n: u64) -> CommitHeader {
    CommitHeader {
        time: Timestamp::from_millis(NOON + 1000 * i64::try_from(n).unwrap()),
        clock: None,
        id: CommitId(uuid(n)),
        actor: Actor::named("root"),
        token: None,
        request: RequestId(uuid(n)),
        correlation: RequestId(uuid(n)),
        causation: None,
        idempotency: None,
    }
}

/// A commit of these events.
pub(crate) fn commit(n: u64, events: Vec<Event>) -> NewCommit {
    let header = header(n);
    NewCommit { header, events }
}

/// A commit that says that this database is ready.
pub(crate) fn ready(n: u64, of: u64) -> NewCommit {
    let database = database(of);
    commit(n, vec![DatabaseReady { database }.into()])
}

/// A commit of two events of two databases, with an idempotency key.
pub(crate) fn keyed(n: u64, key: &str) -> NewCommit {
    let mut commit = commit(
        n,
        vec![
            DatabaseReady {
                database: database(1),
            }
            .into(),
            DatabaseStopped {
                database: database(2),
            }
            .into(),
        ],
    );
    commit.header.idempotency = Some(Idempotency {
        key: key.to_owned(),
        fingerprint: "ab".repeat(32),
    });
    commit
}
