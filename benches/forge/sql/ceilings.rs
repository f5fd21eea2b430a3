//! What the same machine, library and framework can do at most: axum without anything around it,
//! and SQLite without HTTP.
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use dbforge::clock::Stopwatch;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};
use serde_json::Value;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// By this argument the benchmark knows that it is to be the ceilings' server.
pub(crate) const ARGUMENT: &str = "ceilings";
/// Connections of the bare server that read.
const READERS: usize = 4;
/// Most inserts that share a commit.
const GROUP: usize = 256;
/// As many as the gateway keeps of one database, roughly.
const STATEMENTS: usize = 64;

/// The bare server in a process of its own.
pub(crate) struct Ceilings {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Ceilings {
    /// On databases that are made for it.
    pub(crate) fn start(files: &[PathBuf]) -> Self {
        let program = std::env::current_exe().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let child = Command::new(program)
            .args([ARGUMENT, &address.to_string()])
            .args(files)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = dbforge::clock::Deadline::after(Duration::from_secs(10));
        while std::net::TcpStream::connect(address).is_err() {
            assert!(!deadline.has_passed(), "the bare server starts");
            std::thread::yield_now();
        }
        Self { child, address }
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Ceilings {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One database.
struct Bare {
    readers: Vec<Mutex<Connection>>,
    writes: mpsc::Sender<Write>,
}

struct Write {
    body: Bytes,
    done: oneshot::Sender<Vec<u8>>,
}

impl Bare {
    fn open(file: impl AsRef<std::path::Path>) -> Self {
        let (writes, queue) = mpsc::channel();
        let writer = open(&file);
        std::thread::spawn(move || write_in_groups(&writer, &queue));
        Self {
            readers: (0..READERS).map(|_| Mutex::new(open(&file))).collect(),
            writes,
        }
    }

    /// On the thread that has the request.
    fn read(&self, body: &Bytes) -> Response {
        let free = self.readers.iter().find_map(|it| it.try_lock().ok());
        let reader = free.unwrap_or_else(|| self.readers[0].lock().unwrap());
        json(run(&reader, body))
    }

    /// Answered when the commit that it shares with others is on the disk.
    async fn write(&self, body: Bytes) -> Response {
        let (done, answer) = oneshot::channel();
        self.writes.send(Write { body, done }).unwrap();
        json(answer.await.unwrap())
    }
}

type Databases = State<Arc<Vec<Bare>>>;

/// Serves until it is killed.
pub(crate) fn serve(address: &str, files: &[String]) {
    let databases: Arc<Vec<_>> = Arc::new(files.iter().map(Bare::open).collect());
    let app = Router::new()
        .route("/echo", post(echo))
        .route("/read", post(read))
        .route("/write", post(write))
        .route("/mixed/{database}", post(mixed))
        .with_state(databases);
    let tokio = tokio::runtime::Runtime::new().unwrap();
    tokio.block_on(async {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let listener = axum::serve::ListenerExt::tap_io(listener, |it| {
            it.set_nodelay(true).unwrap();
        });
        axum::serve(listener, app).await.unwrap();
    });
}

/// Parses the body and writes it out again.
async fn echo(body: Bytes) -> Response {
    let value: Value = serde_json::from_slice(&body).unwrap();
    json(serde_json::to_vec(&value).unwrap())
}

async fn read(State(databases): Databases, body: Bytes) -> Response {
    databases[0].read(&body)
}

async fn write(State(databases): Databases, body: Bytes) -> Response {
    databases[0].write(body).await
}

async fn mixed(State(databases): Databases, Path(n): Path<usize>, body: Bytes) -> Response {
    if memchr::memmem::find(&body, b"SELECT").is_some() {
        databases[n].read(&body)
    } else {
        databases[n].write(body).await
    }
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn write_in_groups(sqlite: &Connection, queue: &mpsc::Receiver<Write>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter().take(GROUP - 1));
        sqlite.execute_batch("BEGIN IMMEDIATE").unwrap();
        let answers: Vec<_> = group
            .into_iter()
            .map(|it| (run(sqlite, &it.body), it.done))
            .collect();
        sqlite.execute_batch("COMMIT").unwrap();
        for (answer, done) in answers {
            let _ = done.send(answer);
        }
    }
}

/// Rows of values for one statement, or rows by column as the legacy API takes them.
fn run_rows(sqlite: &Connection, request: &Value) -> Option<Vec<u8>> {
    let mut changed = 0;
    if let Some(rows) = request["params_list"].as_array() {
        let sql = request["sql"].as_str().unwrap();
        let mut statement = sqlite.prepare_cached(sql).unwrap();
        for row in rows {
            bind(&mut statement, row.as_array().unwrap());
            changed += statement.raw_execute().unwrap();
        }
    } else {
        for row in request["rows"].as_array()? {
            let row = row.as_object().unwrap();
            let columns: Vec<&str> = row.keys().map(String::as_str).collect();
            let places = vec!["?"; columns.len()].join(",");
            let sql = format!("INSERT INTO w ({}) VALUES ({places})", columns.join(","));
            let mut statement = sqlite.prepare_cached(&sql).unwrap();
            bind(&mut statement, row.values());
            changed += statement.raw_execute().unwrap();
        }
    }
    Some(format!("{{\"rows_affected\":{changed}}}").into_bytes())
}

fn run(sqlite: &Connection, body: &[u8]) -> Vec<u8> {
    let request: Value = serde_json::from_slice(body).unwrap();
    if let Some(answer) = run_rows(sqlite, &request) {
        return answer;
    }
    let mut statement = sqlite
        .prepare_cached(request["sql"].as_str().unwrap())
        .unwrap();
    bind(&mut statement, request["params"].as_array().unwrap());
    let mut out = Vec::with_capacity(256);
    if statement.column_count() == 0 {
        let changed = statement.raw_execute().unwrap();
        write!(out, "{{\"rows_affected\":{changed}}}").unwrap();
        return out;
    }
    let columns = statement.column_count();
    out.extend_from_slice(b"{\"columns\":");
    let names: Vec<&str> = statement.column_names().collect();
    serde_json::to_writer(&mut out, &names).unwrap();
    out.extend_from_slice(b",\"rows\":[");
    let mut rows = statement.raw_query();
    let mut is_first = true;
    while let Some(row) = rows.next().unwrap() {
        out.extend_from_slice(if is_first { b"[" } else { b",[" });
        is_first = false;
        for column in 0..columns {
            if column > 0 {
                out.push(b',');
            }
            match row.get_ref(column).unwrap() {
                ValueRef::Null => out.extend_from_slice(b"null"),
                ValueRef::Integer(it) => serde_json::to_writer(&mut out, &it).unwrap(),
                ValueRef::Real(it) => serde_json::to_writer(&mut out, &it).unwrap(),
                ValueRef::Text(it) => {
                    serde_json::to_writer(&mut out, std::str::from_utf8(it).unwrap()).unwrap();
                }
                ValueRef::Blob(_) => out.extend_from_slice(b"\"blob\""),
            }
        }
        out.push(b']');
    }
    out.extend_from_slice(b"]}");
    out
}

fn bind<'v>(statement: &mut Statement<'_>, values: impl IntoIterator<Item = &'v Value>) {
    for (index, value) in (1..).zip(values) {
        let bound = match value {
            Value::Number(it) => statement.raw_bind_parameter(index, it.as_i64().unwrap()),
            Value::String(it) => statement.raw_bind_parameter(index, it.as_str()),
            other => panic!("no workload binds {other}"),
        };
        bound.unwrap();
    }
}

/// Durable as the gateway's are.
pub(crate) fn open(file: impl AsRef<std::path::Path>) -> Connection {
    let sqlite = Connection::open(file).unwrap();
    sqlite.pragma_update(None, "journal_mode", "WAL").unwrap();
    sqlite.pragma_update(None, "synchronous", "FULL").unwrap();
    sqlite.busy_timeout(Duration::from_secs(5)).unwrap();
    sqlite.set_prepared_statement_cache_capacity(STATEMENTS);
    sqlite
}

/// How often a second one thread does this in process.
pub(crate) fn in_process(time: Duration, mut once: impl FnMut() -> u32) -> f64 {
    let watch = Stopwatch::start();
    let mut count = 0;
    while watch.elapsed() < time {
        count += once();
    }
    f64::from(count) / watch.elapsed().as_secs_f64()
}
