//! Removes the worker and moves the files to the trash.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[worker::REMOVE_WORKER, files::MOVE_TO_TRASH];
