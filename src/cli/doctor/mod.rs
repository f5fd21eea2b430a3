//! Checks a data folder and this machine for problems, and says what to do.
//!
//! Read-only, takes no lock, and works beside a running gateway.
mod checks;
mod finding;
mod folder;
mod history;
pub(super) mod lock;
mod machine;

pub(super) use self::checks::{DoctorArgs, doctor};
