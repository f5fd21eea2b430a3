//! Large databases out of a real gateway, with its memory and its WAL watched: what is lost on the
//! way, what a kill leaves, and whether writes go on.
//!
//! `DBFORGE_SOAK_MB` says how large: a few megabytes in `make test`, a gigabyte in `make soak`.
use crate::support::gateway_process::{GatewayProcess, passable_folder};
use crate::support::sqlite;
use dbforge::clock::{Deadline, Stopwatch};
use rusqlite::Connection;
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// Megabytes of a database where nothing is said.
const MEGABYTES: u64 = 4;
/// Writers at once.
const WRITERS: usize = 32;
/// Bytes that a gateway may grow by while anything goes through it: what a few streams have on
/// their way, and SQLite's page caches.
const GROWTH: u64 = 64 << 20;
/// Past this a WAL has writes refused.
const MOST_WAL: u64 = 512 << 20;
/// For one call; a gigabyte takes a debug build some minutes.
const LONG: Duration = Duration::from_secs(1800);

fn megabytes() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
    std::env::var("DBFORGE_SOAK_MB").map_or(MEGABYTES, |it| it.parse().unwrap())
}

#[expect(
    clippy::print_stderr,
    reason = "the figures are what a soak run is for"
)]
fn tell(what: &str, since: Stopwatch, bytes: u64) {
    let seconds = since.elapsed().as_secs_f64();
    let rate = bytes as f64 / 1e6 / seconds.max(1e-9);
    eprintln!(
        "soak: {what}: {:.1} MB in {seconds:.1} s, {rate:.0} MB/s",
        bytes as f64 / 1e6
    );
}

#[expect(
    clippy::print_stderr,
    reason = "the figures are what a soak run is for"
)]
fn tell_bytes(what: &str, bytes: u64) {
    eprintln!("soak: {what}: {:.1} MB", bytes as f64 / 1e6);
}

/// A gateway with one large database.
struct Soak {
    folder: TempDir,
    gateway: GatewayProcess,
}

impl Soak {
    fn new() -> Self {
        let folder = passable_folder();
        let gateway = GatewayProcess::start(&folder.path().join("data"));
        let soak = Self { folder, gateway };
        soak.create("shop");
        soak.fill(megabytes());
        soak
    }

    fn run(&self, sql: &str) {
        let body = json!({"sql": sql, "timeout_ms": 60_000});
        let (status, answer) = (self.gateway)
            .post("/v1/databases/shop/query", &body)
            .expect("the gateway answers");
        assert_eq!(status, 200, "{answer}");
    }

