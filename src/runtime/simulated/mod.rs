//! Workers that exist only in memory, under an engine that fails when it is told to.
//!
//! Part of the product: what the jobs and the reconciler do when an engine misbehaves is tried
//! against this one, without containers and without waiting.
mod containers;
mod engine;

pub use containers::Meddling;
pub use engine::{Action, Fault, SimulatedEngine};

use super::{Runtime, RuntimeError, Worker, WorkerSpec};
use crate::domain::ids::{DatabaseId, InstanceId};
use async_trait::async_trait;
use containers::{NAME, refused};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// One forge's view of a [`SimulatedEngine`], which several may share.
#[derive(Debug)]
pub struct SimulatedRuntime {
    engine: Arc<SimulatedEngine>,
    instance: InstanceId,
}

impl SimulatedRuntime {
    /// The runtime of `instance` on `engine`.
    #[must_use]
    pub fn new(engine: Arc<SimulatedEngine>, instance: InstanceId) -> Self {
        Self { engine, instance }
    }
}

#[async_trait]
impl Runtime for SimulatedRuntime {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn ping(&self) -> Result<(), RuntimeError> {
        self.engine.call(Action::Ping, |_| Ok(())).await
    }

    async fn ensure_running(&self, spec: &WorkerSpec) -> Result<String, RuntimeError> {
        self.engine
            .call(Action::EnsureRunning, |containers| {
                if spec.instance == self.instance {
                    containers.ensure_running(spec)
                } else {
                    let other = format!("it is of another forge, {}", spec.instance);
                    Err(refused("run a worker", other))
                }
            })
            .await
    }

    async fn ensure_removed(&self, database: DatabaseId) -> Result<(), RuntimeError> {
        self.engine
            .call(Action::EnsureRemoved, |containers| {
                containers.remove(self.instance, database);
                Ok(())
            })
            .await
    }

    async fn inspect(&self, database: DatabaseId) -> Result<Option<Worker>, RuntimeError> {
        self.engine
            .call(Action::Inspect, |containers| {
                let workers = containers.workers_of(self.instance);
                Ok(workers
                    .into_iter()
                    .find(|worker| worker.database == database))
            })
            .await
    }

    async fn list(&self) -> Result<Vec<Worker>, RuntimeError> {
        self.engine
            .call(Action::List, |containers| {
                Ok(containers.workers_of(self.instance))
            })
            .await
    }

    async fn quarantine(&self, worker: &str) -> Result<(), RuntimeError> {
        self.engine
            .call(Action::Quarantine, |containers| {
                containers.quarantine(self.instance, worker);
                Ok(())
            })
            .await
    }

    async fn remove_quarantined(&self, worker: &str) -> Result<(), RuntimeError> {
        self.engine
            .call(Action::RemoveQuarantined, |containers| {
                if containers.remove_quarantined(self.instance, worker) {
                    Ok(())
                } else {
                    Err(refused("remove a worker", "it is not in quarantine"))
                }
            })
            .await
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        let ours = self.instance;
        stream::unfold(self.engine.subscribe(), move |mut happened| async move {
            loop {
                match happened.recv().await {
                    Ok(instance) if instance != ours => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return Some(((), happened)),
                    Err(RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }
}
