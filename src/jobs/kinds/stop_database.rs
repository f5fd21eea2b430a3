//! Stops SQL and removes the worker; keeps the data.
use crate::jobs::Step;
use crate::jobs::steps::{files, worker};

pub(super) const STEPS: &[Step] = &[files::CLOSE, worker::REMOVE_WORKER];
