//! The processes that a gateway has started.
use super::gateway_process::GatewayProcess;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;

/// The children of a gateway that are alive.
pub(crate) fn children(gateway: &GatewayProcess) -> Vec<i32> {
    let id = gateway.process_id();
    let threads = fs::read_dir(format!("/proc/{id}/task"))
        .into_iter()
        .flatten();
    let children = threads.flatten().filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("children")).ok()?;
        Some(
            text.split_whitespace()
                .filter_map(|id| id.parse().ok())
                .collect::<Vec<i32>>(),
        )
    });
    children.flatten().filter(|id| is_alive(*id)).collect()
}

pub(crate) fn is_alive(id: i32) -> bool {
    let state = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    // The state stands behind the name; one that is dead waits to be buried.
    let state = state
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Kills them all; one that has just ended is fine.
pub(crate) fn kill_children(gateway: &GatewayProcess) {
    for child in children(gateway) {
        let _ = kill_process(Pid::from_raw(child).unwrap(), Signal::KILL);
    }
}
