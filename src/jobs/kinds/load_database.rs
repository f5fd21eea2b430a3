//! Loads a file into a database, makes a database of one, or takes a load back.
use crate::jobs::Step;
use crate::jobs::steps::{files, loads, worker};

pub(super) const STEPS: &[Step] = &[loads::LOAD];

/// Of a new database: it answers SQL as soon as it is loaded.
pub(super) const CREATE_STEPS: &[Step] = &[
    files::RESERVE_FOLDER,
    loads::LOAD_NEW,
    worker::ENSURE_WORKER,
    worker::AWAIT_HEALTHY,
    files::PROBE,
];

pub(super) const EXCHANGE_STEPS: &[Step] = &[loads::EXCHANGE];
