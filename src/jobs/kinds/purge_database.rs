//! Remove everything for good, from its place or from the trash.
//!
//! Until the files are set aside everything can go back; from then on the job only goes forward.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[worker::REMOVE_WORKER, files::SET_ASIDE, files::PURGE];
