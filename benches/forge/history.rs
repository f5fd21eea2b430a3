//! What a long history costs: starts, lists, memory.
use crate::commands::control;
use crate::gateway::{Gateway, passable_folder};
use crate::story::{BEGIN, Story};
use crate::table::{Table, percentiles};
use dbforge::clock::Stopwatch;
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::event::recorded::NewCommit;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use std::path::Path;
use std::time::Duration;

/// Commits that are appended with one sync while a history is made.
const GROUP: usize = 500;
/// How often each page is asked for.
const ASKED: usize = 50;

/// Starts on a history of about `events` events, in which databases were created and restarted.
pub(crate) fn starts(table: &mut Table, events: u64) {
    let folder = passable_folder();
    let data_dir = folder.path().join("db-data");
    let middle = fill(&data_dir, events);

    let watch = Stopwatch::start();
    let (log, _) = DiskEventLog::open(&data_dir.join(".forge"), Settings::default()).unwrap();
    let opened = watch.elapsed();
    let watch = Stopwatch::start();
    let state = dbforge::control::fold(&log).unwrap();
    let folded = watch.elapsed();
    let head = log.head().sequence;
    log.close();
    drop(log);
    table.row(
        format!("{head} events: open the log, then fold all of it"),
        format!("{} + {}", seconds(opened), seconds(folded)),
        format!("{} databases", state.databases().count()),
    );

    // The first start makes control.db, and at its end the checkpoint.
    let watch = Stopwatch::start();
    let gateway = Gateway::start(&data_dir);
    let first = watch.elapsed();
    let watch = Stopwatch::start();
    gateway.get_once_ready("/v1/events?limit=1&order=desc");
    let listed = watch.elapsed();
    gateway.stop();
    let watch = Stopwatch::start();
    let gateway = Gateway::start(&data_dir);
    let second = watch.elapsed();
    table.row(
        format!("{head} events: start until it serves, without and with a checkpoint"),
        format!("{}, {}", seconds(first), seconds(second)),
        format!(
            "the first list, which waits for control.db: {}",
            seconds(listed)
        ),
    );
    let half = head.0 / 2;
    for (what, page) in [
        ("events, the first page", "/v1/events?limit=50".to_owned()),
        (
            "events, a page in the middle",
            format!("/v1/events?limit=50&after={half}"),
        ),
        (
            "events, the last page",
            "/v1/events?limit=50&order=desc".to_owned(),
        ),
        (
            "jobs, the first page",
            "/v1/jobs?limit=50&order=asc".to_owned(),
        ),
        (
            "jobs, a page in the middle",
            format!("/v1/jobs?limit=50&order=asc&created_after={middle}"),
        ),
        (
            "jobs, the last page",
            "/v1/jobs?limit=50&order=desc".to_owned(),
        ),
        (
            "jobs of a kind and state, the last page",
            "/v1/jobs?limit=50&order=desc&kind=restart_worker&state=succeeded".to_owned(),
        ),
        (
            "jobs of a state that none is in",
            "/v1/jobs?limit=50&state=stuck".to_owned(),
        ),
    ] {
        let ask = |_| {
            let watch = Stopwatch::start();
            gateway.get(&page);
            watch.elapsed()
        };
        gateway.get(&page);
        let times: Vec<_> = (0..ASKED).map(ask).collect();
        table.row(
            format!("{head} events: {what}"),
            percentiles(&times),
            String::new(),
        );
    }
    let watch = Stopwatch::start();
    gateway.get(&format!("/v1/state?at={half}"));
    table.row(
        format!("{head} events: the state in the middle of them"),
        seconds(watch.elapsed()),
        "folded from the first event".to_owned(),
    );
    let size = |name: &str| size_of(&data_dir.join(".forge").join(name)) >> 20;
    table.row(
        format!("{head} events: memory of the gateway that has listed them"),
        format!("{} MiB", gateway.memory() >> 20),
        format!(
            "on disk: journal {} MiB, events.sled {} MiB, control.db {} MiB",
            size("journal"),
            size("events.sled"),
            size("control.db")
        ),
    );
}

/// Bytes of a file, or of all files in a folder.
fn size_of(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else {
        return path.metadata().map_or(0, |it| it.len());
    };
    entries.map(|it| size_of(&it.unwrap().path())).sum()
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Writes what a forge would have written that created a database for each hundred jobs and
/// restarted its worker again and again; tells the moment in the middle.
fn fill(data_dir: &Path, events: u64) -> Timestamp {
    std::fs::create_dir_all(data_dir).unwrap();
    let control = control(data_dir);
    control.stop();
    drop(control);
    let (log, _) = DiskEventLog::open(&data_dir.join(".forge"), Settings::default()).unwrap();
    let mut story = Story::new(100);
    while log.head().sequence.0 < events {
        let commits: Vec<NewCommit> = (0..GROUP).map(|_| story.next_commit()).collect();
        log.append(log.head().sequence, commits).unwrap();
    }
    log.close();
    // The reconciler would tell of each file that is missing.
    for database in story.state.databases() {
        let folder = data_dir.join("databases").join(database.id.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("main.db"), "not asked").unwrap();
    }
    Timestamp::from_millis(i64::midpoint(BEGIN, story.now().millis()))
}
