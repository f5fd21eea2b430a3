//! The real Docker engine: needs one that answers, and the workers' image in it.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod engine;
mod forge;
mod support;
mod workers;
