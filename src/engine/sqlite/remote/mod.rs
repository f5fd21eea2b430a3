//! SQLite in a worker: the gateway asks, the worker answers with the very executor that the gateway
//! uses for the databases which it answers itself.
//!
//! They speak through a Unix socket in the database's folder (`run/sql.sock`). `wire/` is what is
//! said: frames of bounded length, each with a number, so that many requests are under way on one
//! connection. `client/` is the gateway's side, `server/` the worker's. Answers are finished bytes in
//! the worker already and go through the gateway unchanged. Streams and transactions have a
//! connection each: the socket holds back a stream that is not read, and a transaction ends with its
//! connection.
mod client;
mod program;
mod server;
mod wire;

pub use client::{SqliteInWorker, ask_worker};
pub(super) use program::program;
pub use server::{ServeConfig, WorkerListener, serve};
pub use wire::RUN_FOLDER;
