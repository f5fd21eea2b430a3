//! Bounded resources, and each caller's fair share of them.
//!
//! One caller alone may use most of a resource, and there is always some left for the next. The
//! rule needs no list of callers: each may use [`ALONE`] times as much as is free. So one alone
//! gets three quarters; two get three sevenths each, and a seventh stays free.
//!
//! A request's [`Pass`] follows its work, as its trace does: through its route, and onto the
//! threads that run its statements.
mod account;
mod fair_limiter;
mod memory;
mod pass;
mod room;

pub use account::{Account, Accounts, Holder, Kind};
pub use fair_limiter::{FairLimiter, Permit, QueueFull};
pub use memory::{Held, LOOK};
pub use pass::{
    Cut, Pass, Place, at_once, has_ended, holder, on_thread, running, scoped, unless, waiting,
    with_pass_of_here,
};
pub use room::{ALONE, Refused, RoomSizes, Rooms};
