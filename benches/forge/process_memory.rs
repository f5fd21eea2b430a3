//! How much memory a process holds, as the kernel tells.

/// Bytes of memory that a process holds.
pub(crate) fn resident(process: u32) -> u64 {
    bytes_in_status(process, "VmRSS:")
}

/// The most bytes of memory that a process has held since this was last forgotten.
pub(crate) fn peak(process: u32) -> u64 {
    bytes_in_status(process, "VmHWM:")
}

pub(crate) fn forget_peak(process: u32) {
    // 5: see proc(5), clear_refs.
    std::fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

fn bytes_in_status(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|it| it.strip_prefix(field));
    let kilobytes = line.and_then(|it| it.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.expect("a process has memory") * 1024
}
