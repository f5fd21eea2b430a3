//! What runs inside a worker: it waits to be used. And what runs in a one-shot child of the
//! gateway.
mod fence;
mod operation;
mod perform;
mod run;

pub use operation::Operation;
pub use perform::perform;
pub use run::run;
