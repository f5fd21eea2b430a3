//! Praetorian DB-Forge: databases on call, on your own machine.
//!
//! The rooms and their floors are drawn in `docs/ARCHITECTURE.md`; `tests/architecture.rs` keeps
//! them apart.
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod data;
pub mod domain;
pub mod engine;
pub mod event_log;
pub mod http;
pub mod jobs;
pub mod projections;
pub mod runtime;
pub mod telemetry;
pub mod worker;
