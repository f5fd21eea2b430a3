//! What can be told of a statement from its text.
mod known_functions;
mod nature;
mod savepoints;
mod split;
mod tokens;

pub(super) use nature::{Nature, Remains};
pub(super) use savepoints::SavepointStep;
pub(super) use split::statements;
