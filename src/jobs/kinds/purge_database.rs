//! Deletes a database permanently, whether it is active or in the trash.
//!
//! It can be rolled back until the files are renamed; after that it cannot.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[worker::REMOVE_WORKER, files::SET_ASIDE, files::PURGE];
