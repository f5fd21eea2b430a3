//! A forge behind its router, and people who talk to it.
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use dbforge::clock::timestamp::Timestamp;
use dbforge::clock::{CountingIds, ManualClock};
use dbforge::control::{ControlConfig, ControlPlane, Submission};
use dbforge::domain::command::Command;
use dbforge::domain::ids::{Actor, InstanceId};
use dbforge::domain::job::{JobKind, StepName, StepOutcome};
use dbforge::event_log::EventLog;
use dbforge::event_log::canonical::export_line;
use dbforge::event_log::memory::MemoryEventLog;
use dbforge::http::{Gateway, HttpConfig, RootToken, router};
use dbforge::jobs::observed::ObservedWorkers;
use dbforge::projections::control_db::ControlDb;
use dbforge::runtime::simulated::{SimulatedEngine, SimulatedRuntime};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) const ROOT: &str = "dbf_root";
const INSTANCE: InstanceId = InstanceId(Uuid::from_u128(0xf0));

/// A forge that is asked through HTTP alone.
pub(crate) struct HttpForge {
    pub(crate) control: Arc<ControlPlane>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) engine: Arc<SimulatedEngine>,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) router: Router,
    _folder: TempDir,
}

impl HttpForge {
    pub(crate) async fn new() -> Self {
        Self::with(Arc::new(MemoryEventLog::default()), HttpConfig::default()).await
    }

    pub(crate) async fn with(log: Arc<dyn EventLog>, config: HttpConfig) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_772_366_400_000)));
        let path = folder.path().join("control.db");
        let (control_db, _) = ControlDb::open(&path, log.clone(), export_line).unwrap();
        let control_db = Arc::new(control_db);
        let listener = control_db.clone();
        let control = ControlPlane::start(
            log,
            clock.clone(),
            Arc::new(CountingIds::default()),
            ControlConfig {
                trash_retention: Duration::from_secs(7 * 86_400),
                queue_bound: 100,
            },
            Box::new(move |events| listener.publish(events)),
        );
        let control = Arc::new(control.unwrap());
        let engine: Arc<SimulatedEngine> = Arc::default();
        let runtime = Arc::new(SimulatedRuntime::new(engine.clone(), INSTANCE));
        let gateway = Arc::new(Gateway::new(
            control.clone(),
            control_db,
            runtime,
            Arc::new(ObservedWorkers::default()),
            RootToken::from_secret(ROOT),
            config,
        ));
        Self {
            router: router(&gateway),
            control,
            clock,
            engine,
            gateway,
            _folder: folder,
        }
    }

    /// Sends a request as root.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path).token(ROOT).body(body).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, body).await
    }

    /// A request that nobody has signed yet.
    pub(crate) fn ask<'a>(&'a self, method: &str, path: &str) -> Ask<'a> {
        Ask {
            forge: self,
            request: Request::builder()
                .method(Method::from_bytes(method.as_bytes()).unwrap())
                .uri(path),
        }
    }

    /// Makes a token through the API and returns its secret.
    pub(crate) async fn token(&self, name: &str, scopes: &str, databases: &str) -> String {
        let body = format!(r#"{{"name":"{name}","scopes":[{scopes}],"databases":[{databases}]}}"#);
        let answer = self.post("/v1/tokens", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// A database that is ready.
    pub(crate) async fn ready(&self, name: &str) {
        let body = format!(r#"{{"name":"{name}"}}"#);
        let answer = self.post("/v1/databases", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        self.settle().await;
    }
}

impl HttpForge {
    /// Plays the runner: every job ends well.
    pub(crate) async fn settle(&self) {
        loop {
            let first = self.control.present().state.first_jobs().next().cloned();
            let Some(job) = first else { return };
            let outcomes = match job.kind {
                JobKind::CreateDatabase => vec![StepOutcome::FilesCreated, worker_started()],
                JobKind::StopDatabase => vec![StepOutcome::WorkerRemoved, StepOutcome::Stopped],
                JobKind::StartDatabase => vec![worker_started(), StepOutcome::Started],
                JobKind::DeleteDatabase => vec![StepOutcome::WorkerRemoved, StepOutcome::Trashed],
                JobKind::PurgeDatabase => vec![StepOutcome::Purged],
                JobKind::UndeleteDatabase => vec![StepOutcome::Undeleted, worker_started()],
                JobKind::RestartWorker | JobKind::RepairWorker { .. } => vec![worker_started()],
            };
            let step = |number: usize| StepName(format!("step_{number}"));
            self.run(Command::StartJob {
                job: job.id,
                step: Some(step(1)),
                time_limit: Duration::from_secs(60),
            })
            .await;
            let last = outcomes.len();
            for (number, outcome) in (1..).zip(outcomes) {
                self.run(Command::FinishStep {
                    job: job.id,
                    step: step(number),
                    outcome,
                    next: (number < last).then(|| step(number + 1)),
                })
                .await;
            }
        }
    }

    pub(crate) async fn run(&self, command: Command) {
        let request = self.control.fresh_request();
        let submission = Submission::new(command, Actor::named("runner"), request);
        self.control.submit(submission).await.unwrap();
    }
}

fn worker_started() -> StepOutcome {
    let worker = "worker-1".to_owned();
    StepOutcome::WorkerStarted { worker }
}

/// Runs `check` with its snapshots kept in `snapshots/<folder>/` at the top of the repository.
pub(crate) fn with_snapshots_in(folder: &str, check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("{}/snapshots/{folder}", env!("CARGO_MANIFEST_DIR")));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_sort_maps(true);
    settings.bind(check);
}

/// A request that is being written.
pub(crate) struct Ask<'a> {
    forge: &'a HttpForge,
    request: axum::http::request::Builder,
}

impl Ask<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn token(self, secret: &str) -> Self {
        self.header("authorization", &format!("Bearer {secret}"))
    }

    pub(crate) async fn empty(self) -> Answer {
        self.body("").await
    }

    pub(crate) async fn body(mut self, body: &str) -> Answer {
        let named = self
            .request
            .headers_ref()
            .unwrap()
            .contains_key("content-type");
        if !body.is_empty() && !named {
            self = self.header("content-type", "application/json");
        }
        let request = self.request.body(Body::from(body.to_owned())).unwrap();
        let response = self.forge.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        let value = value.unwrap_or_else(|| panic!("no header `{name}`: {:?}", self.headers));
        value.to_str().unwrap()
    }

    /// Asserts that it is a problem of this status and code, well formed, and returns its detail
    /// and hint as one text.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(body["status"], status);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_eq!(body["error"]["message"], body["detail"]);
        assert_eq!(body["error"]["status"], status);
        assert!(!self.text.contains("/tmp"), "a host path: {}", self.text);
        format!("{} {}", body["detail"], body["hint"])
    }
}
