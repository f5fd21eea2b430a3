//! A forge's history, made by the real rules.
use super::read_model::VecLog;
use dbforge::clock::timestamp::Timestamp;
use dbforge::clock::{CountingIds, IdSource};
use dbforge::domain::command::{Command, CreateDatabase, DecisionContext};
use dbforge::domain::database::Limits;
use dbforge::domain::event::recorded::{CommitHeader, NewCommit, RecordedEvent};
use dbforge::domain::ids::{Actor, CommitId, DatabaseId, JobId, RequestId};
use dbforge::domain::import::ImportSummary;
use dbforge::domain::job::{JobError, JobErrorCode, JobKind, StepName, StepOutcome};
use dbforge::domain::load::{LoadForm, LoadSummary};
use dbforge::domain::name::DatabaseName;
use dbforge::domain::state::State;
use dbforge::domain::token::Scope;
use dbforge::domain::verb::Verb;
use dbforge::event_log::EventLog;
use std::sync::Arc;
use std::time::Duration;

/// Commands, decided by the rules and kept in a log.
pub(crate) struct History {
    pub(crate) log: Arc<VecLog>,
    pub(crate) state: State,
    now: Timestamp,
    ids: CountingIds,
}

impl History {
    /// A forge without databases.
    pub(crate) fn begin() -> Self {
        let mut history = Self {
            log: Arc::default(),
            state: State::default(),
            now: Timestamp::from_millis(1_772_366_400_000),
            ids: CountingIds::default(),
        };
        history.submit("forge", Command::InitializeForge { instance: None });
        history
    }

    /// A forge in which most of what can happen has happened.
    pub(crate) fn eventful() -> Self {
        let mut history = Self::begin();
        history.issue_and_revoke_tokens();
        let shop = history.create("shop", &[("team", "blue"), ("stage", "test")]);
        history.finish_job(shop);
        let ledger = history.create("Ledger", &[("team", "blue")]);
        history.finish_job(ledger);
        history.submit("token/ci", Verb::Stop.on(ledger));
        history.finish_job(ledger);
        history.fail_for_good("doomed");
        history.get_stuck("jammed");
        let scratch = history.create("scratch", &[("team", "red")]);
        history.finish_job(scratch);
        for command in [
            Verb::Delete.on(scratch),
            Verb::Undelete.on(scratch),
            Verb::Purge.on(scratch),
        ] {
            history.submit("root", command);
            history.finish_job(scratch);
        }
        let shopping = history.create("shopping-2", &[]);
        history.finish_job(shopping);
        history.submit("root", Verb::Delete.on(shopping));
        history.finish_job(shopping);
        history.cancel_a_queued_job(shop);
        history.create("waiting", &[("team", "red")]);
        history
    }

    /// Decides a command, keeps its events and moves the clock; returns the events.
    pub(crate) fn submit(&mut self, actor: &str, command: Command) -> Vec<RecordedEvent> {
        let context = DecisionContext {
            now: self.now,
            fresh: [self.ids.fresh(), self.ids.fresh()],
            jitter_permille: 0,
            trash_retention: Duration::from_secs(3600),
            queue_bound: 1_000_000,
        };
        let events = self.state.decide(&command, &context).unwrap();
        let request = RequestId(self.ids.fresh());
        let header = CommitHeader {
            time: self.now,
            clock: None,
            id: CommitId(self.ids.fresh()),
            actor: Actor::named(actor),
            token: None,
            request,
            correlation: request,
            causation: None,
            idempotency: None,
        };
        let commit = NewCommit { header, events };
        let appended = self.log.append(self.state.sequence, vec![commit]).unwrap();
        for recorded in &appended {
            self.state.evolve(recorded);
        }
        self.now = self.now.after(Duration::from_secs(1));
        appended
    }

