//! What a gateway and a worker say to each other.
pub(super) mod frame;
pub(super) mod line;
pub(super) mod messages;
pub(super) mod values;

/// The version of what is said. Another one is refused: the worker of another version is replaced
/// by a restart, which a changed recipe brings about.
pub(super) const VERSION: u16 = 1;

/// Where the worker listens, in its database's folder.
pub const RUN_FOLDER: &str = "run";
/// The socket in that folder.
pub(super) const SOCKET: &str = "sql.sock";
