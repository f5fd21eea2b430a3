//! What every request passes before its route: tracing, authentication, admission, compression.
mod access_log;
pub(crate) mod admission;
pub(crate) mod auth;
pub(crate) mod compression;
mod cors;
pub(crate) mod dispatch;
mod hosts;
mod refused_sign_ins;
mod trace;

pub(crate) use self::auth::SignInRefused;
pub(crate) use self::refused_sign_ins::RefusedSignIns;
