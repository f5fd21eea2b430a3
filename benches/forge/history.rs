//! What a long history costs: starts, lists, memory.
use crate::commands::{Gateway, control, create};
use crate::table::Table;
use dbforge::clock::Stopwatch;
use dbforge::domain::command::Command;
use dbforge::domain::event::Event;
use dbforge::domain::ids::{Actor, CommitId, RequestId};
use dbforge::domain::job::{StepName, StepOutcome};
use dbforge::domain::recorded::{CommitHeader, NewCommit, RecordedEvent};
use dbforge::domain::state::State;
use dbforge::event_log::EventLog;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// Commits that are appended with one sync while a history is made.
const GROUP: usize = 500;

/// Starts on a history of about `events` events, in which databases were created and restarted.
pub(crate) fn starts(table: &mut Table, events: u64) {
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("db-data");
    fill(&data_dir, events);

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
    gateway.get("/v1/events?limit=1&order=desc&min_sequence=1");
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
    let pages = [
        "/v1/events?limit=50".to_owned(),
        format!("/v1/events?limit=50&after={}", head.0 / 2),
        "/v1/events?limit=50&order=desc".to_owned(),
        "/v1/jobs?limit=50&order=desc&kind=restart_worker".to_owned(),
    ];
    let times: Vec<String> = pages
        .iter()
        .map(|page| {
            gateway.get(page);
            let watch = Stopwatch::start();
            gateway.get(page);
            format!("{:.1}", watch.elapsed().as_secs_f64() * 1000.0)
        })
        .collect();
    table.row(
        format!("{head} events: a page of 50 events at the start, the middle, the end; of jobs"),
        format!("{} ms", times.join(", ")),
        format!("memory {} MiB", gateway.memory() >> 20),
    );
}

fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}

/// Writes what a forge would have written that created a database for each thousand events and
/// restarted its worker again and again.
fn fill(data_dir: &Path, events: u64) {
    std::fs::create_dir_all(data_dir).unwrap();
    let control = control(data_dir);
    control.stop();
    drop(control);
    let (log, _) = DiskEventLog::open(&data_dir.join(".forge"), Settings::default()).unwrap();
    let mut story = Story::default();
    while log.head().sequence.0 < events {
        let commits: Vec<NewCommit> = (0..GROUP).map(|_| story.next_commit()).collect();
        log.append(log.head().sequence, commits).unwrap();
    }
    log.close();
}

/// Decides as the forge does, without waiting for anything.
#[derive(Default)]
struct Story {
    state: State,
    ids: u128,
    restarts: u32,
}

impl Story {
    fn next_commit(&mut self) -> NewCommit {
        let command = self.next_command();
        self.ids += 4;
        let id = |n: u128| Uuid::from_u128((0x0190_0000_0000_7000 << 64) + self.ids + n);
        let facts = dbforge::domain::command::Facts {
            now: dbforge::clock::timestamp::Timestamp::from_millis(
                1_772_366_400_000 + i64::try_from(self.ids).unwrap(),
            ),
            fresh: [id(0), id(1)],
            jitter_permille: 500,
            trash_retention: Duration::from_secs(86_400),
            queue_bound: usize::MAX,
        };
        let events = self.state.decide(&command, &facts).unwrap();
        let header = CommitHeader {
            time: facts.now,
            id: CommitId(id(2)),
            actor: Actor::named("root"),
            request: RequestId(id(3)),
            correlation: RequestId(id(3)),
            causation: None,
            idempotency: None,
        };
        self.follow(&header, &events);
        NewCommit { header, events }
    }

    fn follow(&mut self, header: &CommitHeader, events: &[Event]) {
        let commit = std::sync::Arc::new(header.clone());
        for event in events {
            self.state.evolve(&RecordedEvent {
                sequence: self.state.sequence.next(),
                commit: commit.clone(),
                event: event.clone(),
                schema_version: 0,
                data_before_upcast: None,
                previous_hash: [0; 32],
                hash: [0; 32],
            });
        }
    }

    /// The unfinished job's next step, or another job.
    fn next_command(&mut self) -> Command {
        let Some(job) = self.state.jobs().next() else {
            self.restarts += 1;
            let latest = self.state.databases().last().map(|it| it.id);
            return match latest {
                Some(database) if !self.restarts.is_multiple_of(100) => {
                    Command::RestartWorker { database }
                }
                _ => create(&format!("d{}", self.restarts)),
            };
        };
        let kind = dbforge::jobs::kinds::steps(&job.kind);
        let step = |at: usize| kind.get(at).map(|it| StepName(it.name.to_owned()));
        if job.started_at.is_none() {
            return Command::StartJob {
                job: job.id,
                step: step(0),
                time_limit: Duration::from_secs(600),
            };
        }
        let done = job.finished_steps.len();
        let outcome = match kind[done].name {
            "create_file" => StepOutcome::FilesCreated,
            "ensure_worker" => StepOutcome::WorkerStarted {
                worker: "process-000000000000".to_owned(),
            },
            "remove_worker" => StepOutcome::WorkerRemoved,
            _ => StepOutcome::Nothing,
        };
        Command::FinishStep {
            job: job.id,
            step: step(done).unwrap(),
            outcome,
            next: step(done + 1),
        }
    }
}
