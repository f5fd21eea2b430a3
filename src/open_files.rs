//! Room for open files: each connection of a client is one, each connection to a database three.
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Raises the soft limit on open files to the hard one. Returns how many may be open now; `None`
/// for no limit.
pub fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "failed to raise the limit on open files");
            current
        }
    }
}

/// Whether a call failed because the process, or the machine, has no file descriptor left. That
/// says nothing about the file, and passes.
#[must_use]
pub fn are_used_up(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(is_used_up)
}

/// The same of the system's error number.
#[must_use]
pub fn is_used_up(errno: i32) -> bool {
    use rustix::io::Errno;
    [Errno::MFILE, Errno::NFILE].contains(&Errno::from_raw_os_error(errno))
}
