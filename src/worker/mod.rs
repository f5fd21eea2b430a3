//! What runs inside a worker: it waits to be used, or becomes its program. And what runs in a
//! one-shot child of the gateway.
mod exec;
mod fence;
mod operation;
mod perform;
mod run;
mod serve;

pub use exec::{ExecError, ExecOrder, ExecParent, exec};
pub use operation::Operation;
pub use perform::perform;
pub use run::run;
pub use serve::{ServeOrder, serve, supervise};
