//! What the kernel tells of this process and its machine; nothing where it does not tell.
use serde::Serialize;
use std::fs;
use std::path::Path;
use utoipa::ToSchema;

/// Ticks a second in which `/proc` counts processor time: a constant of the kernel's interface on
/// every machine that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

/// A part that is used, and the part that is free.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(super) struct Usage {
    used_bytes: u64,
    available_bytes: u64,
    /// What is used, of both together.
    usage_percent: f64,
}

impl Usage {
    fn new(used_bytes: u64, available_bytes: u64) -> Self {
        let all = used_bytes.saturating_add(available_bytes);
        Self {
            used_bytes,
            available_bytes,
            usage_percent: percent(used_bytes, all),
        }
    }

    /// Whether anything is free.
    pub(crate) fn has_room(&self) -> bool {
        self.available_bytes > 0
    }
}

/// A part of a whole in per cent, with one decimal; nothing of nothing is 0.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 1_000.0).round() / 10.0
}

/// Memory that this process holds, and memory that the machine could still give.
pub(super) fn memory() -> Option<Usage> {
    let own = fs::read_to_string("/proc/self/status").ok()?;
    let machine = fs::read_to_string("/proc/meminfo").ok()?;
    Some(Usage::new(
        kibibytes(&own, "VmRSS:")? * 1024,
        kibibytes(&machine, "MemAvailable:")? * 1024,
    ))
}

/// The disk that `folder` is on.
pub(super) fn disk(folder: &Path) -> Option<Usage> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
    Some(Usage::new(
        bytes(disk.f_blocks.saturating_sub(disk.f_bfree)),
        bytes(disk.f_bavail),
    ))
}

/// Seconds of processor time that this process has used.
pub(super) fn processor_seconds() -> Option<f64> {
    processor_seconds_in(&fs::read_to_string("/proc/self/stat").ok()?)
}

/// User and system time are the 14th and 15th field; the second one may hold spaces and
/// parentheses, so fields are counted from its end.
fn processor_seconds_in(stat: &str) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let used = ticks()? + ticks()?;
    Some(used as f64 / TICKS_PER_SECOND)
}

/// The number behind `key` in text such as `VmRSS:   1234 kB`.
fn kibibytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|it| it.strip_prefix(key))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use crate::http::legacy::machine::*;

    #[test]
    fn processor_time_is_found_behind_a_name_with_a_parenthesis() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 1 0 5 6 7";
        assert_eq!(processor_seconds_in(stat), Some(4.0));
        assert_eq!(processor_seconds_in("7 (a) S 1"), None);
    }

    #[test]
    fn what_is_measured_here_is_more_than_nothing() {
        let memory = memory().unwrap();
        assert!(
            memory.used_bytes > 0 && memory.available_bytes > 0,
            "{memory:?}"
        );
        assert!(disk(Path::new("/")).unwrap().used_bytes > 0);
        assert!(disk(Path::new("/no such folder")).is_none());
        assert!(processor_seconds().is_some());
    }

    #[test]
    fn a_part_of_nothing_is_no_per_cent() {
        assert_eq!(percent(0, 0), 0.0);
        assert_eq!(percent(1, 3), 33.3);
    }
}
