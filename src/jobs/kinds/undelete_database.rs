//! Restores a database from the trash.
//!
//! It serves SQL as soon as its files are restored.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[
    files::RESTORE_FROM_TRASH,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
];
