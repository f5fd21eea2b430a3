//! What the engine says of a worker's hardening, one by one.
use crate::support::runtime_contract::{TestForge, ids, until_healthy};
use crate::support::{DockerForge, docker};
use bollard::models::{ContainerInspectResponse, HostConfig, RestartPolicyNameEnum};
use dbforge::runtime::docker::{DockerEngine, DockerRuntime};
use dbforge::runtime::{RuntimeError, WorkerSpec};
use std::collections::HashMap;

struct Inspected {
    forge: DockerForge,
    spec: WorkerSpec,
    container: ContainerInspectResponse,
}

async fn inspected() -> Inspected {
    let forge = DockerForge::new().await;
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    let container = docker().await.inspect_container(&id, None).await.unwrap();
    Inspected {
        forge,
        spec,
        container,
    }
}

impl Inspected {
    fn host(&self) -> &HostConfig {
        self.container.host_config.as_ref().unwrap()
    }
}

#[tokio::test]
async fn a_worker_has_its_name_and_every_label() {
    let it = inspected().await;
    assert_eq!(it.container.name, Some(format!("/{}", it.spec.name)));
    let labels = it
        .container
        .config
        .as_ref()
        .unwrap()
        .labels
        .clone()
        .unwrap();
    let ours: HashMap<_, _> = labels
        .iter()
        .filter(|(key, _)| key.starts_with("dbforge."))
        .map(|(key, value)| (key.as_str(), value.clone()))
        .collect();
    assert_eq!(
        ours,
        HashMap::from([
            ("dbforge.instance", it.spec.instance.to_string()),
            ("dbforge.database", it.spec.database.to_string()),
            ("dbforge.generation", "1".to_owned()),
            ("dbforge.spec", it.spec.hash()),
            ("dbforge.request", it.spec.request.to_string()),
        ])
    );
}

#[tokio::test]
async fn a_worker_can_write_nowhere_but_in_its_folder_and_a_small_tmp() {
    let it = inspected().await;
    assert_eq!(it.host().readonly_rootfs, Some(true));
    let tmp = "rw,noexec,nosuid,nodev,size=16m".to_owned();
    assert_eq!(
        it.host().tmpfs,
        Some(HashMap::from([("/tmp".to_owned(), tmp)]))
    );

    let mounts = it.container.mounts.as_ref().unwrap();
    assert_eq!(mounts.len(), 1, "{mounts:?}");
    assert_eq!(mounts[0].typ.as_deref(), Some("bind"));
    assert_eq!(mounts[0].source.as_deref(), it.spec.folder.to_str());
    assert_eq!(mounts[0].destination.as_deref(), Some("/data/database"));
    assert_eq!(mounts[0].rw, Some(true));
    assert!(it.host().binds.as_ref().is_none_or(Vec::is_empty));
}

#[tokio::test]
async fn a_worker_has_no_rights_and_can_get_none() {
    let it = inspected().await;
    let host = it.host();
    assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
    assert!(host.cap_add.as_ref().is_none_or(Vec::is_empty));
    assert_eq!(host.privileged, Some(false));
    let options = host.security_opt.as_ref().unwrap();
    assert_eq!(options, &["no-new-privileges:true"]);
    let (uid, gid) = it.forge.config.user;
    assert_ne!(uid, 0);
    let user = it.container.config.as_ref().unwrap().user.clone();
    assert_eq!(user, Some(format!("{uid}:{gid}")));
}

#[tokio::test]
async fn a_worker_is_on_no_network() {
    let it = inspected().await;
    assert_eq!(it.host().network_mode.as_deref(), Some("none"));
    let settings = it.container.network_settings.as_ref().unwrap();
    let networks: Vec<_> = settings.networks.as_ref().unwrap().keys().collect();
    assert_eq!(networks, ["none"]);
}

#[tokio::test]
async fn a_worker_has_its_share_of_the_machine_and_no_more() {
    let it = inspected().await;
    let host = it.host();
    assert_eq!(host.memory, Some(64 << 20));
    assert_eq!(host.memory_swap, Some(64 << 20), "no swap on top");
    assert_eq!(host.nano_cpus, Some(500_000_000));
    assert_eq!(host.pids_limit, Some(64));
    let log = host.log_config.as_ref().unwrap();
    assert_eq!(log.typ.as_deref(), Some("json-file"));
    let limits = [("max-size", "1m"), ("max-file", "2")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(log.config, Some(HashMap::from(limits)));
}

#[tokio::test]
async fn a_worker_runs_our_program_and_nothing_restarts_it_but_the_reconciler() {
    let it = inspected().await;
    assert_eq!(it.container.path.as_deref(), Some("/dbforge"));
    let arguments = it.container.args.as_ref().unwrap();
    assert_eq!(arguments, &["worker", "run"]);
    let policy = it.host().restart_policy.as_ref().unwrap();
    assert_eq!(policy.name, Some(RestartPolicyNameEnum::NO));
}

#[tokio::test]
async fn a_worker_is_checked_by_the_engine_and_the_first_time_by_us() {
    let it = inspected().await;
    let check = it
        .container
        .config
        .as_ref()
        .unwrap()
        .healthcheck
        .clone()
        .unwrap();
    let command = ["CMD", "/dbforge", "worker", "health"].map(str::to_owned);
    assert_eq!(check.test, Some(command.to_vec()));
    assert_eq!(check.interval, Some(30_000_000_000));
    assert_eq!(check.timeout, Some(5_000_000_000));
    assert_eq!(check.retries, Some(2));
    // Far sooner than the engine's first check.
    until_healthy(&it.forge, it.spec.database).await;
}

#[tokio::test]
async fn a_worker_whose_file_is_no_database_does_not_become_healthy() {
    let forge = DockerForge::new().await;
    let spec = forge.spec("shop");
    std::fs::write(spec.folder.join("main.db"), b"#!/bin/sh\n").unwrap();
    forge.runtime().ensure_running(&spec).await.unwrap();
    for _ in 0..3 {
        let worker = forge
            .runtime()
            .inspect(spec.database)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(worker.state.as_str(), "starting");
    }
}

#[tokio::test]
async fn a_missing_folder_is_refused_and_not_made() {
    let forge = DockerForge::new().await;
    let spec = forge.spec("shop");
    std::fs::remove_dir_all(&spec.folder).unwrap();
    let refusal = forge.runtime().ensure_running(&spec).await.unwrap_err();
    assert!(!refusal.is_transient(), "{refusal}");
    assert!(!spec.folder.exists());
}

#[tokio::test]
async fn a_folder_outside_the_data_folder_is_refused_and_costs_no_worker() {
    let forge = DockerForge::new().await;
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    let elsewhere = WorkerSpec {
        folder: "/etc".into(),
        ..spec
    };
    let refusal = forge.runtime().ensure_running(&elsewhere).await;
    assert!(!refusal.unwrap_err().is_transient());
    assert_eq!(ids(&forge).await, [id]);
}

#[tokio::test]
async fn workers_are_never_run_by_root() {
    let mut config = DockerForge::new().await.config.clone();
    config.user = (0, 0);
    let refusal = DockerRuntime::new(DockerEngine::local(), config).unwrap_err();
    assert!(matches!(refusal, RuntimeError::Refused { .. }), "{refusal}");
}
