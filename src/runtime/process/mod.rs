//! Workers without containers. A worker whose program only sleeps is an entry in the gateway's
//! memory; any other program is a child of the gateway. The default where Docker is not available.
mod child;
mod former;
mod output;
mod starter;

use super::{
    LOCK, Runtime, RuntimeError, StopSignal, Worker, WorkerPlace, WorkerSpec, WorkerState,
};
use crate::domain::ids::DatabaseId;
use crate::locks::Mutex;
use async_trait::async_trait;
pub use child::ProcessConfig;
use child::{Shared, WorkerChild};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::{self, BoxStream};
use starter::StarterThread;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The runtime's name.
const NAME: &str = "process";
/// How long a program may take to end that an earlier gateway started. The kernel has asked it
/// already.
const UNKNOWN_GRACE: Duration = Duration::from_secs(10);

/// Keeps registrations in memory, and starts children.
///
/// A child ends with its gateway: the kernel asks it to.
#[derive(Debug)]
pub struct ProcessRuntime {
    /// Not among what is shared: the children's supervisors outlive the runtime.
    starter: Arc<StarterThread>,
    shared: Arc<Shared>,
    slots: Arc<Slots>,
}

type Slots = Mutex<BTreeMap<DatabaseId, Arc<Slot>>>;

/// The place of one database's worker.
#[derive(Debug, Default)]
struct Slot {
    /// Held while the worker is started or ended.
    turn: tokio::sync::Mutex<()>,
    registered: Mutex<Option<Registered>>,
}

#[derive(Debug, Clone)]
struct Registered {
    spec: WorkerSpec,
    /// `None` for a program that sleeps.
    child: Option<Arc<WorkerChild>>,
}

impl ProcessRuntime {
    /// A runtime in which `registered` are there already, whose programs sleep.
    ///
    /// A restart of the gateway ends no registration: they follow from the state, which knows the
    /// databases that have a worker.
    pub fn new(config: ProcessConfig, registered: impl IntoIterator<Item = WorkerSpec>) -> Self {
        let slots = registered.into_iter().map(|spec| {
            let database = spec.database;
            let registered = Registered { spec, child: None };
            let slot = Slot {
                turn: tokio::sync::Mutex::default(),
                registered: Mutex::new(Some(registered)),
            };
            (database, Arc::new(slot))
        });
        Self {
            starter: Arc::default(),
            shared: Arc::new(Shared::new(config)),
            slots: Arc::new(Mutex::new(slots.collect())),
        }
    }

    fn registered(&self) -> Vec<Registered> {
        let slots: Vec<_> = self.slots.lock().values().cloned().collect();
        let registered = slots.iter().map(|slot| slot.registered.lock().clone());
        registered.flatten().collect()
    }

    /// Runs `work` to its end, also when the caller goes away: no child is started or ended by
    /// half.
    async fn whole<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, RuntimeError>> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let ended = tokio::spawn(work).await;
        ended.unwrap_or_else(|error| Err(failed("change a worker", &io::Error::other(error))))
    }
}

/// The slot of a database, made where there is none.
fn slot_of(slots: &Slots, database: DatabaseId) -> Arc<Slot> {
    Arc::clone(slots.lock().entry(database).or_default())
}

async fn run(
    starter: &StarterThread,
    shared: &Arc<Shared>,
    slot: &Slot,
    spec: WorkerSpec,
) -> Result<String, RuntimeError> {
    let _turn = slot.turn.lock().await;
    let current = slot.registered.lock().clone();
    if let Some(current) = current {
        let runs = current.child.as_ref().is_none_or(|child| child.runs());
        if runs && current.spec.hash() == spec.hash() {
            return Ok(id(spec.database));
        }
        if let Some(child) = current.child {
            child.end().await;
        }
    }
    let child = match spec.program.sleeps() {
        true => None,
        false => {
            let started = WorkerChild::start(starter, shared, &spec).await;
            Some(Arc::new(
                started.map_err(|error| failed("start a worker", &error))?,
            ))
        }
    };
    let id = id(spec.database);
    *slot.registered.lock() = Some(Registered { spec, child });
    Ok(id)
}

