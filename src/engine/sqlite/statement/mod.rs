//! Statements: their text, parameters and savepoints, how one runs, how its answer is written.
pub(crate) mod answer;
pub(crate) mod binding;
pub(crate) mod client_savepoints;
pub(crate) mod counters;
pub(crate) mod execution;
pub(crate) mod first_word;
pub(crate) mod hint;
pub(crate) mod pieces;
pub(crate) mod savepoint;
pub mod script;
pub(crate) mod values;
