//! What proves and searches the history: checkpoints, audit SQL.

pub(crate) mod checkpoints;
pub(crate) mod sql;
