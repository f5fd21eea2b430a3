//! Slow work, one step at a time; and what watches over what should run.

#![warn(clippy::wildcard_enum_match_arm)]
pub mod observed;
