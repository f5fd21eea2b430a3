//! Commands about the history: events, audit SQL and checkpoints, earlier states.
pub(crate) mod audit;
pub(crate) mod events;
pub(crate) mod past;
