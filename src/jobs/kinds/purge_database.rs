//! Remove everything for good, from its place or from the trash.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[worker::REMOVE_WORKER, files::PURGE];