    pub(crate) fn create(&mut self, name: &str, labels: &[(&str, &str)]) -> DatabaseId {
        let labels = labels
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()));
        let wanted = CreateDatabase {
            name: Some(DatabaseName::parse(name).unwrap()),
            labels: labels.collect(),
            ..CreateDatabase::of_engine("sqlite", Limits::default())
        };
        let appended = self.submit("token/ci", Command::CreateDatabase(wanted));
        appended[0].event.database().unwrap()
    }

    /// Runs the first job of a database to its end.
    pub(crate) fn finish_job(&mut self, database: DatabaseId) {
        let (job, kind) = self.first_job(database);
        let steps = steps_of(&kind);
        self.start(job, Some(steps[0].0));
        for (at, (name, outcome)) in steps.iter().enumerate() {
            let command = Command::FinishStep {
                job,
                step: step(name),
                outcome: outcome.clone(),
                next: steps.get(at + 1).map(|(next, _)| step(next)),
            };
            self.submit("runner", command);
        }
    }

    fn first_job(&self, database: DatabaseId) -> (JobId, JobKind) {
        let first = &self.state.database(database).unwrap().queue[0];
        (first.id, first.kind.clone())
    }

    fn start(&mut self, job: JobId, first: Option<&str>) {
        let command = Command::StartJob {
            job,
            step: first.map(step),
            time_limit: Duration::from_secs(600),
        };
        self.submit("runner", command);
    }

    fn fail(&mut self, job: JobId, transient: bool) {
        let error = JobError {
            code: JobErrorCode::Internal,
            detail: "the file system is in a mood".into(),
        };
        let command = Command::FailStep {
            job,
            error,
            transient,
        };
        self.submit("runner", command);
    }

    fn fail_for_good(&mut self, name: &str) {
        let database = self.create(name, &[("team", "red")]);
        let (job, _) = self.first_job(database);
        self.start(job, Some("create_files"));
        self.fail(job, true);
        self.now = self.now.after(Duration::from_secs(60));
        self.start(job, Some("create_files"));
        self.fail(job, false);
        let command = Command::FinishUndo {
            job,
            step: step("create_files"),
            outcome: StepOutcome::Purged,
        };
        self.submit("runner", command);
        assert!(self.state.database(database).is_none(), "it was abandoned");
    }

    fn get_stuck(&mut self, name: &str) {
        let database = self.create(name, &[]);
        let (job, _) = self.first_job(database);
        self.start(job, Some("create_files"));
        self.fail(job, false);
        self.fail(job, false);
        assert!(self.state.database(database).unwrap().stuck);
    }

    fn cancel_a_queued_job(&mut self, database: DatabaseId) {
        self.submit("root", Verb::Restart.on(database));
        let (job, _) = self.first_job(database);
        self.submit("root", Command::CancelJob { job });
    }

    fn issue_and_revoke_tokens(&mut self) {
        for name in ["ci", "old"] {
            let command = Command::IssueToken {
                name: name.into(),
                hash: format!("hash-of-{name}"),
                scopes: vec![Scope::Manage, Scope::Read],
                databases: vec!["pr-*".into()],
                expires_in: Some(Duration::from_secs(1_000_000)),
            };
            self.submit("root", command);
        }
        let token = self.state.token_by_hash("hash-of-old").unwrap().id;
        self.submit("root", Command::RevokeToken { token });
    }
}

fn step(name: &str) -> StepName {
    StepName(name.to_owned())
}

fn imported() -> StepOutcome {
    StepOutcome::Imported {
        import: ImportSummary::default(),
    }
}

fn loaded() -> StepOutcome {
    StepOutcome::Loaded {
        load: LoadSummary {
            form: LoadForm::Sql,
            statements: 2,
            tables: 1,
            rows: 1,
            size_bytes: 8192,
            foreign_key_violations: 0,
            notes: Vec::new(),
        },
    }
}

fn steps_of(kind: &JobKind) -> Vec<(&'static str, StepOutcome)> {
    let worker = || {
        let worker = "w-1".to_owned();
        ("start_worker", StepOutcome::WorkerStarted { worker })
    };
    let no_worker = ("remove_worker", StepOutcome::WorkerRemoved);
    match kind {
        JobKind::CreateDatabase => vec![("create_files", StepOutcome::FilesCreated), worker()],
        JobKind::StopDatabase => vec![("close", StepOutcome::Stopped), no_worker],
        JobKind::StartDatabase => vec![("open", StepOutcome::Started), worker()],
        JobKind::DeleteDatabase => vec![no_worker, ("trash", StepOutcome::Trashed)],
        JobKind::PurgeDatabase => vec![no_worker, ("purge", StepOutcome::Purged)],
        JobKind::UndeleteDatabase => vec![("untrash", StepOutcome::Undeleted), worker()],
        JobKind::RestartWorker | JobKind::RepairWorker { .. } => vec![no_worker, worker()],
        JobKind::LoadDatabase { .. } => vec![("load", loaded())],
        JobKind::CreateFromUpload { .. } => vec![("load", loaded()), worker()],
        JobKind::ExchangeContents { .. } => vec![("exchange", StepOutcome::Exchanged)],
        JobKind::ImportTable { .. } => vec![("import_rows", imported())],
    }
}
