//! One running gateway under attack: the databases that are attacked, the one next door that must
//! not notice, and what has to hold after every attack.
use super::client::{Answer, Client, PATIENCE};
use super::probe::Probe;
use crate::support::gateway_process::{GatewayProcess, passable_folder};
use dbforge::clock::Stopwatch;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// What an attacked database may grow to: small, so that one that fills it is soon done.
const QUOTA_BYTES: u64 = 8 << 20;

/// What the quota does not count: the WAL, which is cut past 32 MiB, and the index of it.
const BESIDE_THE_QUOTA_BYTES: u64 = 48 << 20;

/// Most memory that the gateway may have had at any time, over all attacks. What one
/// caller's statements and answers have is bounded to 192 MiB, of all callers to 256 MiB, and the
/// allocator keeps some of what was there before.
const PEAK_BYTES: u64 = 512 << 20;

/// How long a database may rest because of a statement that nothing stops.
const REST: Duration = Duration::from_secs(300);

/// A word that only the database next door holds.
const SECRET: &str = "top-secret";

pub(crate) struct Scene {
    gateway: GatewayProcess,
    /// The root's client.
    pub(crate) root: Client,
    /// Holds a token with the scope `read` alone.
    pub(crate) reader: Client,
    probe: Probe,
    neighbour: PathBuf,
    before: Vec<(PathBuf, Vec<u8>)>,
    made: AtomicUsize,
    /// Connections that an attack leaves open while the next ones come.
    held: Mutex<Vec<TcpStream>>,
    /// Everything of the gateway's lies in here, and it runs in here.
    home: TempDir,
}

/// A database that is attacked, with a table `t(a, b)` of 1,000 rows, an fts5 table `f`, and an
/// empty table `witness(n)`.
pub(crate) struct Attacked {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    /// The files outside of its folder.
    files: BTreeSet<PathBuf>,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let home = passable_folder();
        let data_dir = home.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        let mut program = Command::new("sh");
        program
            .args(["-c", "exec \"$0\" \"$@\" 2>trace.jsonl"])
            .arg(env!("CARGO_BIN_EXE_dbforge"))
            .current_dir(home.path());
        let settings = [
            ("DBFORGE_RUNTIME", "process"),
            ("DBFORGE_LOG", "warn,dbforge=debug"),
            ("DBFORGE_LOG_FORMAT", "json"),
        ];
        let gateway = GatewayProcess::try_start(program, &data_dir, &settings).unwrap();
        let root = Client::new(&gateway.url, Some(&gateway.token));
        let token = root.post(
            "/v1/tokens",
            &json!({"name": "reader", "scopes": ["read"], "databases": ["*"]}),
        );
        assert_eq!(token.status, 201, "{token:?}");
        let reader = root.with(Some(token.json()["token"].as_str().unwrap()));

