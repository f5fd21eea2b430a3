//! What every request passes before its route: tracing, authentication, admission, compression.
pub(crate) mod admission;
pub(crate) mod auth;
pub(crate) mod compression;
mod cors;
pub(crate) mod dispatch;
pub(crate) mod refused_sign_ins;
mod trace;
