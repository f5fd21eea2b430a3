//! An engine that is away, or comes back.
mod away;
mod restarted;
