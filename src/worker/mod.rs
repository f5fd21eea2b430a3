//! What runs inside a worker: it waits to be used.
mod run;

pub use run::run;
