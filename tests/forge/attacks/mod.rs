//! Attacks on one running gateway: HTTP, tokens, SQL, floods, hostile text.
mod callers;
mod client;
pub(crate) mod corpus;
mod fuzz;
mod http;
mod ours;
mod probe;
pub(crate) mod scene;
mod shares;
mod sql;
