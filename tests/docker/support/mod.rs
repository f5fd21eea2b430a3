//! A forge on the real engine, which takes everything away that it made.
pub(crate) mod gateway_forge;
#[expect(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "../../shared/gateway_process.rs"]
pub(crate) mod gateway_process;
#[path = "../../shared/log_copy.rs"]
pub(crate) mod log_copy;
pub(crate) mod private_engine;
#[path = "../../shared/program_contract.rs"]
pub(crate) mod program_contract;
#[path = "../../shared/runtime_contract.rs"]
pub(crate) mod runtime_contract;

use self::program_contract::ProgramForge;
use self::runtime_contract::TestForge;
use bollard::Docker;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
};
use dbforge::clock::{IdSource, RandomIds};
use dbforge::domain::ids::{DatabaseId, InstanceId, RequestId};
use dbforge::runtime::docker::{DockerConfig, DockerEngine, DockerRuntime};
use dbforge::runtime::{Program, Runtime, StopSignal, WorkerSpec};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::PathBuf;

/// Who workers run as when the tests are run by root.
const NOBODY: (u32, u32) = (65532, 65532);

/// The workers' image: `DBFORGE_TEST_WORKER_IMAGE`, else the one that the tests' build makes.
#[expect(clippy::disallowed_methods, reason = "tests have no configuration")]
pub(crate) fn worker_image() -> String {
    std::env::var("DBFORGE_TEST_WORKER_IMAGE").unwrap_or_else(|_| "db-worker-base:test".to_owned())
}

/// The engine as a test sees it: not through our runtime.
pub(crate) async fn docker() -> Docker {
    Docker::connect_with_local_defaults()
        .unwrap()
        .negotiate_version()
        .await
        .expect("these tests need a Docker engine")
}

/// A forge of its own, whose workers run in the real engine.
pub(crate) struct DockerForge {
    pub(crate) config: DockerConfig,
    runtime: DockerRuntime,
}

impl DockerForge {
    /// On an engine that is reached in a way of its own.
    pub(crate) async fn through(engine: DockerEngine) -> Self {
        let instance = InstanceId(RandomIds.fresh());
        let data_dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(instance.to_string());
        let (uid, gid) = (
            rustix::process::geteuid().as_raw(),
            rustix::process::getegid().as_raw(),
        );
        let config = DockerConfig {
            instance,
            image: worker_image(),
            program: env!("CARGO_BIN_EXE_dbforge").into(),
            user: if uid == 0 { NOBODY } else { (uid, gid) },
            host_data_dir: DockerEngine::local()
                .host_data_dir(&data_dir)
                .await
                .unwrap(),
            data_dir,
        };
        Self::with(engine, config)
    }

    /// With a configuration of one's own.
    pub(crate) fn with(engine: DockerEngine, config: DockerConfig) -> Self {
        let runtime = DockerRuntime::new(engine, config.clone()).unwrap();
        Self { config, runtime }
    }

    /// The folder of a database, with a new database in it, as the gateway makes it.
    fn make_folder(&self, database: DatabaseId) -> PathBuf {
        let folder = self
            .config
            .data_dir
            .join("databases")
            .join(database.to_string());
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("main.db");
        fs::write(&file, b"SQLite format 3\0").unwrap();
        for (path, mode) in [(&folder, 0o700), (&file, 0o600)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            chown(path, Some(self.config.user.0), Some(self.config.user.1)).unwrap();
        }
        folder
    }
}

impl TestForge for DockerForge {
    async fn new() -> Self {
        Self::through(DockerEngine::local()).await
    }

    async fn neighbour(&self) -> Self {
        Self::new().await
    }

    fn runtime(&self) -> &dyn Runtime {
        &self.runtime
    }

    fn spec(&self, name: &str) -> WorkerSpec {
        let database = DatabaseId(RandomIds.fresh());
        WorkerSpec {
            instance: self.config.instance,
            database,
            name: format!("db-worker-{name}-{}", database.short()),
            folder: self.make_folder(database),
            memory_bytes: 64 << 20,
            cpu_millis: 500,
            request: RequestId(RandomIds.fresh()),
            program: Program::sleeping(),
        }
    }
}

impl ProgramForge for DockerForge {
    /// The kernel ignores signals that the first process of a container has no handler for.
    fn deaf(&self, program: Program) -> Program {
        Program {
            stop_signal: StopSignal::Quit,
            ..program
        }
    }

    async fn until_deaf(&self, _: &WorkerSpec) {}

    async fn kill(&self, spec: &WorkerSpec) {
        let kill = KillContainerOptionsBuilder::new().signal("KILL").build();
        let docker = docker().await;
        let killed = docker.kill_container(&spec.name, Some(kill));
        killed.await.unwrap();
    }
}

impl Drop for DockerForge {
    fn drop(&mut self) {
        let config = self.config.clone();
        finally(async move {
            let runtime = DockerRuntime::new(DockerEngine::local(), config).unwrap();
            for worker in runtime.list().await.unwrap() {
                runtime.ensure_removed(worker.database).await.unwrap();
            }
        });
        // Not there if no worker was asked for.
        let _ = fs::remove_dir_all(&self.config.data_dir);
    }
}

/// A container that no forge made; gone at the end.
pub(crate) struct Foreign(pub(crate) String);

impl Foreign {
    /// Makes and starts it.
    pub(crate) async fn start(name: &str, body: ContainerCreateBody) -> Self {
        let docker = docker().await;
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        let id = docker
            .create_container(Some(options), body)
            .await
            .unwrap()
            .id;
        let container = Self(id);
        docker.start_container(&container.0, None).await.unwrap();
        container
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let id = self.0.clone();
        finally(async move {
            let options = RemoveContainerOptionsBuilder::new().force(true).build();
            docker()
                .await
                .remove_container(&id, Some(options))
                .await
                .unwrap();
        });
    }
}

/// Runs to its end while a test's own tokio is busy, or going down.
fn finally(work: impl Future<Output = ()> + Send + 'static) {
    let ended = std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(work);
    })
    .join();
    if ended.is_err() && !std::thread::panicking() {
        panic!("what the test made could not be taken away");
    }
}

/// A container that is like a worker in everything but the labels.
pub(crate) fn labelled(labels: HashMap<String, String>) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(worker_image()),
        entrypoint: Some(vec!["/dbforge".to_owned()]),
        cmd: Some(vec!["worker".to_owned(), "run".to_owned()]),
        labels: Some(labels),
        ..Default::default()
    }
}
