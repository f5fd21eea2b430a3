//! Replaces a worker that the reconciler found missing, exited or unhealthy.
//!
//! The worker is always created again, because one that failed is likely to fail again.
use crate::jobs::Step;
use crate::jobs::steps::worker;

pub(super) const STEPS: &[Step] = &[
    worker::REMOVE_WORKER,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
];