    /// Everything that is easily lost, and so many megabytes of it.
    fn fill(&self, megabytes: u64) {
        for sql in [
            "CREATE TABLE \"large \"\"one\" (id INTEGER PRIMARY KEY AUTOINCREMENT, \"select\" TEXT, \
             real REAL, photo BLOB, any, twice AS (id * 2), length INT AS (length(photo)) STORED)",
            "CREATE VIRTUAL TABLE words USING fts5(title, body)",
            "CREATE TABLE pairs (k TEXT, n INT, v ANY, PRIMARY KEY (k, n)) STRICT, WITHOUT ROWID",
            "CREATE TABLE ticks (n)",
        ] {
            self.run(sql);
        }
        for megabyte in 0..megabytes {
            self.run(
                "INSERT INTO \"large \"\"one\" (\"select\", real, photo, any) WITH RECURSIVE n(i) AS \
                 (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) SELECT 'it''s ' || i || \
                 char(13, 10) || hex(randomblob(250)), i / 7.0, randomblob(1300), CASE i % 5 \
                 WHEN 0 THEN NULL WHEN 1 THEN i WHEN 2 THEN 1e999 WHEN 3 THEN CAST(x'ff00' AS TEXT) \
                 ELSE -i / 3.0 END FROM n",
            );
            self.run(&format!(
                "INSERT INTO words WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
                 LIMIT 20) SELECT 'title ' || i, 'body of {megabyte} and ' || i FROM n"
            ));
            self.run(&format!(
                "INSERT INTO pairs VALUES ('k', {megabyte}, x'00'), ('j', {megabyte}, {megabyte}.5)"
            ));
        }
    }

    fn main_file(&self, name: &str) -> PathBuf {
        let (_, shown) = (self.gateway)
            .get(&format!("/v1/databases/{name}"))
            .expect("the gateway answers");
        let databases = self.folder.path().join("data/databases");
        databases
            .join(shown["id"].as_str().unwrap())
            .join("main.db")
    }

    fn create(&self, name: &str) {
        let body = json!({"name": name, "limits": {"size_bytes": 16_u64 << 30}});
        self.gateway.post("/v1/databases", &body).unwrap();
        self.gateway.poll("the database is ready", || {
            let shown = self.gateway.get(&format!("/v1/databases/{name}"));
            shown.is_some_and(|(_, shown)| shown["state"] == "ready")
        });
    }

    /// Sends a file as a whole database, and waits until it is one.
    fn load(&self, name: &str, file: &Path, content_type: &str) {
        self.create(name);
        let url = format!("{}/v1/databases/{name}/import", self.gateway.url);
        let mut answer = agent()
            .post(url)
            .header("X-API-Key", &self.gateway.token)
            .header("Content-Type", content_type)
            .send(File::open(file).unwrap())
            .unwrap();
        let job: serde_json::Value = answer.body_mut().read_json().unwrap();
        let deadline = Deadline::after(LONG);
        loop {
            let path = format!("/v1/jobs/{}?wait=20", job["id"].as_str().unwrap());
            let (_, job) = self.gateway.get(&path).expect("the gateway answers");
            if job["state"] == "succeeded" {
                return;
            }
            assert_ne!(job["state"], "failed", "{job}");
            assert!(!deadline.has_passed(), "{job}");
        }
    }

    /// A number for all values of all rows of a database.
    fn contents(&self, name: &str) -> Vec<u64> {
        let copy = self.folder.path().join("copy.db");
        let source = sqlite::open(self.main_file(name));
        let into = format!("VACUUM INTO '{}'", copy.display());
        source.execute(&into, []).unwrap();
        drop(source);
        let contents = contents(&sqlite::open(&copy));
        fs::remove_file(copy).unwrap();
        contents
    }

    /// Stores an answer as it comes.
    fn download(&self, path: &str, file: &Path) -> u64 {
        let answer = agent()
            .get(format!("{}{path}", self.gateway.url))
            .header("X-API-Key", &self.gateway.token)
            .header("Accept-Encoding", "identity")
            .call()
            .unwrap();
        let mut body = answer.into_body().into_reader();
        io::copy(&mut body, &mut File::create(file).unwrap()).unwrap()
    }

    fn memory(&self, field: &str) -> u64 {
        let status = format!("/proc/{}/status", self.gateway.process_id());
        let status = fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kilobytes.unwrap() * 1024
    }

    /// By how much the gateway grows at most while something is done.
    fn growth(&self, work: impl FnOnce()) -> u64 {
        let forget = format!("/proc/{}/clear_refs", self.gateway.process_id());
        fs::write(forget, "5").unwrap();
        let before = self.memory("VmRSS:");
        work();
        self.memory("VmHWM:").saturating_sub(before)
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(LONG))
        .build()
        .into()
}

/// A number for all values of all rows.
fn contents(sqlite: &Connection) -> Vec<u64> {
    let questions = [
        "SELECT id, \"select\", real, photo, any, twice, length FROM \"large \"\"one\" ORDER BY id",
        "SELECT rowid, title, body FROM words ORDER BY rowid",
        "SELECT count(*) FROM words WHERE words MATCH 'body'",
        "SELECT k, n, v FROM pairs ORDER BY k, n",
        "SELECT name, seq FROM sqlite_sequence",
        "SELECT integrity_check FROM pragma_integrity_check",
    ];
    let hash = |question: &&str| {
        let mut question = sqlite.prepare(question).unwrap();
        let columns = question.column_count();
        let mut rows = question.query([]).unwrap();
        let mut hash = std::hash::DefaultHasher::new();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                let value = format!("{:?}", row.get_ref(column).unwrap());
                std::hash::Hash::hash(&value, &mut hash);
            }
        }
        std::hash::Hasher::finish(&hash)
    };
    questions.iter().map(hash).collect()
}

#[test]
fn everything_leaves_by_each_format_and_the_gateway_does_not_grow() {
    let soak = Soak::new();
    let original = soak.contents("shop");
    let file = soak.folder.path().join("shop.db");
    let since = Stopwatch::start();
    let grew = soak.growth(|| {
        let bytes = soak.download("/v1/databases/shop/export?format=sqlite", &file);
        tell("out as a SQLite file", since, bytes);
    });
    tell_bytes("growth of the gateway", grew);
    assert!(grew < GROWTH, "{grew} bytes");
    let since = Stopwatch::start();
    let grew = soak.growth(|| {
        soak.load("of_file", &file, "application/vnd.sqlite3");
        tell("in as a SQLite file", since, file.metadata().unwrap().len());
    });
    tell_bytes("growth of the gateway", grew);
    assert!(grew < GROWTH, "{grew} bytes");
    assert_eq!(soak.contents("of_file"), original);
    fs::remove_file(&file).unwrap();

    let sql = soak.folder.path().join("shop.sql");
    let since = Stopwatch::start();
    let grew = soak.growth(|| {
        let bytes = soak.download("/v1/databases/shop/export?format=sql", &sql);
        tell("out as SQL", since, bytes);
    });
    tell_bytes("growth of the gateway", grew);
    assert!(grew < GROWTH, "{grew} bytes");
    let since = Stopwatch::start();
    let grew = soak.growth(|| {
        soak.load("of_sql", &sql, "application/sql");
        tell("in as SQL", since, sql.metadata().unwrap().len());
    });
    tell_bytes("growth of the gateway", grew);
    assert!(grew < GROWTH, "{grew} bytes");
    assert_eq!(soak.contents("of_sql"), original);
    fs::remove_file(&sql).unwrap();

    let csv = soak.folder.path().join("large.csv");
    let path = "/v1/databases/shop/tables/large%20%22one/export?format=csv";
    let since = Stopwatch::start();
    let grew = soak.growth(|| {
        let bytes = soak.download(path, &csv);
        tell("out as CSV", since, bytes);
    });
    tell_bytes("growth of the gateway", grew);
    assert!(grew < GROWTH, "{grew} bytes");
}

