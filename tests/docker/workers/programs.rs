//! Programs in containers: the contract of all runtimes, and what containers add to it.
use crate::support::program_contract::{polled, serving, until_serving};
use crate::support::runtime_contract::{TestForge, until};
use crate::support::{DockerForge, docker, worker_image};
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::LogsOptionsBuilder;
use dbforge::clock::{IdSource, RandomIds};
use dbforge::domain::ids::InstanceId;
use dbforge::runtime::docker::DockerEngine;
use dbforge::runtime::{Program, StopSignal, WorkerSpec, WorkerState};
use futures_util::StreamExt as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

crate::support::program_contract::program_contract!(DockerForge);

async fn inspected(spec: &WorkerSpec) -> ContainerInspectResponse {
    let docker = docker().await;
    docker.inspect_container(&spec.name, None).await.unwrap()
}

#[tokio::test]
async fn a_container_has_what_its_program_asks_for() {
    let forge = DockerForge::new().await;
    let spec = serving(&forge, "shop");
    let program = Program {
        environment: vec![("COLOUR".to_owned(), "green".to_owned())],
        stop_signal: StopSignal::Interrupt,
        processes: 17,
        data_bytes: Some(64 << 20),
        leftovers: vec!["run/socket.lock".into()],
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;

    let container = inspected(&spec).await;
    assert_eq!(container.path.as_deref(), Some("/dbforge"));
    let arguments = container.args.clone().unwrap().join(" ");
    assert_eq!(
        arguments,
        "worker exec --lock /data/database/lock --data-bytes 67108864 \
         --remove /data/database/run/socket.lock -- /dbforge worker run"
    );
    let config = container.config.as_ref().unwrap();
    assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
    assert_eq!(config.stop_timeout, Some(20));
    let environment = config.env.clone().unwrap();
    assert!(environment.contains(&"COLOUR=green".to_owned()));
    let check = config.healthcheck.clone().unwrap().test.unwrap().join(" ");
    assert_eq!(
        check,
        "CMD /dbforge worker health --engine sqlite --folder /data/database"
    );
    let host = container.host_config.as_ref().unwrap();
    assert_eq!(host.pids_limit, Some(17));
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.cap_drop.clone().unwrap(), ["ALL"]);

    // The program itself is the container's first process, with its bounds.
    let process = container.state.as_ref().unwrap().pid.unwrap();
    let arguments = || fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    polled("it is the program", || {
        arguments() == "/dbforge\0worker\0run\0"
    })
    .await;
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let limit = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..]
            .split_whitespace()
            .next()
            .unwrap()
            .to_owned()
    };
    assert_eq!(limit("Max data size"), "67108864");
    assert_eq!(limit("Max core file size"), "0");
}

#[tokio::test]
async fn a_program_ends_by_itself_when_its_worker_is_taken_away() {
    let forge = DockerForge::new().await;
    let spec = serving(&forge, "shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    // Quarantine keeps the container, in which the end can be seen.
    forge.runtime().quarantine(&id).await.unwrap();
    let container = docker().await.inspect_container(&id, None).await.unwrap();
    let state = container.state.unwrap();
    assert_eq!((state.running, state.exit_code), (Some(false), Some(0)));
}

#[tokio::test]
async fn an_image_of_others_is_given_this_program() {
    let forge = DockerForge::new().await;
    let spec = serving(&forge, "shop");
    // Named, it counts as one of others.
    let program = Program {
        image: Some(worker_image()),
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;
    let mounts = inspected(&spec).await.mounts.unwrap();
    let own = mounts
        .iter()
        .find(|it| it.destination.as_deref() == Some("/dbforge"))
        .unwrap();
    assert_eq!(own.rw, Some(false));
    let folder = forge.config.data_dir.join(".forge/bin");
    let copies: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
    assert_eq!(copies.len(), 1);
    let mode = copies[0].metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o555);
}

#[tokio::test]
async fn a_missing_image_is_refused_by_its_name() {
    let forge = DockerForge::new().await;
    let spec = serving(&forge, "shop");
    let program = Program {
        image: Some("dbforge-test/never-built:1".to_owned()),
        ..spec.program.clone()
    };
    let spec = WorkerSpec { program, ..spec };
    let refusal = forge.runtime().ensure_running(&spec).await.unwrap_err();
    assert!(!refusal.is_transient(), "{refusal}");
    assert!(refusal.to_string().contains("never-built"), "{refusal}");
}

#[tokio::test]
async fn of_two_containers_on_one_folder_the_second_ends_and_says_why() {
    let forge = DockerForge::new().await;
    let spec = serving(&forge, "shop");
    let first = forge.runtime().ensure_running(&spec).await.unwrap();
    until_serving(&forge, &spec).await;

    let mut config = forge.config.clone();
    config.instance = InstanceId(RandomIds.fresh());
    let instance = config.instance;
    let other = DockerForge::with(DockerEngine::local(), config);
    let second = WorkerSpec {
        instance,
        name: format!("{}-second", spec.name),
        ..spec.clone()
    };
    let id = other.runtime().ensure_running(&second).await.unwrap();
    until(&other, second.database, WorkerState::Exited).await;
    let options = LogsOptionsBuilder::new().stderr(true).build();
    let docker = docker().await;
    let said: Vec<_> = docker.logs(&id, Some(options)).collect().await;
    let said: String = said
        .into_iter()
        .map(|line| line.unwrap().to_string())
        .collect();
    assert!(said.contains("the database's folder is in use"), "{said}");
    let still = forge.runtime().ensure_running(&spec).await.unwrap();
    assert_eq!(still, first);
    until(&forge, spec.database, WorkerState::Healthy).await;
}
