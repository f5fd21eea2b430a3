//! The whole gateway on the real engine: asked through its API, looked at from the engine.
use crate::support::docker;
use crate::support::gateway_forge::Forge;
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptionsBuilder};
use serde_json::json;

#[test]
fn a_database_made_through_the_api_has_one_hardened_container_and_deleting_removes_it() {
    let forge = Forge::start();
    forge.create(&["shop"]);
    let worker = forge.worker_of("shop").unwrap();
    let host = worker.host_config.unwrap();
    assert_eq!(host.readonly_rootfs, Some(true));
    assert_eq!(host.cap_drop.unwrap(), ["ALL"]);
    assert!(
        host.security_opt
            .unwrap()
            .iter()
            .any(|it| it.starts_with("no-new-privileges"))
    );
    assert_eq!(host.network_mode.as_deref(), Some("none"));
    assert_eq!(host.memory, Some(256 << 20));
    assert_eq!(host.nano_cpus, Some(500_000_000));
    assert!(host.pids_limit.unwrap() > 0);
    assert_eq!(worker.mounts.unwrap().len(), 1);
    let config = worker.config.unwrap();
    assert!(!config.user.unwrap().starts_with('0'), "never root");
    assert!(config.healthcheck.is_some());
    assert!(config.labels.unwrap().contains_key("dbforge.instance"));

    let query = "/v1/databases/shop/query";
    let sql = "SELECT 1 + 1 AS two";
    let (_, answer) = forge.gateway().post(query, &json!({ "sql": sql })).unwrap();
    assert_eq!(answer["rows"], json!([[2]]));

    forge.gateway().delete("/v1/databases/shop").unwrap();
    forge
        .gateway()
        .poll("its container is gone", || forge.containers().is_empty());
}

#[test]
fn a_killed_worker_and_a_removed_one_come_back_with_the_data_untouched() {
    let forge = Forge::start();
    forge.create(&["shop"]);
    let query = "/v1/databases/shop/query";
    for sql in ["CREATE TABLE t(a)", "INSERT INTO t VALUES (7)"] {
        let (status, body) = forge.gateway().post(query, &json!({ "sql": sql })).unwrap();
        assert_eq!(status, 200, "{body}");
    }
    for is_killed in [true, false] {
        let before = forge.worker_of("shop").unwrap().id.unwrap();
        forge.tokio.block_on(async {
            let docker = docker().await;
            if is_killed {
                docker
                    .kill_container(&before, None::<KillContainerOptions>)
                    .await
                    .unwrap();
            } else {
                let force = RemoveContainerOptionsBuilder::new().force(true).build();
                docker.remove_container(&before, Some(force)).await.unwrap();
            }
        });
        forge.gateway().poll("another worker runs", || {
            forge.worker_of("shop").is_some_and(|it| {
                it.id.as_deref() != Some(&before) && it.state.unwrap().running == Some(true)
            })
        });
    }
    let select = json!({"sql": "SELECT a FROM t"});
    let (_, answer) = forge.gateway().post(query, &select).unwrap();
    assert_eq!(answer["rows"], json!([[7]]));
}

#[test]
fn a_gateway_killed_in_the_middle_of_creates_leaves_no_orphan_container() {
    let mut forge = Forge::start();
    for round in 0..3 {
        for n in 0..4 {
            let name = json!({"name": format!("r{round}n{n}")});
            let (status, body) = forge.gateway().post("/v1/databases", &name).unwrap();
            assert_eq!(status, 202, "{body}");
        }
        forge.kill_gateway();
        forge.start_gateway();
    }
    forge.until_every_job_ends();
    let (_, databases) = forge.gateway().get("/v1/databases?limit=1000").unwrap();
    let databases = databases["data"].as_array().unwrap().clone();
    assert_eq!(databases.len(), 12, "every acknowledged create");
    assert_eq!(
        forge.containers().len(),
        databases.len(),
        "one container each"
    );
    for database in &databases {
        let name = database["name"].as_str().unwrap();
        assert!(forge.worker_of(name).is_some(), "{name}");
    }
}

#[test]
fn many_creates_at_once_all_end() {
    let forge = Forge::start();
    let names: Vec<String> = (0..20).map(|n| format!("db{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    forge.create(&names);
    assert_eq!(forge.containers().len(), names.len());
}
