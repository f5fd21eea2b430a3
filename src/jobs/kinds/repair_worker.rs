//! Bring back a worker that the reconciler found missing, exited or unhealthy.
//!
//! Always a fresh one: what ended once has a reason to end again.
use crate::jobs::Step;
use crate::jobs::steps::worker;

pub(super) const STEPS: &[Step] = &[
    worker::REMOVE_WORKER,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
];
