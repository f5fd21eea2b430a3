//! Bring a database back from the trash.
//!
//! From the moment its files are back it answers SQL.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[
    files::RESTORE_FROM_TRASH,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
];
