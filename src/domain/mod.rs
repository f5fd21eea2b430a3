//! The rules: commands in, events out, state followed. No I/O, no async, no clock.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod command;
pub mod database;
pub mod event;
pub mod ids;
pub mod import;
pub mod job;
pub mod load;
pub mod name;
pub mod plan;
pub mod printable;
mod rules;
pub mod schedule;
pub mod state;
pub mod token;
pub mod undo;
pub mod verb;
pub mod webhook;
