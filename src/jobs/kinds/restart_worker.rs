//! Replaces the worker; SQL keeps working.
use crate::jobs::Step;
use crate::jobs::steps::worker;

pub(super) const STEPS: &[Step] = &[
    worker::REMOVE_WORKER,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
];