        let neighbour = data_dir.join("databases").join(create(&root, "victim"));
        for sql in [
            "CREATE TABLE secrets (s)",
            "INSERT INTO secrets VALUES ('top-secret')",
        ] {
            assert_eq!(query(&root, "victim", sql).status, 200);
        }
        let mut scene = Self {
            probe: Probe::start(root.clone(), "victim", "SELECT s FROM secrets", SECRET),
            gateway,
            root,
            reader,
            before: Vec::new(),
            neighbour,
            made: AtomicUsize::new(0),
            held: Mutex::default(),
            home,
        };
        scene.probe.wait_for_idle_figures();
        scene.before = scene.neighbours_bytes();
        scene
    }

    /// A fresh database to be attacked.
    pub(crate) fn attacked(&self) -> Attacked {
        let name = format!("attacked-{}", self.made.fetch_add(1, Ordering::Relaxed));
        let folder = self.databases().join(create(&self.root, &name));
        for sql in [
            "CREATE TABLE t AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c \
             LIMIT 1000) SELECT x AS a, x AS b FROM c",
            "CREATE VIRTUAL TABLE f USING fts5(x)",
            "CREATE TABLE witness (n)",
        ] {
            let answer = query(&self.root, &name, sql);
            assert_eq!(answer.status, 200, "{sql}: {answer:?}");
        }
        Attacked {
            files: self.files_outside(&folder),
            name,
            folder,
        }
    }

    /// `{DATA}`, `{VICTIM}` and `{OUT}` in an input become folders of this scene.
    pub(crate) fn with_our_paths(&self, input: &str) -> String {
        let victim = self.neighbour.to_str().unwrap();
        let home = self.home.path().to_str().unwrap();
        input
            .replace("{DATA}/victim.db", &format!("{victim}/main.db"))
            .replace("{DATA}/vic'||'tim.db", &format!("{victim}/ma'||'in.db"))
            .replace("{DATA}", &format!("{home}/data"))
            .replace("{OUT}", home)
    }

    /// What holds for every answer to `input`, whatever else it is.
    pub(crate) fn check(&self, id: &str, input: &str, answer: &Answer) {
        let (status, body) = (answer.status, &answer.body);
        let told = &body[..body.floor_char_boundary(400)];
        let may_be = status < 500 || matches!(status, 503 | 504 | 507);
        assert!(may_be, "{id}: {status}: {told}");
        let home = self.home.path().to_str().unwrap();
        // A statement that itself says a path may get it back; nothing else may.
        let tells_a_path = body.contains(home) && !input.contains(home);
        assert!(!tells_a_path, "{id}: a path of the host: {told}");
        assert!(!body.contains(SECRET), "{id}: a neighbour's secret: {told}");
    }

    /// Sends one statement, as an attack.
    pub(crate) fn ask(&self, id: &str, client: &Client, on: &Attacked, body: &Value) -> Answer {
        let answer = client.post(&format!("/v1/databases/{}/query", on.name), body);
        self.check(id, &body.to_string(), &answer);
        answer
    }

    /// Waits until the database takes requests.
    pub(crate) fn settle(&self, id: &str, on: &Attacked) {
        self.answered(id, on, "SELECT 1");
    }

    /// The answer of a statement that nothing is wrong with. A database takes none while a statement
    /// of an attack still holds a thread, which lasts longer where processors are busy.
    fn answered(&self, id: &str, on: &Attacked, sql: &str) -> Answer {
        let waiting = Stopwatch::start();
        loop {
            let answer = query(&self.root, &on.name, sql);
            if answer.status == 200 {
                return answer;
            }
            assert_eq!(answer.code(), "overloaded", "{id}: {sql}: {answer:?}");
            assert!(waiting.elapsed() < REST, "{id}: it takes none for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What has to hold after an attack.
    pub(crate) fn is_whole(&self, id: &str, on: &Attacked) {
        self.settle(id, on);
        // A second client reads and writes as before.
        let rows = |sql: &str| self.answered(id, on, sql).json()["rows"].clone();
        rows("DELETE FROM witness");
        rows("INSERT INTO witness VALUES (1)");
        let seen = rows(
            "SELECT (SELECT count(*) FROM witness), 'a' LIKE 'A', (SELECT count(*) FROM t),
               (SELECT user_version FROM pragma_user_version),
               (SELECT group_concat(quick_check) FROM pragma_quick_check),
               (SELECT count(*) FROM pragma_foreign_key_check)",
        );
        assert_eq!(seen, json!([[1, 1, 1000, 0, "ok", 0]]), "{id}");
        // The file is as we make it, and no larger than it may be.
        let header = fs::read(on.folder.join("main.db")).unwrap();
        assert_eq!(header[18..20], [2, 2], "{id}: it is in WAL mode");
        let (mut main, mut rest) = (0, 0);
        for file in fs::read_dir(&on.folder).unwrap().map(Result::unwrap) {
            let name = file.file_name().into_string().unwrap();
            let known = ["main.db", "main.db-wal", "main.db-shm"].contains(&name.as_str());
            assert!(known, "{id}: a file of its own: {name}");
            let bytes = file.metadata().map_or(0, |it| it.len());
            *(if name == "main.db" {
                &mut main
            } else {
                &mut rest
            }) += bytes;
        }
        assert!(main <= QUOTA_BYTES, "{id}: {main} bytes");
        assert!(rest <= BESIDE_THE_QUOTA_BYTES, "{id}: {rest} bytes beside");
        self.nobody_noticed(id, &on.files, &on.folder);
    }

    /// What has to hold next door and in the gateway.
    pub(crate) fn nobody_noticed(&self, id: &str, files: &BTreeSet<PathBuf>, folder: &Path) {
        let fresh: Vec<_> = (self.files_outside(folder).difference(files))
            .cloned()
            .collect();
        assert!(fresh.is_empty(), "{id}: new files: {fresh:?}");
        let same = self.neighbours_bytes() == self.before;
        assert!(same, "{id}: another database's bytes");
        let peak = self.peak_bytes();
        assert!(peak < PEAK_BYTES, "{id}: {} MiB were in use", peak >> 20);
        self.probe.was_answered(id);
    }

    /// Every file but those of one database, and of the log's index, which comes and goes.
    pub(crate) fn files_outside(&self, own: &Path) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        let mut folders = vec![self.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path == own || path.ends_with(".forge/events.sled") {
                    continue;
                }
                if entry.file_type().is_ok_and(|it| it.is_dir()) {
                    folders.push(path);
                } else {
                    files.insert(path);
                }
            }
        }
        files
    }

    pub(crate) fn databases(&self) -> PathBuf {
        self.home.path().join("data/databases")
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Keeps connections open until the end.
    pub(crate) fn hold(&self, connections: Vec<TcpStream>) {
        self.held.lock().unwrap().extend(connections);
    }

    /// A number of `/metrics`.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.root.get("/metrics").body;
        let line = text.lines().find(|it| it.starts_with(&format!("{name} ")));
        let line = line.unwrap_or_else(|| panic!("no `{name}` in {text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Most memory that the gateway has had. Asked of the process that was started: another one in
    /// its place would have another id.
    fn peak_bytes(&self) -> u64 {
        let status = format!("/proc/{}/status", self.gateway.process_id());
        let status = fs::read_to_string(status).expect("the gateway is the same process");
        let line = status.lines().find(|it| it.starts_with("VmHWM:"));
        let line = line.expect("the gateway lives, and no zombie has memory");
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024
    }

    fn neighbours_bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        ["main.db", "main.db-wal"]
            .map(|it| self.neighbour.join(it))
            .map(|it| (it.clone(), fs::read(it).unwrap_or_default()))
            .into()
    }

    /// Ends the gateway, which must end well, and says what was measured.
    pub(crate) fn end(self, what: &str) {
        let peak = self.peak_bytes();
        drop(self.held);
        let figures = self.probe.end();
        assert!(self.gateway.stop(), "it ends as it should");
        let trace = fs::read_to_string(self.home.path().join("trace.jsonl")).unwrap();
        // What the program says to who stops it is no trace.
        for line in trace
            .lines()
            .filter(|it| !it.starts_with("shutting down: "))
        {
            let parsed: Result<BTreeMap<String, Value>, _> = serde_json::from_str(line);
            assert!(parsed.is_ok(), "a line of the trace that is none: {line}");
            assert!(!line.contains(SECRET) && !line.contains("dbf_"), "{line}");
            assert!(!line.contains("panicked"), "{line}");
        }
        say(&format!("{what}: {figures}; peak {} MiB", peak >> 20));
    }
}

#[expect(clippy::print_stderr, reason = "figures to be read, with --nocapture")]
fn say(figures: &str) {
    eprintln!("{figures}");
}

/// Makes a database; its id.
fn create(client: &Client, name: &str) -> String {
    let body = json!({"name": name, "limits": {"size_bytes": QUOTA_BYTES}}).to_string();
    let headers = [("Content-Type", "application/json"), ("Prefer", "wait=60")];
    let made = client.send("POST", "/v1/databases", &headers, body.as_bytes());
    assert_eq!(made.status, 201, "{made:?}");
    let database = client.get(&format!("/v1/databases/{name}")).json();
    database["id"].as_str().unwrap().to_owned()
}

/// One statement by somebody who means no harm, with all the time there is.
pub(crate) fn query(client: &Client, name: &str, sql: &str) -> Answer {
    let timeout_ms = u64::try_from(PATIENCE.as_millis()).unwrap();
    let body = json!({"sql": sql, "timeout_ms": timeout_ms});
    client.post(&format!("/v1/databases/{name}/query"), &body)
}

/// `{{rep:TEXT:N}}` is TEXT, N times.
pub(crate) fn repeated(input: &str) -> String {
    let Some((before, rest)) = input.split_once("{{rep:") else {
        return input.to_owned();
    };
    let (inside, after) = rest.split_once("}}").unwrap();
    let (text, times) = inside.rsplit_once(':').unwrap();
    let text = text.repeat(times.parse().unwrap());
    format!("{before}{text}{}", repeated(after))
}
