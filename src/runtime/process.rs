//! Workers without containers: a worker is an entry in the gateway's memory, and no process is
//! started for it. The default where Docker is not available.
use super::{Runtime, RuntimeError, Worker, WorkerPlace, WorkerSpec, WorkerState};
use crate::domain::ids::DatabaseId;
use crate::locks::Mutex;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::MutexGuard;

/// Keeps registrations in memory.
///
/// There is no process that could die, so a registered worker is always listed and always healthy.
#[derive(Debug)]
pub struct ProcessRuntime(Mutex<BTreeMap<DatabaseId, WorkerSpec>>);

impl ProcessRuntime {
    /// A runtime in which `registered` are there already.
    ///
    /// A restart of the gateway ends no registration: they follow from the state, which knows the
    /// databases that have a worker.
    pub fn new(registered: impl IntoIterator<Item = WorkerSpec>) -> Self {
        let by_database = registered.into_iter().map(|spec| (spec.database, spec));
        Self(Mutex::new(by_database.collect()))
    }

    fn registered(&self) -> MutexGuard<'_, BTreeMap<DatabaseId, WorkerSpec>> {
        self.0.lock()
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    fn place(&self, folder: &Path) -> WorkerPlace {
        WorkerPlace::Child {
            folder: folder.to_owned(),
        }
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError> {
        self.registered().insert(spec.database, spec.clone());
        Ok(id(spec.database))
    }

    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError> {
        self.registered().remove(&database);
        Ok(())
    }

    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError> {
        Ok(self.registered().get(&database).map(worker))
    }

    async fn list(&self) -> Result<Vec<Worker>, RuntimeError> {
        Ok(self.registered().values().map(worker).collect())
    }

    /// A registration that follows from no state holds nothing to look at.
    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError> {
        self.registered()
            .retain(|database, _| id(*database) != worker);
        Ok(())
    }

    async fn remove_quarantined(&self, _: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Nothing happens to a registration but what the gateway does itself.
    fn changes(&self) -> BoxStream<'static, ()> {
        stream::pending().boxed()
    }
}

fn worker(spec: &WorkerSpec) -> Worker {
    Worker {
        id: id(spec.database),
        name: spec.name.clone(),
        database: spec.database,
        spec: spec.hash(),
        state: WorkerState::Healthy,
    }
}

fn id(database: DatabaseId) -> String {
    format!("process-{}", database.short())
}
