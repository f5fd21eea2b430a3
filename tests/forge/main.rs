//! What the forge can do, seen from outside.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows tests, and takes their helpers for the house's code"
)]
mod attacks;
mod cli;
mod databases;
mod documents;
mod engines;
mod event_log;
mod exports;
mod history;
mod http;
mod imports;
mod jobs;
mod loads;
mod migrations;
mod read_model;
mod reconciler;
mod recovery;
mod replay;
mod rows;
mod runtime;
mod schema;
mod sql;
mod support;
