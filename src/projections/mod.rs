//! Read models: the log, folded into answers.
//!
//! What decisions rest on is `domain::state::State`, in memory; what lists and searches is here.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod control_db;
