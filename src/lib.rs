//! Praetorian DB-Forge: databases on demand, on your own machine.
//!
//! The rooms and their floors are drawn in `docs/ARCHITECTURE.md`; `tests/architecture.rs` keeps
//! them apart.
//!
//! The rules are pure: a state decides what a command makes happen. Here an empty forge is asked
//! for a database, without a clock, a disk or a container:
//!
//! ```
//! use dbforge::clock::timestamp::Timestamp;
//! use dbforge::domain::command::{Command, CreateDatabase, DecisionContext, IfExists};
//! use dbforge::domain::database::{Durability, EngineName, Limits};
//! use dbforge::domain::event::EventKind;
//! use dbforge::domain::name::DatabaseName;
//! use dbforge::domain::state::State;
//! use std::time::Duration;
//! use uuid::Uuid;
//!
//! let command = Command::CreateDatabase(CreateDatabase {
//!     name: Some(DatabaseName::parse("shop")?),
//!     ..CreateDatabase::of_engine("sqlite", Limits::default())
//! });
//! let context = DecisionContext {
//!     now: Timestamp::from_millis(1_772_366_400_000),
//!     fresh: [Uuid::from_u128(1), Uuid::from_u128(2)],
//!     jitter_permille: 0,
//!     trash_retention: Duration::from_secs(7 * 24 * 60 * 60),
//!     queue_bound: 100,
//! };
//! let events = State::default().decide(&command, &context)?;
//! let kinds: Vec<EventKind> = events.iter().map(|event| event.kind()).collect();
//! assert_eq!(kinds, [EventKind::DatabaseRequested, EventKind::JobEnqueued]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
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
pub mod locks;
pub mod open_files;
pub mod packed_file;
pub mod projections;
pub mod runtime;
pub mod service;
pub mod shares;
pub mod telemetry;
pub mod unpacked_file;
pub mod whole_file;
pub mod worker;