async fn remove(shared: &Shared, slots: &Slots, database: DatabaseId) -> Result<(), RuntimeError> {
    let slot = slot_of(slots, database);
    let turn = slot.turn.lock().await;
    let child = slot.registered.lock().as_ref().map(|it| it.child.clone());
    match child {
        // An earlier gateway's may be there still.
        None => {
            let lock = shared
                .config
                .databases
                .join(database.to_string())
                .join(LOCK);
            let ended = child::end_former(lock, StopSignal::Interrupt, UNKNOWN_GRACE).await;
            ended.map_err(|error| failed("remove a worker", &error))?;
        }
        Some(None) => {}
        Some(Some(child)) => child.end().await,
    }
    output::remove(&shared.log_of(database)).await;
    *slot.registered.lock() = None;
    drop(turn);
    let mut slots = slots.lock();
    // This one and the map's: no other call waits for it.
    if Arc::strong_count(&slot) == 2 && slot.registered.lock().is_none() {
        slots.remove(&database);
    }
    Ok(())
}

#[async_trait]
impl Runtime for ProcessRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    fn place(&self, folder: &Path) -> WorkerPlace {
        self.shared.config.place(folder)
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError> {
        let (starter, shared) = (Arc::clone(&self.starter), Arc::clone(&self.shared));
        let (slot, spec) = (slot_of(&self.slots, spec.database), spec.clone());
        self.whole(async move { run(&starter, &shared, &slot, spec).await })
            .await
    }

    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError> {
        let (shared, slots) = (Arc::clone(&self.shared), Arc::clone(&self.slots));
        self.whole(async move { remove(&shared, &slots, database).await })
            .await
    }

    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError> {
        let slot = self.slots.lock().get(&database).cloned();
        let registered = slot.and_then(|slot| slot.registered.lock().clone());
        Ok(registered.as_ref().map(worker))
    }

    async fn list(&self) -> Result<Vec<Worker>, RuntimeError> {
        Ok(self.registered().iter().map(worker).collect())
    }

    /// A registration that follows from no state holds nothing to look at.
    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError> {
        let registered = self.registered();
        let orphan = registered.iter().find(|it| id(it.spec.database) == worker);
        match orphan {
            Some(orphan) => self.ensure_removed(orphan.spec.database).await,
            None => Ok(()),
        }
    }

    async fn remove_quarantined(&self, _: &str) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// A tick for each child that became healthy or unhealthy, or ended.
    fn changes(&self) -> BoxStream<'static, ()> {
        let ticks = self.shared.ticks.subscribe();
        stream::unfold(ticks, |mut ticks| async move {
            ticks.changed().await.ok().map(|()| ((), ticks))
        })
        .boxed()
    }

    /// Ends all children. They stay registered.
    async fn close(&self) {
        let registered = self.registered();
        let children = registered.iter().filter_map(|it| it.child.as_ref());
        join_all(children.map(|child| child.end())).await;
    }
}

fn worker(registered: &Registered) -> Worker {
    let Registered { spec, child } = registered;
    Worker {
        id: id(spec.database),
        name: spec.name.clone(),
        database: spec.database,
        spec: spec.hash(),
        state: child
            .as_ref()
            .map_or(WorkerState::Healthy, |child| child.state()),
    }
}

fn id(database: DatabaseId) -> String {
    format!("process-{}", database.short())
}

/// What the system refuses by permissions it refuses the next time, too.
fn failed(action: &str, error: &io::Error) -> RuntimeError {
    let (action, reason) = (action.to_owned(), error.to_string());
    let runtime = NAME;
    match error.kind() {
        io::ErrorKind::PermissionDenied => RuntimeError::Refused {
            runtime,
            action,
            reason,
        },
        _ => RuntimeError::Failed {
            runtime,
            action,
            reason,
        },
    }
}
