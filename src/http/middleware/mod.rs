//! What every request passes before its route: tracing, authentication, admission, compression.
pub(crate) mod admission;
pub(crate) mod auth;
pub(crate) mod compression;
pub(crate) mod dispatch;
mod trace;
