//! Rooms that are bounded, and the share of them that each caller has.
//!
//! One caller alone may take most of a room, and the next one always finds some of it. The rule
//! needs no list of who is there: a caller may have [`ALONE`] times as much as is free. So one alone
//! has three quarters; two have three sevenths each, and a seventh is left.
//!
//! A request's [`Pass`] goes with its work, as its trace does: through its route, and onto the
//! threads that run its statements.
mod account;
mod line;
mod memory;
mod pass;
mod room;

pub use account::{Account, Accounts, Holder, Kind};
pub use line::{Line, LineIsFull, Turn};
pub use memory::{Held, LOOK};
pub use pass::{
    Cut, Pass, Place, has_ended, holder, on_thread, running, scoped, waiting, with_pass_of_here,
};
pub use room::{ALONE, Refused, RoomSizes, Rooms};
