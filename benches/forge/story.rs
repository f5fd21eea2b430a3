//! A history as the forge would have written it, made as fast as it can be decided.
use crate::commands::create;
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::command::{Command, DecisionContext};
use dbforge::domain::event::Event;
use dbforge::domain::event::recorded::{CommitHeader, NewCommit, RecordedEvent};
use dbforge::domain::ids::{Actor, CommitId, RequestId};
use dbforge::domain::job::{StepName, StepOutcome};
use dbforge::domain::state::State;
use dbforge::domain::verb::Verb;
use std::time::Duration;
use uuid::Uuid;

/// When the first command of a story was given.
pub(crate) const BEGIN: i64 = 1_772_366_400_000;

/// Decides as the forge does, without waiting for anything.
pub(crate) struct Story {
    pub(crate) state: State,
    ids: u128,
    jobs: u32,
    jobs_per_database: u32,
}

impl Story {
    /// One in which a database is created for each so many jobs; the others are restarts.
    pub(crate) fn new(jobs_per_database: u32) -> Self {
        Self {
            state: State::default(),
            ids: 0,
            jobs: 0,
            jobs_per_database,
        }
    }

    /// The moment of the latest command.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + i64::try_from(self.ids).unwrap())
    }

    /// Goes on until so many jobs have ended.
    pub(crate) fn finish_jobs(&mut self, count: u32) {
        let goal = self.jobs + count;
        while self.jobs < goal || self.state.jobs().next().is_some() {
            self.next_commit();
        }
    }

    pub(crate) fn next_commit(&mut self) -> NewCommit {
        let command = self.next_command();
        self.ids += 4;
        let id = |n: u128| Uuid::from_u128((0x0190_0000_0000_7000 << 64) + self.ids + n);
        let context = DecisionContext {
            now: self.now(),
            fresh: [id(0), id(1)],
            jitter_permille: 500,
            trash_retention: Duration::from_secs(86_400),
            queue_bound: usize::MAX,
        };
        let events = self.state.decide(&command, &context).unwrap();
        let header = CommitHeader {
            time: context.now,
            clock: None,
            id: CommitId(id(2)),
            actor: Actor::named("root"),
            token: None,
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
            self.jobs += 1;
            let latest = self.state.databases().last().map(|it| it.id);
            return match latest {
                Some(database) if !self.jobs.is_multiple_of(self.jobs_per_database) => {
                    Verb::Restart.on(database)
                }
                _ => create(&format!("d{}", self.jobs)),
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
