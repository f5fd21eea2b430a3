//! Bounds that a child sets for itself before it opens what others made.
use crate::runtime::child::ChildLimits;
use rustix::process::{
    Resource, Rlimit, Signal, set_dumpable_behavior, set_parent_process_death_signal,
    setpriority_process, setrlimit,
};
use std::fs;
use std::io;

/// How far others go first, when both want a processor.
const NICENESS: i32 = 10;
/// By how much it is killed before its gateway when the machine is out of memory.
const OOM_SCORE: &str = "500";

/// Sets the bounds, for good.
///
/// # Errors
/// When the system refuses one that must hold.
pub(super) fn fence(limits: &ChildLimits) -> io::Result<()> {
    // It ends with its gateway.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    for (resource, most) in [
        (Resource::As, limits.memory_bytes),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, limits.file_bytes),
        (Resource::Nofile, limits.open_files),
        (Resource::Core, 0),
    ] {
        let bound = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, bound)?;
    }
    // What others would like, and the system may refuse.
    let _ = setpriority_process(None, NICENESS);
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    Ok(())
}
