//! Threads for long work, statements above all: whoever has short work goes first.
//!
//! Lower priority alone is not enough. A thread that wakes is often put where a long statement
//! runs, and waits there for the kernel's next tick: 4 ms measured, in one of a hundred durable
//! inserts beside a single client that sorts. A thread whose turns are longer than those of who
//! wakes may be interrupted at once (Linux 6.12 and later).
use std::io;

/// A tenth of the processor time that a serving thread gets, where both want all of it.
const NICENESS: i32 = 10;

/// The turn that is asked for, in nanoseconds; others have 1 to 3 ms, by the number of processors.
/// With 100 ms, the longest that there is, somebody waits for 80 ms now and then.
#[cfg(target_os = "linux")]
const TURN: u64 = 20_000_000;

/// Makes the calling thread one for long work. A thread cannot take this back.
pub(super) fn let_others_go_first() {
    if let Err(error) = try_it() {
        tracing::debug!(%error, "long work is as urgent as short work");
    }
}

#[cfg(target_os = "linux")]
#[expect(
    unsafe_code,
    reason = "no crate that is kept well has a safe call for turns of ordinary threads"
)]
fn try_it() -> io::Result<()> {
    let wanted = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: NICENESS,
        sched_priority: 0,
        sched_runtime: TURN,
        sched_deadline: 0,
        sched_period: 0,
    };
    let (this_thread, flags) = (0, 0);
    // SAFETY: the kernel reads `size` bytes of a struct that outlives the call, and keeps nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setattr,
            this_thread,
            &raw const wanted,
            flags,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(not(target_os = "linux"))]
fn try_it() -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, NICENESS)?)
}
