//! The workers of the fake engine: threads that listen on a socket, as containers would.
use super::fake::{FILE, HEADER};
use async_trait::async_trait;
use dbforge::domain::ids::DatabaseId;
use dbforge::runtime::simulated::SimulatedRuntime;
use dbforge::runtime::{Runtime, RuntimeError, Worker, WorkerSpec};
use futures_util::stream::BoxStream;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Where a worker listens, in its database's folder.
pub(crate) const SOCKET: &str = "fake.sock";

/// All workers of a forge, which outlive its gateway as containers do.
#[derive(Debug, Default)]
pub(crate) struct FakeWorkers(Mutex<HashMap<DatabaseId, FakeWorker>>);

/// Answers on a database's socket until it is dropped.
#[derive(Debug)]
struct FakeWorker {
    /// Its container.
    id: String,
    socket: PathBuf,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl FakeWorkers {
    fn ensure(&self, database: DatabaseId, id: &str, folder: &Path) {
        let mut workers = self.0.lock().unwrap();
        if workers.get(&database).is_some_and(|it| it.id == id) || !folder.join(FILE).exists() {
            return;
        }
        // One at a time has the database.
        drop(workers.remove(&database));
        workers.insert(database, FakeWorker::start(id.to_owned(), folder));
    }

    /// Ends a database's worker.
    pub(crate) fn end(&self, database: DatabaseId) {
        drop(self.0.lock().unwrap().remove(&database));
    }
}

impl FakeWorker {
    fn start(id: String, folder: &Path) -> Self {
        let (socket, file) = (folder.join(SOCKET), folder.join(FILE));
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if ends.load(Ordering::Acquire) {
                    return;
                }
                serve(client.unwrap(), &file);
            }
        });
        Self {
            id,
            socket,
            is_over,
            thread: Some(thread),
        }
    }
}

fn serve(mut client: UnixStream, file: &Path) {
    let mut asked = String::new();
    if client.read_to_string(&mut asked).is_err() || asked.is_empty() {
        return; // it only looked whether somebody listens
    }
    let _ = client.write_all(run(&asked, file).as_bytes());
}

/// Runs statements, one a line: all of them, or none.
fn run(asked: &str, file: &Path) -> String {
    let is_known = |it: &str| it == "SELECT" || it.starts_with("INSERT ");
    if let Some(unknown) = asked.lines().find(|it| !is_known(it)) {
        return format!("error near \"{unknown}\": syntax error");
    }
    let inserted: String = (asked.lines())
        .filter_map(|it| it.strip_prefix("INSERT "))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut lines = OpenOptions::new().append(true).open(file).unwrap();
    lines.write_all(inserted.as_bytes()).unwrap();
    let text = fs::read_to_string(file).unwrap();
    match asked.lines().last() {
        Some("SELECT") => format!("ok {}", text.strip_prefix(HEADER).unwrap()),
        _ => "ok ".to_owned(),
    }
}

impl Drop for FakeWorker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes it. A folder that was moved or removed took the way to it along.
        let woken = UnixStream::connect(&self.socket).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            thread.join().unwrap();
        }
        let _ = fs::remove_file(&self.socket);
    }
}

/// The simulated runtime, whose containers of the fake engine answer SQL.
pub(crate) struct ServingRuntime {
    pub(crate) runtime: SimulatedRuntime,
    pub(crate) workers: Arc<FakeWorkers>,
}

#[async_trait]
impl Runtime for ServingRuntime {
    fn name(&self) -> &'static str {
        self.runtime.name()
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        self.runtime.ping().await
    }

    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError> {
        let id = self.runtime.ensure_running(spec).await?;
        self.workers.ensure(spec.database, &id, &spec.folder);
        Ok(id)
    }

    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError> {
        self.runtime.ensure_removed(database).await?;
        self.workers.end(database);
        Ok(())
    }

    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError> {
        self.runtime.inspect(database).await
    }

    async fn list(&self) -> Result<Vec<Worker>, RuntimeError> {
        self.runtime.list().await
    }

    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError> {
        self.runtime.quarantine(worker).await
    }

    async fn remove_quarantined(&self, worker: &str) -> Result<(), RuntimeError> {
        self.runtime.remove_quarantined(worker).await
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        self.runtime.changes()
    }
}
