//! How a worker's container is made: everything shut that it does not need.
use super::answer::refused;
use crate::domain::ids::{DatabaseId, InstanceId};
use crate::runtime::{RuntimeError, WORKER_FOLDER, WorkerSpec};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

const INSTANCE_LABEL: &str = "dbforge.instance";
pub(super) const DATABASE_LABEL: &str = "dbforge.database";
pub(super) const GENERATION_LABEL: &str = "dbforge.generation";
pub(super) const SPEC_LABEL: &str = "dbforge.spec";
const REQUEST_LABEL: &str = "dbforge.request";

/// Counts this recipe's versions: raise it with every change below, and workers made by an older
/// one are replaced as if their spec had changed.
pub(super) const GENERATION: &str = "1";

const PROGRAM: &str = "/dbforge";

/// What Docker runs inside a worker to check it, and we run for the first check.
pub(super) const HEALTH_COMMAND: &[&str] = &[PROGRAM, "worker", "health"];

/// How often Docker checks a worker. Each check starts a process in the container, about 50 ms
/// of processor time: every second for fifty idle workers would take more than two cores; every
/// 30 s takes under a tenth of one. (Docker before 25.0 knows no shorter interval for the
/// start, so the first check is ours.)
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
/// A check reads 16 bytes; what takes longer hangs.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// One failure may be a moment's, on a machine under load.
const HEALTH_RETRIES: i64 = 2;

/// Most processes and threads in a worker: the first one, a check, and an operation with a few
/// threads are about ten.
const PIDS: i64 = 64;

/// The only place to write to besides the database's folder; counts as the worker's memory.
const TMPFS: &str = "rw,noexec,nosuid,nodev,size=16m";

/// What workers have in common.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The forge that they belong to.
    pub instance: InstanceId,
    /// What they run: `/dbforge` and nothing else.
    pub image: String,
    /// User and group of the workers, which own the databases' folders. Never root.
    pub user: (u32, u32),
    /// The data folder as the gateway sees it.
    pub data_dir: PathBuf,
    /// The same folder as Docker sees it: another path when the gateway is in a container
    /// ([`super::DockerEngine::host_data_dir`]).
    pub host_data_dir: PathBuf,
}

/// The labels by which a forge's, or a database's, containers are found: `key=value`.
pub(super) fn labels_of(instance: InstanceId, database: Option<DatabaseId>) -> Vec<String> {
    let mut labels = vec![format!("{INSTANCE_LABEL}={instance}")];
    labels.extend(database.map(|database| format!("{DATABASE_LABEL}={database}")));
    labels
}

/// The container for `spec`.
pub(super) fn container(
    config: &DockerConfig,
    spec: &WorkerSpec,
) -> Result<ContainerCreateBody, RuntimeError> {
    let (uid, gid) = config.user;
    Ok(ContainerCreateBody {
        image: Some(config.image.clone()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        cmd: Some(vec!["worker".to_owned(), "run".to_owned()]),
        user: Some(format!("{uid}:{gid}")),
        labels: Some(labels(spec)),
        healthcheck: Some(health_check()),
        host_config: Some(HostConfig {
            mounts: Some(vec![folder(config, spec)?]),
            ..hardening(spec)
        }),
        ..Default::default()
    })
}

fn labels(spec: &WorkerSpec) -> HashMap<String, String> {
    HashMap::from([
        (INSTANCE_LABEL.to_owned(), spec.instance.to_string()),
        (DATABASE_LABEL.to_owned(), spec.database.to_string()),
        (GENERATION_LABEL.to_owned(), GENERATION.to_owned()),
        (SPEC_LABEL.to_owned(), spec.hash()),
        (REQUEST_LABEL.to_owned(), spec.request.to_string()),
    ])
}

fn hardening(spec: &WorkerSpec) -> HostConfig {
    let memory = i64::try_from(spec.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        network_mode: Some("none".to_owned()),
        memory: Some(memory),
        // Memory and swap together: so no swap, and a worker that wants more is ended at once
        // instead of making the machine's disk busy.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(spec.cpu_millis) * 1_000_000),
        pids_limit: Some(PIDS),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), TMPFS.to_owned())])),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "1m".to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        // One hand restarts: the reconciler, with back-off, as a job that is in the event log and
        // that ends in `degraded`. Docker's own restarts would hide a crash from it, and would
        // bring workers back that it had stopped.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        ..Default::default()
    }
}

/// The database's folder, all of the disk that the worker sees.
///
/// A *mount* and not a *bind*: for a missing source Docker refuses the first and makes an empty
/// folder, owned by root, for the second.
fn folder(config: &DockerConfig, spec: &WorkerSpec) -> Result<Mount, RuntimeError> {
    let inside = spec.folder.strip_prefix(&config.data_dir).map_err(|_| {
        let (folder, data_dir) = (spec.folder.display(), config.data_dir.display());
        refused(
            "create a worker",
            format!("its folder {folder} is not in the data folder {data_dir}"),
        )
    })?;
    let source = config.host_data_dir.join(inside);
    let Some(source) = source.to_str() else {
        let text = format!("its folder {} is not UTF-8", source.display());
        return Err(refused("create a worker", text));
    };
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(WORKER_FOLDER.to_owned()),
        read_only: Some(false),
        ..Default::default()
    })
}

fn health_check() -> HealthConfig {
    let nanoseconds = |it: Duration| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: Some(
            std::iter::once("CMD")
                .chain(HEALTH_COMMAND.iter().copied())
                .map(str::to_owned)
                .collect(),
        ),
        interval: Some(nanoseconds(HEALTH_INTERVAL)),
        timeout: Some(nanoseconds(HEALTH_TIMEOUT)),
        retries: Some(HEALTH_RETRIES),
        ..Default::default()
    }
}
