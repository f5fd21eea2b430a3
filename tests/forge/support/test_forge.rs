//! A forge on real files with a clock and an engine that do as told.
use super::sqlite;
use crate::engines::fake;
use crate::engines::fake::FakeEngine;
use crate::engines::fake_worker::{FakeWorkers, ServingRuntime};
use crate::support::postgres::TestPostgres;
use dbforge::clock::timestamp::Timestamp;
use dbforge::clock::{CountingIds, ManualClock};
use dbforge::control::{Accepted, ControlConfig, ControlPlane, Submission, SubmitError};
use dbforge::data::{DataConfig, DataPlane};
use dbforge::domain::command::{Command, CreateDatabase};
use dbforge::domain::database::{Database, EngineName, Limits};
use dbforge::domain::ids::{Actor, DatabaseId, InstanceId, JobId};
use dbforge::domain::job::Job;
use dbforge::domain::name::DatabaseName;
use dbforge::engine::registry::Engines;
use dbforge::event_log::EventLog;
use dbforge::event_log::canonical::export_line;
use dbforge::event_log::memory::MemoryEventLog;
use dbforge::jobs::JobContext;
use dbforge::jobs::reconciler::{Finding, Reconciler};
use dbforge::jobs::runner::Runner;
use dbforge::jobs::worker_status::WorkerStatuses;
use dbforge::projections::control_db::ControlDb;
use dbforge::runtime::Runtime;
use dbforge::runtime::child::ChildStarter;
use dbforge::runtime::simulated::{SimulatedEngine, SimulatedRuntime};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// Everything of a forge but its HTTP: dropped and started again, it goes on where it was.
pub(crate) struct TestForge {
    pub(crate) kept: Kept,
    pub(crate) control: Arc<ControlPlane>,
    pub(crate) control_db: Arc<ControlDb>,
    pub(crate) job_context: Arc<JobContext>,
    pub(crate) runner: Runner,
    pub(crate) reconciler: Reconciler,
}

/// What outlives a restart: the log, the files, the engine, the time.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) engine: Arc<SimulatedEngine>,
    pub(crate) instance: InstanceId,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) ids: Arc<CountingIds>,
    /// Most jobs that may be unfinished at once.
    pub(crate) queue_bound: usize,
    /// The workers of the fake engine, where that is served and its databases are made.
    pub(crate) fake: Option<Arc<FakeWorkers>>,
    /// The servers of PostgreSQL, where that is served and its databases are made.
    pub(crate) postgres: Option<Arc<TestPostgres>>,
}

pub(crate) const INSTANCE: InstanceId = InstanceId(Uuid::from_u128(0xf0));

impl Kept {
    pub(crate) fn new() -> Self {
        Self {
            log: Arc::new(MemoryEventLog::default()),
            folder: Arc::new(TempDir::new().unwrap()),
            engine: Arc::default(),
            instance: INSTANCE,
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_772_366_400_000))),
            ids: Arc::default(),
            queue_bound: 1000,
            fake: None,
            postgres: None,
        }
    }

    /// The same with an engine beside SQLite that lives in its workers, and makes the databases.
    pub(crate) fn with_fake_engine() -> Self {
        Self {
            fake: Some(Arc::default()),
            ..Self::new()
        }
    }

    /// The same with PostgreSQL, which makes the databases.
    pub(crate) fn with_postgres() -> Self {
        Self {
            postgres: Some(Arc::default()),
            ..Self::new()
        }
    }

    /// The engine of the databases that are made when none is named.
    fn engine_name(&self) -> &'static str {
        if self.postgres.is_some() {
            return "postgres";
        }
        self.fake.as_ref().map_or("sqlite", |_| fake::NAME)
    }

    fn engines(&self) -> Engines {
        if let Some(postgres) = &self.postgres {
            return Engines::new(vec![postgres.clone()]);
        }
        match &self.fake {
            Some(_) => Engines::new(vec![Arc::new(FakeEngine)]),
            None => Engines::standard(),
        }
    }

    fn runtime(&self) -> Arc<dyn Runtime> {
        let runtime = SimulatedRuntime::new(self.engine.clone(), self.instance);
        match self.fake.clone() {
            Some(workers) => Arc::new(ServingRuntime { runtime, workers }),
            None => Arc::new(runtime),
        }
    }

    /// What another forge keeps, on the same engine and under the same clock.
    pub(crate) fn neighbour(&self, instance: InstanceId) -> Self {
        Self {
            engine: self.engine.clone(),
            clock: self.clock.clone(),
            instance,
            ..Self::new()
        }
    }
}

impl TestForge {
    /// A founded forge without databases.
    pub(crate) async fn new() -> Self {
        Self::found(Kept::new()).await
    }

    /// A forge that begins on `kept`.
    pub(crate) async fn found(kept: Kept) -> Self {
        let instance = Some(kept.instance);
        let forge = Self::start(kept);
        forge
            .submit(Command::InitializeForge { instance })
            .await
            .unwrap();
        let command = Command::ChooseRuntime {
            runtime: "simulated".to_owned(),
            reason: "a test says so".to_owned(),
        };
        forge.submit(command).await.unwrap();
        forge
    }

