//! How many commands a second are decided, kept and answered.
use crate::memory;
use crate::table::{Table, per_second, percentiles};
use dbforge::clock::{Deadline, RandomIds, Stopwatch, SystemClock};
use dbforge::control::{ControlConfig, ControlPlane, Submission};
use dbforge::domain::command::{Command, CreateDatabase};
use dbforge::domain::database::{Durability, EngineName, Labels, Limits};
use dbforge::domain::ids::Actor;
use dbforge::domain::name::DatabaseName;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The longest that `control.db` may take to be built from 10^6 events on a slow machine.
const READY_WAIT: Duration = Duration::from_secs(600);
const CLIENTS: [usize; 3] = [1, 8, 64];
/// What a create adds to the journal, roughly: two events and their header.
const BYTES_OF_A_CREATE: usize = 700;
/// Enough that one slow sync does not decide.
const SYNCS_OF_A_CEILING: usize = 500;

/// Through `ControlPlane::submit`.
pub(crate) fn in_process(table: &mut Table, count: usize) {
    let tokio = tokio::runtime::Runtime::new().unwrap();
    for clients in CLIENTS {
        let folder = TempDir::new().unwrap();
        let ceiling = write_and_sync(folder.path(), clients);
        let control = control(folder.path());
        let watch = Stopwatch::start();
        tokio.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for client in 0..clients {
                let control = control.clone();
                all.spawn(async move {
                    for n in 0..count / clients {
                        let request = control.fresh_request();
                        let command = create(&format!("c{client}-{n}"));
                        let submission = Submission::new(command, Actor::named("bench"), request);
                        control.submit(submission).await.unwrap();
                    }
                });
            }
            while all.join_next().await.is_some() {}
        });
        let rate = per_second(count / clients * clients, watch.elapsed());
        let what = format!("creates in process, {clients} clients");
        table.rate(what, rate, (&plain_loop(clients), ceiling));
        control.stop();
    }
}

/// The real program, asked by threads of this one.
pub(crate) fn over_http(table: &mut Table, count: usize) {
    for clients in CLIENTS {
        let folder = TempDir::new().unwrap();
        let ceiling = write_and_sync(folder.path(), clients);
        let gateway = Gateway::start(&folder.path().join("db-data"));
        let watch = Stopwatch::start();
        let times: Vec<Duration> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients)
                .map(|client| {
                    let gateway = &gateway;
                    scope.spawn(move || gateway.create_many(client, count / clients))
                })
                .collect();
            let joined = threads.into_iter().map(|it| it.join().unwrap());
            joined.flatten().collect()
        });
        let rate = per_second(times.len(), watch.elapsed());
        let what = format!(
            "creates accepted over HTTP, {clients} clients, while their jobs run: {}",
            percentiles(times)
        );
        table.rate(what, rate, (&plain_loop(clients), ceiling));
    }
}

/// Appends to a file, synced when each of `clients` has one in it: what they could have at most.
fn write_and_sync(folder: &Path, clients: usize) -> f64 {
    let mut file = File::create(folder.join("ceiling")).unwrap();
    let bytes = vec![7; BYTES_OF_A_CREATE];
    let watch = Stopwatch::start();
    for _ in 0..SYNCS_OF_A_CEILING {
        for _ in 0..clients {
            file.write_all(&bytes).unwrap();
        }
        file.sync_data().unwrap();
    }
    per_second(SYNCS_OF_A_CEILING * clients, watch.elapsed())
}

fn plain_loop(clients: usize) -> String {
    match clients {
        1 => "a plain loop of write + fdatasync".to_owned(),
        _ => format!("a plain loop of {clients} × write + fdatasync"),
    }
}

pub(crate) fn control(folder: &Path) -> Arc<ControlPlane> {
    let (log, _) = DiskEventLog::open(&folder.join(".forge"), Settings::default()).unwrap();
    let config = ControlConfig {
        trash_retention: Duration::from_secs(86_400),
        queue_bound: usize::MAX,
    };
    let control = ControlPlane::start(
        Arc::new(log),
        Arc::new(SystemClock),
        Arc::new(RandomIds),
        config,
        Box::new(|_| {}),
    );
    Arc::new(control.unwrap())
}

pub(crate) fn create(name: &str) -> Command {
    Command::CreateDatabase(CreateDatabase {
        name: Some(DatabaseName::parse(name).unwrap()),
        engine: EngineName("sqlite".into()),
        durability: Durability::Full,
        labels: Labels::new(),
        limits: Limits::default(),
        protected: false,
        ttl: None,
    })
}

/// The program in a process of its own, killed when the benchmark is done with it.
pub(crate) struct Gateway {
    child: Child,
    url: String,
    token: String,
}

impl Gateway {
    pub(crate) fn start(data_dir: &Path) -> Self {
        let mut child = Program::new(env!("CARGO_BIN_EXE_dbforge"))
            .arg("serve")
            .env("DBFORGE_LISTEN", "127.0.0.1:0")
            .env("DBFORGE_DATA_DIR", data_dir)
            .env("DBFORGE_RUNTIME", "process")
            .env("DBFORGE_LOG", "off") // the databases of a made-up history have no files
            .stdout(Stdio::piped())
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
    fn create_many(&self, client: usize, count: usize) -> Vec<Duration> {
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

    /// Bytes of memory it holds.
    pub(crate) fn memory(&self) -> u64 {
        memory::resident(self.child.id())
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