#[test]
fn a_client_that_stops_reading_costs_neither_memory_nor_writes() {
    use std::io::Write as _;
    let soak = Soak::new();
    let address = soak.gateway.url.strip_prefix("http://").unwrap();
    let path = "/v1/databases/shop/tables/large%20%22one/export?format=ndjson";
    let grew = soak.growth(|| {
        let stalled: Vec<_> = (0..4)
            .map(|_| {
                let mut socket = std::net::TcpStream::connect(address).unwrap();
                let token = &soak.gateway.token;
                let head = format!(
                    "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\r\n"
                );
                socket.write_all(head.as_bytes()).unwrap();
                socket
            })
            .collect();
        for n in 0..200 {
            soak.run(&format!("INSERT INTO ticks VALUES ({n})"));
        }
        soak.gateway.poll("all rows are read", || {
            let metrics = soak.gateway.get_text("/metrics").unwrap_or_default();
            metrics.lines().any(|line| line == "dbforge_sql_streams 0")
        });
        drop(stalled);
    });
    tell_bytes("growth of the gateway with four stalled clients", grew);
    assert!(grew < GROWTH, "{grew} bytes");
}

#[test]
fn a_kill_in_the_middle_of_an_export_leaves_nothing_behind() {
    let soak = Soak::new();
    let exports = soak.folder.path().join("data/exports");
    let files = || fs::read_dir(&exports).unwrap().count();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // It is cut off by the kill.
            let _ = (soak.gateway).get_text("/v1/databases/shop/export?compress=gzip");
        });
        soak.gateway.poll("an export is made", || files() > 0);
        let children = children_of(soak.gateway.process_id());
        soak.gateway.kill_now();
        let deadline = Deadline::after(Duration::from_secs(20));
        while children.iter().any(|child| is_alive(*child)) {
            assert!(!deadline.has_passed(), "a child outlives its gateway");
            std::thread::yield_now();
        }
    });
    let Soak { folder, gateway } = soak;
    drop(gateway);
    let gateway = GatewayProcess::start(&folder.path().join("data"));
    assert_eq!(files(), 0);
    let soak = Soak { folder, gateway };
    let file = soak.folder.path().join("after.db");
    soak.download("/v1/databases/shop/export?format=sqlite", &file);
    let check = sqlite::open(&file);
    let check: String = check
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok");
}

fn children_of(process: u32) -> Vec<u32> {
    let children = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(children).unwrap_or_default();
    children
        .split_whitespace()
        .filter_map(|child| child.parse().ok())
        .collect()
}

/// Whether a process is there and is no corpse.
fn is_alive(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes()[0]);
    state.is_some_and(|state| state != b'Z')
}

#[test]
fn many_writers_go_on_while_a_file_is_made() {
    let soak = Soak::new();
    let main = soak.main_file("shop");
    let wal = PathBuf::from(format!("{}-wal", main.display()));
    let (is_over, written, longest_wal) =
        (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let file = soak.folder.path().join("shop.db");
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (soak, is_over, written) = (&soak, &is_over, &written);
            let (wal, longest_wal) = (&wal, &longest_wal);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    soak.run(&format!(
                        "INSERT INTO ticks VALUES ({writer} || hex(randomblob(500)))"
                    ));
                    written.fetch_add(1, Ordering::Relaxed);
                    let bytes = wal.metadata().map_or(0, |wal| wal.len());
                    longest_wal.fetch_max(bytes, Ordering::Relaxed);
                }
            });
        }
        soak.gateway
            .poll("writers write", || written.load(Ordering::Relaxed) > 100);
        let before = written.load(Ordering::Relaxed);
        let since = Stopwatch::start();
        let bytes = soak.download("/v1/databases/shop/export?format=sqlite", &file);
        tell("a SQLite file while 32 write", since, bytes);
        let during = written.load(Ordering::Relaxed) - before;
        is_over.store(true, Ordering::Relaxed);
        assert!(during > 0, "writes go on");
    });
    let longest = longest_wal.load(Ordering::Relaxed);
    tell_bytes("the longest WAL", longest);
    assert!(longest < MOST_WAL, "{longest} bytes of WAL");
    let sqlite = sqlite::open(&file);
    assert_eq!(contents(&sqlite).len(), 6);
}
