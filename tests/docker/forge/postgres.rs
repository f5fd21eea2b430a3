//! Databases of PostgreSQL in containers: made through the API, looked at from the engine.
use crate::support::docker;
use crate::support::gateway_forge::Forge;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptions, RemoveContainerOptionsBuilder,
    WaitContainerOptions,
};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

fn create(forge: &Forge, name: &str) {
    let body = json!({"name": name, "engine": "postgres", "limits": {"memory_bytes": 128 << 20}});
    forge
        .gateway()
        .done(forge.gateway().post("/v1/databases", &body));
}

/// The answer to a statement, once the server takes it.
#[track_caller]
fn ask(forge: &Forge, name: &str, sql: &str) -> (u16, Value) {
    let path = format!("/v1/databases/{name}/query");
    let body = json!({"sql": sql, "timeout_ms": 20_000});
    let answered = std::cell::RefCell::new(None);
    forge.gateway().poll("the server answers", || {
        let answer = forge.gateway().post(&path, &body);
        let is_away = |(status, answer): &(u16, Value)| {
            *status != 200 && answer["code"] == "database_not_ready"
        };
        match answer {
            Some(answer) if !is_away(&answer) => {
                *answered.borrow_mut() = Some(answer);
                true
            }
            _ => false,
        }
    });
    answered.into_inner().unwrap()
}

fn rows(forge: &Forge, name: &str, sql: &str) -> Value {
    let (status, answer) = ask(forge, name, sql);
    assert_eq!(status, 200, "{sql}: {answer}");
    answer["rows"].clone()
}

#[test]
fn a_server_has_a_hardened_container_and_what_it_has_committed_outlives_it() {
    let forge = Forge::start();
    create(&forge, "shop");
    let worker = forge.worker_of("shop").unwrap();
    let host = worker.host_config.unwrap();
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.memory, Some(128 << 20));
    assert_eq!(host.memory_swap, Some(128 << 20));
    let config = worker.config.unwrap();
    assert_eq!(config.stop_signal.as_deref(), Some("SIGINT"));
    assert!(!config.user.unwrap().starts_with('0'), "never root");
    let writable = worker
        .mounts
        .unwrap()
        .into_iter()
        .filter(|mount| mount.rw == Some(true));
    assert_eq!(writable.count(), 1, "its folder and nothing else");

    rows(&forge, "shop", "CREATE TABLE tea (name text)");
    rows(&forge, "shop", "INSERT INTO tea VALUES ('sencha')");
    let before = worker.id.unwrap();
    forge.tokio.block_on(async {
        let killed = docker()
            .await
            .kill_container(&before, None::<KillContainerOptions>)
            .await;
        killed.unwrap();
    });
    assert_eq!(
        rows(&forge, "shop", "SELECT * FROM tea"),
        json!([["sencha"]])
    );
    for verb in ["stop", "start", "restart"] {
        let path = format!("/v1/databases/shop/{verb}");
        forge
            .gateway()
            .done(forge.gateway().post(&path, &json!({})));
    }
    assert_eq!(
        rows(&forge, "shop", "SELECT * FROM tea"),
        json!([["sencha"]])
    );
    forge
        .gateway()
        .done(forge.gateway().delete("/v1/databases/shop"));
    assert!(forge.containers().is_empty());
    let undelete = forge
        .gateway()
        .post("/v1/databases/shop/undelete", &json!({}));
    forge.gateway().done(undelete);
    assert_eq!(
        rows(&forge, "shop", "SELECT * FROM tea"),
        json!([["sencha"]])
    );
    forge
        .gateway()
        .done(forge.gateway().delete("/v1/databases/shop?purge=true"));
    assert!(forge.containers().is_empty() && forge.folders("databases").is_empty());
}

#[test]
fn a_statement_that_wants_all_memory_fails_alone() {
    let forge = Forge::start();
    create(&forge, "shop");
    let started = "SELECT pg_postmaster_start_time()::text";
    let before = rows(&forge, "shop", started);
    let (status, refused) = ask(&forge, "shop", "SELECT length(repeat('x', 200000000))");
    assert_eq!(status, 400, "{refused}");
    assert!(
        refused["detail"].as_str().unwrap().contains("memory"),
        "{refused}"
    );
    assert_eq!(rows(&forge, "shop", started), before, "the server goes on");
}

#[test]
fn a_second_container_on_a_folder_does_not_serve() {
    let forge = Forge::start();
    create(&forge, "shop");
    let worker = forge.worker_of("shop").unwrap();
    let config = worker.config.unwrap();
    let body = ContainerCreateBody {
        image: config.image,
        entrypoint: config.entrypoint,
        cmd: config.cmd,
        user: config.user,
        env: config.env,
        host_config: worker.host_config,
        ..Default::default()
    };
    let name = format!("second-{}", worker.id.unwrap());
    let code = forge.tokio.block_on(async {
        let docker = docker().await;
        let options = CreateContainerOptionsBuilder::new().name(&name).build();
        docker.create_container(Some(options), body).await.unwrap();
        docker.start_container(&name, None).await.unwrap();
        let mut waited = std::pin::pin!(docker.wait_container(&name, None::<WaitContainerOptions>));
        let ended = waited.next().await;
        let force = RemoveContainerOptionsBuilder::new().force(true).build();
        docker.remove_container(&name, Some(force)).await.unwrap();
        ended.unwrap()
    });
    assert!(
        !matches!(code, Ok(ended) if ended.status_code == 0),
        "it found the folder in use"
    );
    assert_eq!(rows(&forge, "shop", "SELECT 1"), json!([[1]]));
}
