//! Chooses where workers run, and says why.
use super::start_error::StartError;
use crate::config::{Config, RuntimeChoice};
use crate::control::{ControlPlane, Submission};
use crate::domain::command::Command;
use crate::domain::database::Condition;
use crate::domain::ids::{Actor, InstanceId, RequestId};
use crate::engine::registry::Engines;
use crate::runtime::docker::{DockerAvailability, DockerConfig, DockerEngine, DockerRuntime};
use crate::runtime::process::{ProcessConfig, ProcessRuntime};
use crate::runtime::{Runtime, WorkerSpec};
use rustix::process::{getegid, geteuid};
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// The file of this program, also after it was replaced by that of the next version.
const OWN_PROGRAM: &str = "/proc/self/exe";

/// A runtime, and why this one.
pub(super) struct Chosen {
    pub(super) runtime: Arc<dyn Runtime>,
    pub(super) reason: String,
}

enum Kind {
    Docker,
    Process,
}

pub(super) async fn choose(
    config: &Config,
    data_dir: &Path,
    control: &ControlPlane,
    engines: &Engines,
    instance: InstanceId,
) -> Result<Chosen, StartError> {
    let engine = DockerEngine::local();
    let remembered = control.current().state.runtime.clone();
    let (kind, reason) = match (config.runtime, remembered.as_deref()) {
        (RuntimeChoice::Docker, _) => (Kind::Docker, "DBFORGE_RUNTIME says so".to_owned()),
        (RuntimeChoice::Process, _) => (Kind::Process, "DBFORGE_RUNTIME says so".to_owned()),
        (RuntimeChoice::Auto, Some("docker")) => {
            let reason =
                "this data folder's workers are containers; DBFORGE_RUNTIME can change that";
            (Kind::Docker, reason.to_owned())
        }
        (RuntimeChoice::Auto, Some(_)) => {
            let reason =
                "this data folder's workers are not containers; DBFORGE_RUNTIME can change that";
            (Kind::Process, reason.to_owned())
        }
        (RuntimeChoice::Auto, None) => {
            let availability = engine.availability(&config.worker_image).await;
            let kind = match availability {
                DockerAvailability::Available { .. } => Kind::Docker,
                DockerAvailability::NoEngine { .. } | DockerAvailability::NoImage { .. } => {
                    Kind::Process
                }
            };
            (kind, availability.to_string())
        }
    };
    let runtime: Arc<dyn Runtime> = match kind {
        Kind::Docker => Arc::new(docker(config, data_dir, engine, instance).await?),
        Kind::Process => {
            let user = geteuid().is_root().then(|| worker_user(config));
            Arc::new(process(data_dir, user, control, engines, instance))
        }
    };
    remember(control, runtime.name(), &reason).await?;
    Ok(Chosen { runtime, reason })
}

async fn docker(
    config: &Config,
    data_dir: &Path,
    engine: DockerEngine,
    instance: InstanceId,
) -> Result<DockerRuntime, StartError> {
    let host_data_dir = match &config.host_data_dir {
        Some(path) => path.clone(),
        None => engine.host_data_dir(data_dir).await.map_err(|error| {
            StartError::Runtime(format!(
                "cannot find the data folder's path on the Docker host: {error}; \
                 set DBFORGE_HOST_DATA_DIR"
            ))
        })?,
    };
    let docker_config = DockerConfig {
        instance,
        image: config.worker_image.clone(),
        program: OWN_PROGRAM.into(),
        user: worker_user(config),
        data_dir: data_dir.to_owned(),
        host_data_dir,
    };
    DockerRuntime::new(engine, docker_config)
        .map_err(|error| StartError::Runtime(error.to_string()))
}

/// Registrations follow from the state: every database that answers SQL and had a worker has one.
/// Not those whose worker runs a program: it has ended with the gateway before.
fn process(
    data_dir: &Path,
    user: Option<(u32, u32)>,
    control: &ControlPlane,
    engines: &Engines,
    instance: InstanceId,
) -> ProcessRuntime {
    let config = ProcessConfig {
        program: OWN_PROGRAM.into(),
        user,
        databases: data_dir.join("databases"),
        logs: data_dir.join(".forge").join("worker-logs"),
    };
    let current = control.current();
    let no_request = RequestId(Uuid::nil());
    let with_worker = current
        .state
        .databases()
        .filter(|database| database.condition == Condition::Ready && database.worker.is_some());
    let sleeping = with_worker.filter_map(|database| {
        let folder = data_dir.join("databases").join(database.id.to_string());
        let engine = engines.find(&database.engine.0)?;
        let program = engine.program(database, &config.place(&folder));
        let is_entry = program.sleeps();
        is_entry.then(|| WorkerSpec::of(database, instance, folder, no_request, program))
    });
    let sleeping: Vec<WorkerSpec> = sleeping.collect();
    ProcessRuntime::new(config, sleeping)
}

/// The user and group that own databases' folders and run workers: the gateway's own, or, when
/// that is root, the configured ones.
pub(super) fn worker_user(config: &Config) -> (u32, u32) {
    if geteuid().is_root() {
        (config.worker_user.user, config.worker_user.group)
    } else {
        (geteuid().as_raw(), getegid().as_raw())
    }
}

/// A data folder remembers its choice: if Docker is down at a later start, it is waited for.
async fn remember(control: &ControlPlane, runtime: &str, reason: &str) -> Result<(), StartError> {
    let current = control.current();
    if current.read_only.is_some() || current.state.runtime.as_deref() == Some(runtime) {
        return Ok(());
    }
    if let Some(before) = &current.state.runtime {
        tracing::warn!(
            "switching from the {before} runtime to the {runtime} runtime; \
             workers of the {before} runtime are left as they are"
        );
    }
    let command = Command::ChooseRuntime {
        runtime: runtime.to_owned(),
        reason: reason.to_owned(),
    };
    let submission = Submission::new(command, Actor::named("forge"), control.fresh_request());
    control.submit(submission).await?;
    Ok(())
}
