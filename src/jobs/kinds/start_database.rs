//! Starts a stopped database.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[
    files::PROBE,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
    files::OPEN,
];
