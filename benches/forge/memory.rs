//! What a database and a finished job cost in memory.
use crate::process_memory::resident;
use crate::story::Story;
use crate::table::Table;

/// By how much this process grows when it folds so many databases, and so many finished jobs.
///
/// To be measured before anything else: memory that was let go of is taken again without growth.
pub(crate) struct OfTheState {
    databases: u64,
    jobs: u32,
    bytes_of_databases: u64,
    bytes_of_jobs: u64,
}

impl OfTheState {
    pub(crate) fn measure(databases: u32, jobs: u32) -> Self {
        let mut story = Story::new(u32::MAX);
        story.finish_jobs(1);
        let bytes_of_jobs = growth(|| story.finish_jobs(jobs));
        let mut story = Story::new(1);
        let bytes_of_databases = growth(|| story.finish_jobs(databases));
        Self {
            databases: story.state.databases().count() as u64,
            jobs,
            bytes_of_databases,
            bytes_of_jobs,
        }
    }

    pub(crate) fn tell(&self, table: &mut Table) {
        let (databases, jobs) = (self.databases, self.jobs);
        table.row(
            format!("memory of the folded state for each of {databases} databases"),
            format!("{} bytes", self.bytes_of_databases / databases),
            String::new(),
        );
        table.row(
            format!("memory of the folded state for {jobs} finished jobs"),
            format!("{} KiB", self.bytes_of_jobs >> 10),
            format!("{} bytes each", self.bytes_of_jobs / u64::from(jobs)),
        );
    }
}

fn growth(work: impl FnOnce()) -> u64 {
    let before = own();
    work();
    own().saturating_sub(before)
}

fn own() -> u64 {
    resident(std::process::id())
}
