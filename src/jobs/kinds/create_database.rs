//! Folder, file, worker, first answer.
//!
//! From the moment the file is there the database answers SQL; the job ends when its worker is
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