    /// A forge on what an earlier one has left.
    pub(crate) fn start(kept: Kept) -> Self {
        let control_db = kept.folder.path().join("control.db");
        let (control_db, _) =
            sqlite::control_db(&control_db, kept.log.clone(), export_line).unwrap();
        let control_db = Arc::new(control_db);
        let listener = control_db.clone();
        let control = ControlPlane::start(
            kept.log.clone(),
            kept.clock.clone(),
            kept.ids.clone(),
            ControlConfig {
                trash_retention: Duration::from_secs(7 * 86_400),
                queue_bound: kept.queue_bound,
            },
            Box::new(move |events| listener.publish(events)),
        );
        let control = Arc::new(control.unwrap());
        let data =
            DataPlane::open(kept.folder.path(), DataConfig::default(), kept.engines()).unwrap();
        let job_context = Arc::new(JobContext {
            control: control.clone(),
            runtime: kept.runtime(),
            data: Arc::new(data),
            worker_status: Arc::new(WorkerStatuses::default()),
            progress: Arc::default(),
            children: ChildStarter::new(env!("CARGO_BIN_EXE_dbforge").into(), None),
        });
        Self {
            kept,
            control,
            control_db,
            runner: Runner::new(job_context.clone()),
            reconciler: Reconciler::new(job_context.clone()),
            job_context,
        }
    }

    /// Drops this forge and starts another on what it leaves.
    pub(crate) fn restart(self) -> Self {
        let kept = self.kept.clone();
        self.control.stop();
        drop(self);
        Self::start(kept)
    }

    pub(crate) async fn submit(&self, command: Command) -> Result<Accepted, SubmitError> {
        let request = self.control.fresh_request();
        let submission = Submission::new(command, Actor::named("root"), request);
        self.control.submit(submission).await
    }

    pub(crate) async fn request(&self, name: &str) -> (DatabaseId, JobId) {
        self.request_on(name, self.kept.engine_name()).await
    }

    async fn request_on(&self, name: &str, engine: &str) -> (DatabaseId, JobId) {
        let command = Command::CreateDatabase(CreateDatabase {
            engine: EngineName(engine.to_owned()),
            ..wanted(name)
        });
        let accepted = self.submit(command).await.unwrap();
        (accepted.database().unwrap(), accepted.job().unwrap())
    }

    /// A database of this engine that is ready, with its worker.
    pub(crate) async fn ready_on(&self, name: &str, engine: &str) -> DatabaseId {
        let (database, _) = self.request_on(name, engine).await;
        self.settle().await;
        assert!(self.exists(database), "`{name}` was created");
        database
    }

    /// A database that is ready, with its worker.
    pub(crate) async fn ready(&self, name: &str) -> DatabaseId {
        let (database, _) = self.request(name).await;
        self.settle().await;
        assert!(self.exists(database), "`{name}` was created");
        database
    }

    /// Runs jobs until none is due, moving the clock to each retry, for at most an hour.
    pub(crate) async fn settle(&self) {
        for _ in 0..3600 {
            self.runner.run_until_idle().await.unwrap();
            let current = self.control.current();
            let waits = current.state.jobs().any(|it| it.retry_at.is_some());
            if !waits {
                return;
            }
            self.kept.clock.advance(Duration::from_secs(1));
        }
        panic!("a job waits for ever");
    }

    pub(crate) fn database(&self, id: DatabaseId) -> Arc<Database> {
        let current = self.control.current();
        current.state.database(id).unwrap().clone()
    }

    pub(crate) fn exists(&self, id: DatabaseId) -> bool {
        self.control.current().state.database(id).is_some()
    }

    /// A job, finished or not.
    pub(crate) async fn job(&self, id: JobId) -> Job {
        let current = self.control.current();
        if let Some(job) = current.state.job(id) {
            return job.as_ref().clone();
        }
        let deadline = dbforge::clock::Deadline::after(Duration::from_secs(10));
        let sequence = current.head.sequence;
        self.control_db.wait_for(sequence, deadline).await.unwrap();
        self.control_db.job(id).await.unwrap().unwrap()
    }

    /// The names of all folders in `databases/` or `trash/`.
    pub(crate) fn folders(&self, room: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.kept.folder.path().join(room)) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|it| it.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Lets `span` pass under the reconciler's eyes: a look at least once a minute.
    pub(crate) async fn watch(&self, mut span: Duration) {
        while !span.is_zero() {
            let step = span.min(Duration::from_secs(60));
            self.kept.clock.advance(step);
            self.reconcile().await;
            span -= step;
        }
    }

    /// Lets the reconciler look, and runs what it asks for.
    pub(crate) async fn reconcile(&self) -> Vec<Finding> {
        let findings = self.reconciler.pass().await.unwrap();
        self.settle().await;
        findings
    }
}

pub(crate) fn create(name: &str) -> Command {
    Command::CreateDatabase(wanted(name))
}

fn wanted(name: &str) -> CreateDatabase {
    CreateDatabase {
        name: Some(DatabaseName::parse(name).unwrap()),
        ..CreateDatabase::of_engine("sqlite", Limits::default())
    }
}
