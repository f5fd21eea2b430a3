//! The simulated runtime keeps the contract of all runtimes.
use crate::support::runtime_contract::TestForge;
use dbforge::clock::{IdSource, RandomIds};
use dbforge::domain::ids::{DatabaseId, InstanceId, RequestId};
use dbforge::runtime::simulated::{SimulatedEngine, SimulatedRuntime};
use dbforge::runtime::{Program, Runtime, WorkerSpec};
use std::path::PathBuf;
use std::sync::Arc;

/// A worker for a fresh database of `instance`.
pub(crate) fn spec(instance: InstanceId, name: &str) -> WorkerSpec {
    let database = DatabaseId(RandomIds.fresh());
    WorkerSpec {
        instance,
        database,
        name: format!("db-worker-{name}-{}", database.short()),
        folder: PathBuf::from(format!("/data/databases/{database}")),
        memory_bytes: 64 << 20,
        cpu_millis: 500,
        request: RequestId(RandomIds.fresh()),
        program: Program::sleeping(),
    }
}

/// A forge on a simulated engine.
pub(crate) struct Simulated {
    pub(crate) engine: Arc<SimulatedEngine>,
    pub(crate) instance: InstanceId,
    runtime: SimulatedRuntime,
}

impl Simulated {
    fn on(engine: Arc<SimulatedEngine>) -> Self {
        let instance = InstanceId(RandomIds.fresh());
        let runtime = SimulatedRuntime::new(Arc::clone(&engine), instance);
        Self {
            engine,
            instance,
            runtime,
        }
    }
}

impl TestForge for Simulated {
    async fn new() -> Self {
        Self::on(Arc::default())
    }

    async fn neighbour(&self) -> Self {
        Self::on(Arc::clone(&self.engine))
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn spec(&self, name: &str) -> WorkerSpec {
        spec(self.instance, name)
    }
}

mod simulated {
    crate::support::runtime_contract::runtime_contract!(super::Simulated);
}
