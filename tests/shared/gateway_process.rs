//! The real program as a child process, spoken to over a real socket.
use dbforge::clock::Stopwatch;
use serde_json::Value;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for a debug build on a busy machine; a poll that takes it all has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder for a data folder and others. Those of `TempDir` are closed, and a gateway that is root
/// lets its workers' user pass.
pub(crate) fn passable_folder() -> TempDir {
    let mode = Permissions::from_mode(0o711);
    let made = tempfile::Builder::new().permissions(mode).tempdir();
    made.unwrap()
}

/// A gateway that serves on a free port; killed when dropped.
pub(crate) struct GatewayProcess {
    child: Child,
    pub(crate) url: String,
    pub(crate) token: String,
    agent: ureq::Agent,
}

impl GatewayProcess {
    /// Starts it on a data folder, under the process runtime.
    pub(crate) fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[("DBFORGE_RUNTIME", "process")])
    }

    pub(crate) fn start_with(data_dir: &Path, settings: &[(&str, &str)]) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_dbforge"));
        let gateway = Self::try_start(program, data_dir, settings);
        let gateway = gateway.expect("the gateway says where it serves");
        gateway.poll("the gateway is ready", || {
            let ready = gateway.get("/readyz");
            ready.is_some_and(|(status, _)| status == 200)
        });
        gateway
    }

    /// Starts `program`, which ends up as the gateway; `None` when it died before it served.
    pub(crate) fn try_start(
        mut program: Command,
        data_dir: &Path,
        settings: &[(&str, &str)],
    ) -> Option<Self> {
        let mut child = program
            .arg("serve")
            .env("DBFORGE_LISTEN", "127.0.0.1:0")
            .env("DBFORGE_DATA_DIR", data_dir)
            .env("DBFORGE_LOG", "error")
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let at = line.find("http://127.0.0.1:")?;
            let host = &line[at + "http://".len()..];
            let is_end = |it: char| it.is_whitespace() || matches!(it, '/' | '"');
            let url = format!("http://{}", host.split(is_end).next()?);
            Some(url)
        });
        let Some(url) = url else {
            child.wait().unwrap();
            return None;
        };
        // Whoever closes the pipe makes the program's next line an error: it is read to its end.
        std::thread::spawn(move || lines.for_each(drop));
        let token = std::fs::read_to_string(data_dir.join(".forge/root-token")).unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE))
            .build()
            .into();
        let token = token.trim().to_owned();
        Some(Self {
            child,
            url,
            token,
            agent,
        })
    }

    /// `None` when the gateway did not answer.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, Value)> {
        let request = self.agent.get(format!("{}{path}", self.url));
        answer(request.header("X-API-Key", &self.token).call())
    }

    /// The answer as it is.
    pub(crate) fn get_text(&self, path: &str) -> Option<String> {
        let request = self.agent.get(format!("{}{path}", self.url));
        let mut answer = request.header("X-API-Key", &self.token).call().ok()?;
        answer.body_mut().read_to_string().ok()
    }

    pub(crate) fn delete(&self, path: &str) -> Option<(u16, Value)> {
        let request = self.agent.delete(format!("{}{path}", self.url));
        answer(request.header("X-API-Key", &self.token).call())
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("{}{path}", self.url));
        answer(request.header("X-API-Key", &self.token).send_json(body))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.patch(format!("{}{path}", self.url));
        answer(request.header("X-API-Key", &self.token).send_json(body))
    }

    /// Waits until the job that an answer names has ended: the job.
    #[track_caller]
    pub(crate) fn ended(&self, answer: Option<(u16, Value)>) -> Value {
        let (status, job) = answer.expect("the gateway answers");
        assert_eq!(status, 202, "{job}");
        let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        let look = || self.get(&path).map(|(_, job)| job);
        let has_ended = |job: &Value| {
            ["succeeded", "failed", "cancelled", "stuck"].contains(&job["state"].as_str().unwrap())
        };
        self.poll("the job has ended", || {
            look().is_some_and(|job| has_ended(&job))
        });
        look().unwrap()
    }

    /// The same, of a job that succeeds.
    #[track_caller]
    pub(crate) fn done(&self, answer: Option<(u16, Value)>) {
        let job = self.ended(answer);
        assert_eq!(job["state"], "succeeded", "{job}");
    }

    /// Looks until `is_so`.
    #[track_caller]
    pub(crate) fn poll(&self, what: &str, is_so: impl Fn() -> bool) {
        let start = Stopwatch::start();
        while !is_so() {
            assert!(start.elapsed() < PATIENCE, "not within a minute: {what}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it while others still speak to it.
    pub(crate) fn kill_now(&self) {
        let id = rustix::process::Pid::from_child(&self.child);
        // It may be gone already, by another's hand.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
    }

    /// As a power switch would, for the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C would; returns whether it ended well.
    pub(crate) fn stop(mut self) -> bool {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for GatewayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Option<(u16, Value)> {
    let mut response = result.ok()?;
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().ok()?;
    Some((status, serde_json::from_str(&text).unwrap_or(Value::Null)))
}
