//! The real program, as the benchmarks ask it.
use crate::process_memory;
use dbforge::clock::{Deadline, Stopwatch};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// The longest that `control.db` may take to be built from 10^6 events on a slow machine.
const READY_WAIT: Duration = Duration::from_secs(600);
/// Databases that are created at once.
const CREATORS: usize = 16;

/// A folder for a data folder and others. Those of `TempDir` are closed, and a gateway that is root
/// lets its workers' user pass.
pub(crate) fn passable_folder() -> TempDir {
    let mode = Permissions::from_mode(0o711);
    let made = tempfile::Builder::new().permissions(mode).tempdir();
    made.unwrap()
}

/// The program in a process of its own, killed when the benchmark is done with it.
pub(crate) struct Gateway {
    child: Child,
    url: String,
    token: String,
}

impl Gateway {
    pub(crate) fn start(data_dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dbforge"))
            .arg("serve")
            .env("DBFORGE_LISTEN", "127.0.0.1:0")
            .env("DBFORGE_DATA_DIR", data_dir)
            .env("DBFORGE_RUNTIME", "process")
            .stdout(Stdio::piped())
            .stderr(Stdio::null()) // its log is written as users have it, and read by nobody
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines
            .find_map(|line| Some(line.unwrap().strip_prefix("url")?.trim().to_owned()))
            .expect("the gateway starts");
        std::thread::spawn(move || lines.for_each(drop));
        let token = std::fs::read_to_string(data_dir.join(".forge/root-token")).unwrap();
        Self {
            child,
            url,
            token: token.trim().to_owned(),
        }
    }

    /// How long each took until it was accepted.
    pub(crate) fn create_many(&self, client: usize, count: usize) -> Vec<Duration> {
        let agent = ureq::Agent::new_with_defaults();
        let create = |n| {
            let body = format!("{{\"name\":\"c{client}-{n}\"}}");
            let watch = Stopwatch::start();
            agent
                .post(format!("{}/v1/databases", self.url))
                .header("X-API-Key", &self.token)
                .header("Content-Type", "application/json")
                .send(body)
                .expect("a create is accepted");
            watch.elapsed()
        };
        (0..count).map(create).collect()
    }

    /// Asks for something and reads the whole answer.
    pub(crate) fn get(&self, path: &str) -> String {
        self.try_get(path).expect("the gateway answers")
    }

    /// Asks until it answers: a list waits 5 s for `control.db`, then says that it is being built.
    pub(crate) fn get_once_ready(&self, path: &str) -> String {
        let deadline = Deadline::after(READY_WAIT);
        loop {
            match self.try_get(path) {
                Ok(answer) => return answer,
                Err(error) => assert!(!deadline.has_passed(), "{path}: {error}"),
            }
        }
    }

    fn try_get(&self, path: &str) -> Result<String, ureq::Error> {
        ureq::get(format!("{}{path}", self.url))
            .header("X-API-Key", &self.token)
            .call()
            .and_then(|mut it| it.body_mut().read_to_string())
    }

    /// Creates a database and waits until it is ready.
    pub(crate) fn create_ready(&self, name: &str) {
        let path = "/v1/databases";
        self.post(path, &json!({ "name": name }));
    }

    /// Creates databases, several at once, and waits until all are ready.
    pub(crate) fn create_all_ready(&self, names: &[String]) {
        let share = names.len().div_ceil(CREATORS).max(1);
        std::thread::scope(|scope| {
            for names in names.chunks(share) {
                scope.spawn(move || names.iter().for_each(|it| self.create_ready(it)));
            }
        });
    }

    /// Runs a statement.
    pub(crate) fn run(&self, database: &str, sql: &str) {
        let path = format!("/v1/databases/{database}/query");
        self.post(&path, &json!({ "sql": sql, "timeout_ms": 60_000 }));
    }

    /// Runs a statement whose answer may be any; an error is any status but a good one.
    pub(crate) fn try_run(
        &self,
        agent: &ureq::Agent,
        database: &str,
        body: &Value,
    ) -> Result<(), ureq::Error> {
        let path = format!("{}/v1/databases/{database}/query", self.url);
        let request = agent.post(path).header("X-API-Key", &self.token);
        request.send_json(body)?.body_mut().read_to_vec().map(drop)
    }

    fn post(&self, path: &str, body: &Value) {
        let answer = ureq::post(format!("{}{path}", self.url))
            .header("X-API-Key", &self.token)
            .header("Prefer", "wait=60")
            .send_json(body)
            .expect("the gateway answers well");
        assert_ne!(answer.status(), 202, "{path} {body} takes too long");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.url.strip_prefix("http://");
        address.and_then(|it| it.parse().ok()).unwrap()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// Bytes of memory it holds.
    pub(crate) fn memory(&self) -> u64 {
        process_memory::resident(self.child.id())
    }

    /// Ends it as Ctrl-C would.
    pub(crate) fn stop(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
