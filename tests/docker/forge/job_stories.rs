//! What every kind of job promises, kept with real containers: each step may be run twice, each
//! may fail, each undoing may be run twice, and the gateway may die behind each.
use crate::support::DockerForge;
use crate::support::log_copy::copy_of;
use crate::support::runtime_contract::TestForge;
use dbforge::clock::{Deadline, RandomIds, SystemClock};
use dbforge::control::{ControlConfig, ControlPlane, Submission};
use dbforge::data::{DataConfig, DataPlane};
use dbforge::domain::command::{Command, CreateDatabase};
use dbforge::domain::database::{DatabaseState, Limits};
use dbforge::domain::event::Event;
use dbforge::domain::ids::{Actor, DatabaseId, JobId, Sequence};
use dbforge::domain::job::{Job, JobError, JobErrorCode};
use dbforge::domain::name::DatabaseName;
use dbforge::domain::verb::Verb;
use dbforge::engine::registry::Engines;
use dbforge::event_log::EventLog;
use dbforge::event_log::memory::MemoryEventLog;
use dbforge::jobs::JobContext;
use dbforge::jobs::runner::Runner;
use dbforge::runtime::child::ChildStarter;
use dbforge::runtime::docker::{DockerEngine, DockerRuntime};
use std::sync::Arc;
use std::time::Duration;

/// The longest that a job may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The kinds that touch containers, from the state they begin in. A purge cannot be undone.
const STORIES: &[(&str, &[&str])] = &[
    ("create", &[]),
    ("stop", &["create"]),
    ("start", &["create", "stop"]),
    ("delete", &["create"]),
    ("undelete", &["create", "delete"]),
    ("restart", &["create"]),
    ("repair", &["create"]),
];

/// A forge without HTTP, moved by hand.
struct Forge {
    docker: Arc<DockerForge>,
    log: Arc<dyn EventLog>,
    control: Arc<ControlPlane>,
    runner: Runner,
}

impl Forge {
    async fn told(before: &[&str]) -> Self {
        let docker = Arc::new(DockerForge::new().await);
        std::fs::create_dir_all(&docker.config.data_dir).unwrap();
        let instance = Some(docker.config.instance);
        let forge = Self::start(docker, Arc::new(MemoryEventLog::default()));
        forge.submit(Command::InitializeForge { instance }).await;
        for what in before {
            forge.ask(what).await;
            forge.settle().await;
        }
        forge
    }

    /// On what an earlier one has left.
    fn start(docker: Arc<DockerForge>, log: Arc<dyn EventLog>) -> Self {
        let control = ControlPlane::start(
            log.clone(),
            Arc::new(SystemClock),
            Arc::new(RandomIds),
            ControlConfig {
                trash_retention: Duration::from_secs(7 * 86_400),
                queue_bound: 1000,
            },
            Box::new(|_| {}),
        );
        let control = Arc::new(control.unwrap());
        let config = DataConfig {
            owner: rustix::process::geteuid()
                .is_root()
                .then_some(docker.config.user),
            ..DataConfig::default()
        };
        let data = DataPlane::open(&docker.config.data_dir, config, Engines::standard()).unwrap();
        let runtime = DockerRuntime::new(DockerEngine::local(), docker.config.clone()).unwrap();
        let job_context = JobContext {
            control: control.clone(),
            runtime: Arc::new(runtime),
            data: Arc::new(data),
            worker_status: Arc::default(),
            progress: Arc::default(),
            children: ChildStarter::new(env!("CARGO_BIN_EXE_dbforge").into(), None),
        };
        Self {
            docker,
            log,
            control,
            runner: Runner::new(Arc::new(job_context)),
        }
    }

    async fn submit(&self, command: Command) -> Option<JobId> {
        let request = self.control.fresh_request();
        let submission = Submission::new(command, Actor::named("test"), request);
        self.control.submit(submission).await.unwrap().job()
    }

    fn database(&self) -> Option<(DatabaseId, DatabaseState)> {
        let current = self.control.current();
        current
            .state
            .databases()
            .next()
            .map(|it| (it.id, it.state()))
    }

