//! Given events, when a command, then events or a refusal: what tests of rules are written in.
use crate::clock::timestamp::Timestamp;
use crate::domain::command::refusal::Refusal;
use crate::domain::command::{Command, CreateDatabase, DecisionContext};
use crate::domain::database::{Database, Limits};
use crate::domain::event::recorded::{CommitHeader, NO_HASH, RecordedEvent};
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::{Actor, CommitId, DatabaseId, JobId, RequestId};
use crate::domain::job::{JobError, JobErrorCode, StepName, StepOutcome};
use crate::domain::name::DatabaseName;
use crate::domain::state::State;
use crate::domain::verb::Verb;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A state, a clock that moves when told, and ids that count.
pub(super) struct Scenario {
    pub(super) state: State,
    pub(super) now: Timestamp,
    /// The last event's time: it never goes back, though the clock may.
    log_time: Timestamp,
    ids: u128,
    pub(super) queue_bound: usize,
}

impl Scenario {
    pub(super) fn new() -> Self {
        Self {
            state: State::default(),
            now: Timestamp::from_millis(0),
            log_time: Timestamp::from_millis(0),
            ids: 0,
            queue_bound: 100,
        }
    }

    /// Carries a command out and names what happened.
    pub(super) fn when(&mut self, command: Command) -> Result<Vec<EventKind>, Refusal> {
        let fresh = [Uuid::from_u128(self.ids + 1), Uuid::from_u128(self.ids + 2)];
        self.ids += 2;
        let context = DecisionContext {
            now: self.now,
            fresh,
            jitter_permille: 500,
            trash_retention: Duration::from_secs(7 * 86_400),
            queue_bound: self.queue_bound,
        };
        let events = self.state.decide(&command, &context)?;
        let kinds = events.iter().map(Event::kind).collect();
        self.follow(events);
        Ok(kinds)
    }

    fn follow(&mut self, events: Vec<Event>) {
        let header = Arc::new(CommitHeader {
            time: self.now.max(self.log_time),
            clock: Some(self.now).filter(|it| *it < self.log_time),
            id: CommitId(Uuid::nil()),
            actor: Actor::named("root"),
            token: None,
            request: RequestId(Uuid::nil()),
            correlation: RequestId(Uuid::nil()),
            causation: None,
            idempotency: None,
        });
        self.log_time = self.log_time.max(self.now);
        for event in events {
            self.state.evolve(&RecordedEvent {
                sequence: self.state.sequence.next(),
                commit: header.clone(),
                event,
                schema_version: 1,
                data_before_upcast: None,
                previous_hash: NO_HASH,
                hash: NO_HASH,
            });
        }
    }

    /// A database that a create asked for; its job waits.
    pub(super) fn requested(&mut self, name: &str) -> DatabaseId {
        self.when(create(name)).unwrap();
        self.find(name).id
    }

    /// A database that answers SQL and has nothing left to do.
    pub(super) fn ready(&mut self, name: &str) -> DatabaseId {
        let id = self.requested(name);
        self.run(id, &[("create_file", StepOutcome::FilesCreated)]);
        id
    }

    /// A database in the trash.
    pub(super) fn trashed(&mut self, name: &str) -> DatabaseId {
        let database = self.ready(name);
        self.when(Verb::Delete.on(database)).unwrap();
        self.run(database, &[("move_to_trash", StepOutcome::Trashed)]);
        database
    }

    /// Runs the first job of a database through these steps to its end.
    pub(super) fn run(&mut self, id: DatabaseId, steps: &[(&str, StepOutcome)]) {
        let job = self.begin(id, steps[0].0);
        for (place, (name, outcome)) in steps.iter().enumerate() {
            let next = steps.get(place + 1).map(|(next, _)| step(next));
            self.when(Command::FinishStep {
                job,
                step: step(name),
                outcome: outcome.clone(),
                next,
            })
            .unwrap();
        }
    }

    /// Takes up the first job of a database.
    pub(super) fn begin(&mut self, id: DatabaseId, first_step: &str) -> JobId {
        let job = self.first_job(id);
        self.when(Command::StartJob {
            job,
            step: Some(step(first_step)),
            time_limit: Duration::from_secs(600),
        })
        .unwrap();
        job
    }

    pub(super) fn first_job(&self, id: DatabaseId) -> JobId {
        self.state.database(id).unwrap().queue[0].id
    }

    pub(super) fn find(&self, reference: &str) -> &Database {
        self.state.find_database(reference).unwrap()
    }
}

pub(super) fn create(name: &str) -> Command {
    Command::CreateDatabase(CreateDatabase {
        name: Some(DatabaseName::parse(name).unwrap()),
        labels: std::collections::BTreeMap::new(),
        ..CreateDatabase::of_engine("sqlite", Limits::default())
    })
}

pub(super) fn step(name: &str) -> StepName {
    StepName(name.to_owned())
}

pub(super) fn trouble(code: JobErrorCode) -> JobError {
    JobError {
        code,
        detail: "something went wrong".into(),
    }
}
