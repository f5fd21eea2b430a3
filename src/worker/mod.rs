//! What runs inside a worker: it waits to be used, and says whether it could be.
mod health;
mod run;

pub use health::{Unfit, health};
pub use run::run;
