//! How a worker's container is made: everything shut that it does not need.
use super::answer::refused;
use crate::domain::ids::{DatabaseId, InstanceId};
use crate::runtime::{Errand, LOCK, Program, RuntimeError, WORKER_FOLDER, WorkerSpec};
use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    RestartPolicy, RestartPolicyNameEnum,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const INSTANCE_LABEL: &str = "dbforge.instance";
pub(super) const DATABASE_LABEL: &str = "dbforge.database";
pub(super) const GENERATION_LABEL: &str = "dbforge.generation";
pub(super) const SPEC_LABEL: &str = "dbforge.spec";
const REQUEST_LABEL: &str = "dbforge.request";
/// The check of a program, as JSON. A worker without this label only sleeps.
pub(super) const CHECK_LABEL: &str = "dbforge.check";

/// Counts this recipe's versions: raise it with every change below to what a worker that sleeps
/// is made of, and workers made by an older one are replaced as if their spec had changed.
pub(super) const GENERATION: &str = "1";

const PROGRAM: &str = "/dbforge";

/// How often Docker checks a worker. Each check starts a process in the container, about 50 ms
/// of processor time: every second for fifty idle workers would take more than two cores; every
/// 30 s takes under a tenth of one. (Docker before 25.0 knows no shorter interval for the
/// start, so the first check is ours.)
const HEALTH_INTERVAL: Duration = Duration::from_secs(30);
/// A check reads a few bytes; what takes longer hangs.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// One failure may be a moment's, on a machine under load.
const HEALTH_RETRIES: i64 = 2;

/// The only place to write to besides the database's folder; counts as the worker's memory.
const TMPFS: &str = "rw,noexec,nosuid,nodev,size=16m";

/// What an errand may use: it is short, and a create waits for it.
const ERRAND_MEMORY: u64 = 256 << 20;
const ERRAND_CPU_MILLIS: u32 = 2000;
const ERRAND_PROCESSES: u32 = 64;

/// What workers have in common.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The forge that they belong to.
    pub instance: InstanceId,
    /// What they run where their program names no other image: `/dbforge` and nothing else.
    pub image: String,
    /// The file of this program, for images that do not have it.
    pub program: PathBuf,
    /// User and group of the workers, which own the databases' folders. Never root.
    pub user: (u32, u32),
    /// The data folder as the gateway sees it.
    pub data_dir: PathBuf,
    /// The same folder as Docker sees it: another path when the gateway is in a container
    /// ([`super::DockerEngine::host_data_dir`]).
    pub host_data_dir: PathBuf,
}

impl DockerConfig {
    /// Where copies of this program are.
    pub(super) fn programs(&self) -> PathBuf {
        self.data_dir.join(".forge").join("bin")
    }
}

/// The labels by which a forge's, or a database's, containers are found: `key=value`.
pub(super) fn labels_of(instance: InstanceId, database: Option<DatabaseId>) -> Vec<String> {
    let mut labels = vec![format!("{INSTANCE_LABEL}={instance}")];
    labels.extend(database.map(|database| format!("{DATABASE_LABEL}={database}")));
    labels
}

/// The container for `spec`. `own_program` is this program's file for an image that does not have
/// it.
pub(super) fn container(
    config: &DockerConfig,
    spec: &WorkerSpec,
    own_program: Option<&Path>,
) -> Result<ContainerCreateBody, RuntimeError> {
    let (uid, gid) = config.user;
    let program = &spec.program;
    let mut mounts = vec![mount(config, &spec.folder, WORKER_FOLDER, "its folder")?];
    if let Some(file) = own_program {
        mounts.push(read_only(mount(config, file, PROGRAM, "this program")?));
    }
    let common = ContainerCreateBody {
        image: Some(
            program
                .image
                .clone()
                .unwrap_or_else(|| config.image.clone()),
        ),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        user: Some(format!("{uid}:{gid}")),
        labels: Some(labels(spec)),
        healthcheck: Some(health_check(&program.health)),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            ..hardening(spec.memory_bytes, spec.cpu_millis, program.processes)
        }),
        ..Default::default()
    };
    if program.sleeps() {
        return Ok(ContainerCreateBody {
            cmd: Some(vec!["worker".to_owned(), "run".to_owned()]),
            ..common
        });
    }
    let environment = program.environment.iter();
    let environment = environment.map(|(name, value)| format!("{name}={value}"));
    Ok(ContainerCreateBody {
        cmd: Some(exec(program)),
        env: Some(environment.collect()),
        stop_signal: Some(program.stop_signal.as_str().to_owned()),
        stop_timeout: Some(i64::try_from(program.stop_grace.as_secs()).unwrap_or(i64::MAX)),
        ..common
    })
}

