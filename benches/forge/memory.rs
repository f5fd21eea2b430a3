//! What a database and a finished job cost in memory.
use crate::story::Story;
use crate::table::Table;

/// By how much this process grows when it folds so many databases, and so many finished jobs.
pub(crate) fn of_the_state(table: &mut Table, databases: u32, jobs: u32) {
    let before = own();
    let mut story = Story::new(1);
    story.finish_jobs(databases);
    let kept = story.state.databases().count();
    let per_database = own().saturating_sub(before) / kept as u64;
    table.row(
        format!("memory of the folded state for each of {kept} databases"),
        format!("{per_database} bytes"),
        String::new(),
    );
    drop(story);

    let mut story = Story::new(u32::MAX);
    story.finish_jobs(1);
    let before = own();
    story.finish_jobs(jobs);
    let growth = own().saturating_sub(before);
    table.row(
        format!("memory of the folded state for {jobs} finished jobs"),
        format!("{} KiB", growth >> 10),
        format!("{} bytes each", growth / u64::from(jobs)),
    );
}

fn own() -> u64 {
    resident(std::process::id())
}

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
