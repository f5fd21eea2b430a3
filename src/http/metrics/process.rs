//! The process, by the names that Prometheus' own clients use. What the kernel does not tell is
//! left out.
use super::exposition::Exposition;
use rustix::process::{Resource, getrlimit};
use std::fs;

/// Ticks a second in which `/proc` counts processor time: a constant of the kernel's interface on
/// every machine that Linux runs on today.
const TICKS_PER_SECOND: f64 = 100.0;

pub(super) fn show(shown: &mut Exposition) {
    if let Some(stat) = fs::read_to_string("/proc/self/stat")
        .ok()
        .as_deref()
        .and_then(Stat::read)
    {
        let help = "Processor time of this process.";
        shown.counter("process_cpu_seconds", help, stat.processor_seconds);
        shown.gauge("process_threads", "Threads.", stat.threads);
        let help = "Virtual memory.";
        shown.gauge("process_virtual_memory_bytes", help, stat.virtual_bytes);
        let resident = stat
            .resident_pages
            .saturating_mul(rustix::param::page_size() as u64);
        shown.gauge(
            "process_resident_memory_bytes",
            "Resident memory.",
            resident,
        );
        if let Some(boot) = boot_time() {
            let help = "When the process started, in seconds since 1970.";
            shown.gauge(
                "process_start_time_seconds",
                help,
                boot + stat.started_after_boot,
            );
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        shown.gauge("process_open_fds", "Open file descriptors.", open.count());
    }
    let most = getrlimit(Resource::Nofile).current;
    let most = most.map_or(f64::INFINITY, |it| it as f64);
    shown.gauge("process_max_fds", "Most open file descriptors.", most);
}

struct Stat {
    processor_seconds: f64,
    threads: u64,
    started_after_boot: f64,
    virtual_bytes: u64,
    resident_pages: u64,
}

impl Stat {
    /// Fields are counted from the end of the second one, which may hold spaces and parentheses.
    fn read(text: &str) -> Option<Self> {
        let (_, behind_name) = text.rsplit_once(')')?;
        let fields: Vec<&str> = behind_name.split_ascii_whitespace().collect();
        // The third field of proc(5) is the first one here.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND;
        Some(Self {
            processor_seconds: seconds(field(14)? + field(15)?),
            threads: field(20)?,
            started_after_boot: seconds(field(22)?),
            virtual_bytes: field(23)?,
            resident_pages: field(24)?,
        })
    }
}

/// Seconds since 1970.
fn boot_time() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_name_with_a_parenthesis() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 3 0 500 6000 70 8";
        let stat = Stat::read(stat).unwrap();
        assert_eq!((stat.processor_seconds, stat.threads), (4.0, 3));
        assert_eq!((stat.started_after_boot, stat.virtual_bytes), (5.0, 6000));
        assert_eq!(stat.resident_pages, 70);
        assert!(Stat::read("7 (a) S 1").is_none());
    }
}
