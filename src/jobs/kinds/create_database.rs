//! Creates the folder, the file and the worker, then probes the database.
//!
//! The database serves SQL as soon as the file exists; the job ends when the worker is
//! healthy and a probe has read the file.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[
    files::RESERVE_FOLDER,
    files::CREATE_FILE,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
    files::PROBE,
];