/// The container for an errand. No label tells that it is of a forge: it is no worker.
pub(super) fn errand(
    config: &DockerConfig,
    errand: &Errand,
    own_program: &Path,
) -> Result<ContainerCreateBody, RuntimeError> {
    let (uid, gid) = config.user;
    let mut mounts = vec![
        mount(config, &errand.folder, WORKER_FOLDER, "its folder")?,
        read_only(mount(config, own_program, PROGRAM, "this program")?),
    ];
    for (file, target) in &errand.files {
        mounts.push(read_only(mount(config, file, target, "its file")?));
    }
    Ok(ContainerCreateBody {
        image: Some(errand.image.clone()),
        entrypoint: Some(vec![PROGRAM.to_owned()]),
        cmd: Some(errand.arguments.clone()),
        user: Some(format!("{uid}:{gid}")),
        host_config: Some(HostConfig {
            mounts: Some(mounts),
            ..hardening(ERRAND_MEMORY, ERRAND_CPU_MILLIS, ERRAND_PROCESSES)
        }),
        ..Default::default()
    })
}

fn read_only(mount: Mount) -> Mount {
    Mount {
        read_only: Some(true),
        ..mount
    }
}

/// What `/dbforge` is told: to lock the folder and become the program.
fn exec(program: &Program) -> Vec<String> {
    let folder = Path::new(WORKER_FOLDER);
    let lock = folder.join(LOCK).display().to_string();
    let mut arguments = ["worker", "exec", "--lock"].map(str::to_owned).to_vec();
    arguments.push(lock);
    arguments.extend(program.exec_options(folder));
    arguments.push("--".to_owned());
    arguments.extend(program.command.iter().cloned());
    arguments
}

fn labels(spec: &WorkerSpec) -> HashMap<String, String> {
    let mut labels = HashMap::from([
        (INSTANCE_LABEL.to_owned(), spec.instance.to_string()),
        (DATABASE_LABEL.to_owned(), spec.database.to_string()),
        (GENERATION_LABEL.to_owned(), GENERATION.to_owned()),
        (SPEC_LABEL.to_owned(), spec.hash()),
        (REQUEST_LABEL.to_owned(), spec.request.to_string()),
    ]);
    if !spec.program.sleeps() {
        let check = serde_json::json!(spec.program.health).to_string();
        labels.insert(CHECK_LABEL.to_owned(), check);
    }
    labels
}

/// The check of a container with these labels.
pub(super) fn check_of(labels: &HashMap<String, String>) -> Check {
    match labels.get(CHECK_LABEL) {
        None => Check::OfSleeping(Program::sleeping().health),
        Some(check) => Check::OfProgram(serde_json::from_str(check).unwrap_or_default()),
    }
}

/// What is run in a container to check it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Check {
    /// It holds nothing.
    OfSleeping(Vec<String>),
    /// It has to be asked to end.
    OfProgram(Vec<String>),
}

fn hardening(memory_bytes: u64, cpu_millis: u32, processes: u32) -> HostConfig {
    let memory = i64::try_from(memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        network_mode: Some("none".to_owned()),
        memory: Some(memory),
        // Memory and swap together: so no swap, and a worker that wants more is ended at once
        // instead of making the machine's disk busy.
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(cpu_millis) * 1_000_000),
        pids_limit: Some(i64::from(processes)),
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

/// A file or folder of the data folder. The database's folder is all of the disk that the worker
/// can write to.
///
/// A *mount* and not a *bind*: for a missing source Docker refuses the first and makes an empty
/// folder, owned by root, for the second.
fn mount(
    config: &DockerConfig,
    path: &Path,
    target: &str,
    what: &str,
) -> Result<Mount, RuntimeError> {
    let inside = path.strip_prefix(&config.data_dir).map_err(|_| {
        let (path, data_dir) = (path.display(), config.data_dir.display());
        refused(
            "create a worker",
            format!("{what} {path} is not in the data folder {data_dir}"),
        )
    })?;
    let source = config.host_data_dir.join(inside);
    let Some(source) = source.to_str() else {
        let text = format!("{what} {} is not UTF-8", source.display());
        return Err(refused("create a worker", text));
    };
    Ok(Mount {
        typ: Some(MountType::BIND),
        source: Some(source.to_owned()),
        target: Some(target.to_owned()),
        read_only: Some(false),
        ..Default::default()
    })
}

fn health_check(check: &[String]) -> HealthConfig {
    let nanoseconds = |it: Duration| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX);
    let command = std::iter::once("CMD".to_owned()).chain(check.iter().cloned());
    HealthConfig {
        test: Some(command.collect()),
        interval: Some(nanoseconds(HEALTH_INTERVAL)),
        timeout: Some(nanoseconds(HEALTH_TIMEOUT)),
        retries: Some(HEALTH_RETRIES),
        ..Default::default()
    }
}
