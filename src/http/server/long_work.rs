//! Low priority for threads that run long statements, so that short work is not delayed.
//!
//! A lower nice value alone is not enough: a thread that wakes up is often placed on the CPU of a
//! long statement and waits for the next scheduler tick (4 ms). A thread with a longer time slice
//! can be preempted at once by one with a shorter slice (Linux 6.12 and later).
use std::io;

/// A tenth of the CPU time of a serving thread, when both compete for a CPU.
const NICENESS: i32 = 10;

/// The requested time slice, in nanoseconds; the default is 1 to 3 ms, depending on the number of
/// CPUs. With 100 ms, the maximum, other threads occasionally wait for 80 ms.
#[cfg(target_os = "linux")]
const TURN: u64 = 20_000_000;

/// Lowers the priority of the calling thread, for good.
pub(super) fn let_others_go_first() {
    if let Err(error) = try_it() {
        tracing::debug!(%error, "could not lower the priority of a worker thread");
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
