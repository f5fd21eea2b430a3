//! The gateway killed in the middle of everything under load, with real containers.
use crate::support::gateway_forge::Forge;
use crate::support::gateway_process::GatewayProcess;
use dbforge::clock::{IdSource, RandomIds};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

const KILLS: u32 = 10;
const DATABASES: [&str; 6] = ["db0", "db1", "db2", "db3", "db4", "db5"];
/// A container takes some 0.2 s to start and as long to go, so kills fall into every part of it.
const LONGEST_LIFE_MS: u32 = 1500;

#[test]
fn ten_kills_under_load_leave_one_container_for_each_ready_database_and_nothing_else() {
    let mut forge = Forge::start();
    let mut acknowledged = Vec::new();
    for life in 0..KILLS {
        let instant = LONGEST_LIFE_MS * u32::from(RandomIds.jitter_permille()) / 1000;
        let told = std::thread::scope(|scope| {
            let gateway = forge.gateway();
            let clients: Vec<_> = (0..)
                .zip(DATABASES)
                .map(|(n, name)| scope.spawn(move || load(gateway, name, life + n)))
                .collect();
            // The instant is what is tried, not waited for.
            std::thread::sleep(Duration::from_millis(instant.into()));
            gateway.kill_now();
            let told = clients.into_iter().map(|it| it.join().unwrap());
            told.flatten().collect::<Vec<_>>()
        });
        acknowledged.extend(told);
        forge.kill_gateway();
        forge.start_gateway();
    }
    forge.until_every_job_ends();
    assert!(
        acknowledged.len() > DATABASES.len(),
        "the clients did something"
    );
    for id in acknowledged {
        let (status, job) = forge.gateway().get(&format!("/v1/jobs/{id}")).unwrap();
        assert_eq!(status, 200, "{job}");
        assert_ne!(job["state"], "stuck", "{job}");
    }
    assert_nothing_else(&forge);
}

/// Commands on one database until the gateway does not answer; the jobs that it acknowledged.
fn load(gateway: &GatewayProcess, name: &str, first: u32) -> Vec<String> {
    let database = format!("/v1/databases/{name}");
    let mut told = Vec::new();
    for n in first.. {
        let answer = match n % 6 {
            0 | 3 => gateway.post("/v1/databases", &json!({ "name": name })),
            1 => gateway.post(&format!("{database}/restart"), &json!({})),
            2 => gateway.delete(&format!("{database}?purge=true")),
            4 => gateway.post(&format!("{database}/stop"), &json!({})),
            _ => gateway.post(&format!("{database}/start"), &json!({})),
        };
        let Some((status, job)) = answer else {
            break;
        };
        assert!(status < 500, "{status} {job}");
        let Some(id) = job["id"].as_str().filter(|_| status == 202) else {
            continue;
        };
        told.push(id.to_owned());
        // Its turn comes, so that the next command meets what it brought about.
        if gateway.get(&format!("/v1/jobs/{id}?wait=10")).is_none() {
            break;
        }
    }
    told
}

/// Containers and folders are those of the databases that the gateway shows.
fn assert_nothing_else(forge: &Forge) {
    let (_, databases) = forge.gateway().get("/v1/databases?limit=1000").unwrap();
    let databases = databases["data"].as_array().unwrap();
    let ready: Vec<_> = databases
        .iter()
        .filter(|it| it["state"] == "ready")
        .collect();
    let containers = forge.containers();
    assert_eq!(containers.len(), ready.len(), "{containers:?}");
    for database in ready {
        let name = database["name"].as_str().unwrap();
        assert!(forge.worker_of(name).is_some(), "{name}");
    }
    let ids = |states: &[&str]| -> BTreeSet<String> {
        let of = databases
            .iter()
            .filter(|it| states.contains(&it["state"].as_str().unwrap()));
        of.map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(forge.folders("databases"), ids(&["ready", "stopped"]));
    assert_eq!(forge.folders("trash"), ids(&["trashed"]));
}