    async fn ask(&self, what: &str) -> JobId {
        let database = self.database().map(|(id, _)| id);
        let command = match (what, database) {
            ("create", None) => Command::CreateDatabase(CreateDatabase {
                name: Some(DatabaseName::parse("shop").unwrap()),
                ..CreateDatabase::of_engine("sqlite", Limits::default())
            }),
            ("stop", Some(database)) => Verb::Stop.on(database),
            ("start", Some(database)) => Verb::Start.on(database),
            ("delete", Some(database)) => Verb::Delete.on(database),
            ("undelete", Some(database)) => Verb::Undelete.on(database),
            ("restart", Some(database)) => Verb::Restart.on(database),
            ("repair", Some(database)) => Command::RepairWorker {
                database,
                finding: "a test says so".to_owned(),
            },
            other => panic!("no such command here: {other:?}"),
        };
        self.submit(command).await.unwrap()
    }

    fn job(&self, id: JobId) -> Option<Arc<Job>> {
        self.control.current().state.job(id).cloned()
    }

    async fn move_once(&self, id: JobId) {
        self.runner.move_once(id).await.unwrap();
    }

    /// Runs jobs until none is left.
    async fn settle(&self) {
        let deadline = Deadline::after(PATIENCE);
        while self.control.current().state.jobs().next().is_some() {
            assert!(!deadline.has_passed(), "a job does not end");
            self.runner.run_until_idle().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Moves a job by one step, and dies behind the work of it and before its record.
    async fn work_without_record(self, job: JobId) -> Self {
        let head = self.log.head().sequence;
        self.move_once(job).await;
        self.control.stop();
        Self::start(self.docker.clone(), copy_of(self.log.as_ref(), head))
    }

    /// What there is, as far as a person can tell: state, folders, trash, containers.
    async fn outcome(&self) -> (Option<DatabaseState>, usize, usize, usize) {
        let count = |room| {
            std::fs::read_dir(self.docker.config.data_dir.join(room)).map_or(0, Iterator::count)
        };
        let workers = self.docker.runtime().list().await.unwrap();
        let state = self.database().map(|(_, state)| state);
        (state, count("databases"), count("trash"), workers.len())
    }

    fn has_failed(&self, job: JobId) -> bool {
        let events = self.log.read_after(Sequence(0), usize::MAX).unwrap();
        let is_its_failure = |it: &Event| matches!(it, Event::JobFailed(it) if it.job == job);
        events.iter().any(|it| is_its_failure(&it.event))
    }
}

#[tokio::test]
async fn every_step_run_twice_around_a_death_does_what_it_does_once() {
    for (what, before) in STORIES {
        let undisturbed = Forge::told(before).await;
        undisturbed.ask(what).await;
        undisturbed.settle().await;
        let mut forge = Forge::told(before).await;
        let job = forge.ask(what).await;
        while forge.job(job).is_some() {
            forge = forge.work_without_record(job).await;
            let done = |forge: &Forge| forge.job(job).map(|it| it.finished_steps.len());
            let before = done(&forge);
            while before.is_some() && done(&forge) == before {
                forge.move_once(job).await;
            }
        }
        assert!(!forge.has_failed(job), "`{what}` after {before:?}");
        let outcome = forge.outcome().await;
        assert_eq!(
            outcome,
            undisturbed.outcome().await,
            "`{what}` after {before:?}"
        );
    }
}

#[tokio::test]
async fn a_failure_behind_the_work_of_any_step_is_undone_even_when_each_undoing_runs_twice() {
    for (what, before) in STORIES {
        let untouched = Forge::told(before).await.outcome().await;
        for moves in 1.. {
            let mut forge = Forge::told(before).await;
            let job = forge.ask(what).await;
            for _ in 0..moves {
                forge.move_once(job).await;
            }
            if forge.job(job).is_none() {
                break;
            }
            forge = forge.work_without_record(job).await;
            let error = JobError {
                code: JobErrorCode::Internal,
                detail: "a test says so".to_owned(),
            };
            let transient = false;
            forge
                .submit(Command::FailStep {
                    job,
                    error,
                    transient,
                })
                .await;
            let left = |forge: &Forge| forge.job(job).map(|it| it.begun_steps.len());
            // This boot has not had the job: it tells first that the undoing begins again.
            forge.move_once(job).await;
            while let Some(count) = left(&forge) {
                forge = forge.work_without_record(job).await;
                while left(&forge) == Some(count) {
                    forge.move_once(job).await;
                }
            }
            let when = format!("`{what}` after {before:?}, failed in step {moves}");
            assert!(forge.has_failed(job), "{when}");
            assert_eq!(forge.outcome().await, untouched, "{when}");
        }
    }
}
