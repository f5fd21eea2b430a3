//! A forge's history made by the real rules, a log that holds it, and a read model of that log.
use dbforge::clock::timestamp::Timestamp;
use dbforge::clock::{CountingIds, Deadline, IdSource};
use dbforge::domain::command::{Command, CreateDatabase, Facts};
use dbforge::domain::database::{Durability, EngineName, Limits};
use dbforge::domain::event::Stream;
use dbforge::domain::ids::{Actor, CommitId, DatabaseId, JobId, RequestId, Sequence};
use dbforge::domain::job::{JobError, JobErrorCode, JobKind, StepName, StepOutcome};
use dbforge::domain::name::DatabaseName;
use dbforge::domain::recorded::{CommitHeader, Head, NewCommit, RecordedEvent};
use dbforge::domain::state::State;
use dbforge::domain::token::Scope;
use dbforge::event_log::{AppendError, EventLog, ReadError};
use dbforge::projections::control_db::{ControlDb, Opening};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// What stands in for the export's form of an event.
pub(crate) fn export_line(recorded: &RecordedEvent) -> String {
    let data = recorded.event.serialize_data(serde_json::value::Serializer);
    json!({
        "sequence": recorded.sequence,
        "kind": recorded.event.kind().as_str(),
        "actor": recorded.commit.actor,
        "data": data.unwrap(),
        "hash": hex::encode(recorded.hash),
    })
    .to_string()
}

/// An event log in a vector, which can be told to be unreadable.
#[derive(Default)]
pub(crate) struct VecLog {
    events: Mutex<Vec<RecordedEvent>>,
    pub(crate) is_unreadable: AtomicBool,
}

impl VecLog {
    pub(crate) fn of(events: &[RecordedEvent]) -> Arc<Self> {
        let log = Self::default();
        log.events.lock().unwrap().extend_from_slice(events);
        Arc::new(log)
    }

    pub(crate) fn all(&self) -> Vec<RecordedEvent> {
        self.events.lock().unwrap().clone()
    }

    fn select(
        &self,
        after: Sequence,
        limit: usize,
        wanted: impl Fn(&RecordedEvent) -> bool,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        if self.is_unreadable.load(Ordering::SeqCst) {
            let reason = "the test says so".to_owned();
            return Err(ReadError { after, reason });
        }
        let events = self.events.lock().unwrap();
        let behind = events.iter().skip(usize::try_from(after.0).unwrap());
        Ok(behind
            .filter(|it| wanted(it))
            .take(limit)
            .cloned()
            .collect())
    }
}

impl EventLog for VecLog {
    fn append(
        &self,
        expected_end: Sequence,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<RecordedEvent>, AppendError> {
        let head = self.head();
        assert_eq!(head.sequence, expected_end);
        let (mut sequence, mut previous_hash) = (head.sequence, head.hash);
        let mut appended = Vec::new();
        for NewCommit { header, events } in commits {
            let commit = Arc::new(header);
            for event in events {
                sequence = sequence.next();
                let text = format!("{previous_hash:?} {sequence} {commit:?} {event:?}");
                let hash = Sha256::digest(text).into();
                appended.push(RecordedEvent {
                    sequence,
                    commit: Arc::clone(&commit),
                    event,
                    schema_version: 1,
                    data_before_upcast: None,
                    previous_hash,
                    hash,
                });
                previous_hash = hash;
            }
        }
        self.events.lock().unwrap().extend_from_slice(&appended);
        Ok(appended)
    }

    fn read_after(&self, after: Sequence, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.select(after, limit, |_| true)
    }

    fn read_stream(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.select(after, limit, |it| it.event.stream() == stream)
    }

    fn find_idempotent(
        &self,
        actor: &Actor,
        key: &str,
    ) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        let used = |it: &RecordedEvent| {
            let idempotency = it.commit.idempotency.as_ref();
            it.commit.actor == *actor && idempotency.is_some_and(|it| it.key == key)
        };
        let found = self.select(Sequence(0), usize::MAX, used)?;
        Ok((!found.is_empty()).then_some(found))
    }

    fn head(&self) -> Head {
        let events = self.events.lock().unwrap();
        events.last().map_or_else(Head::default, |it| Head {
            sequence: it.sequence,
            hash: it.hash,
            time: it.commit.time,
        })
    }

    fn read_only(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}

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
        history.submit("forge", Command::FoundForge { instance: None });
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
        history.submit("token/ci", Command::StopDatabase { database: ledger });
        history.finish_job(ledger);
        history.fail_for_good("doomed");
        history.get_stuck("jammed");
        let scratch = history.create("scratch", &[("team", "red")]);
        history.finish_job(scratch);
        for command in [
            Command::DeleteDatabase { database: scratch },
            Command::UndeleteDatabase { database: scratch },
            Command::PurgeDatabase { database: scratch },
        ] {
            history.submit("root", command);
            history.finish_job(scratch);
        }
        let shopping = history.create("shopping-2", &[]);
        history.finish_job(shopping);
        history.submit("root", Command::DeleteDatabase { database: shopping });
        history.finish_job(shopping);
        history.cancel_a_queued_job(shop);
        history.create("waiting", &[("team", "red")]);
        history
    }

    /// Decides a command, keeps its events and moves the clock; returns the events.
    pub(crate) fn submit(&mut self, actor: &str, command: Command) -> Vec<RecordedEvent> {
        let facts = Facts {
            now: self.now,
            fresh: [self.ids.fresh(), self.ids.fresh()],
            jitter_permille: 0,
            trash_retention: Duration::from_secs(3600),
            queue_bound: 1_000_000,
        };
        let events = self.state.decide(&command, &facts).unwrap();
        let request = RequestId(self.ids.fresh());
        let header = CommitHeader {
            time: self.now,
            id: CommitId(self.ids.fresh()),
            actor: Actor::named(actor),
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
            engine: EngineName("sqlite".into()),
            durability: Durability::Full,
            labels: labels.collect(),
            limits: Limits::default(),
            protected: false,
            ttl: None,
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
        self.submit("root", Command::RestartWorker { database });
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
    }
}

/// A folder of this test alone, removed with what is in it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).unwrap();
        let path = std::env::temp_dir().join(format!("dbforge-{}", hex::encode(bytes)));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("control.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// Opens the read model and lets it come to the log's end.
pub(crate) async fn follow(folder: &Folder, log: &Arc<VecLog>) -> (ControlDb, Opening) {
    let (control_db, opening) = ControlDb::open(&folder.file(), log.clone(), export_line).unwrap();
    control_db
        .wait_for(log.head().sequence, soon())
        .await
        .unwrap();
    (control_db, opening)
}

/// Everything in the file, as text.
pub(crate) fn contents(path: &Path) -> String {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut text = String::new();
    for table in [
        "events",
        "jobs",
        "databases",
        "labels",
        "tokens",
        "progress",
    ] {
        writeln!(text, "# {table}").unwrap();
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        let mut statement = connection.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
                    other => write!(text, "{other:?}").unwrap(),
                }
                text.push('|');
            }
            text.push('\n');
        }
    }
    text
}
