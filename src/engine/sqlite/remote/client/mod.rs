//! The gateway's side: asks the workers of databases that have one of their own.
mod executor;
mod link;
mod remote;
mod snapshot;
mod stream;
mod transaction;

pub use executor::SqliteInWorker;
pub use remote::ask_worker;
