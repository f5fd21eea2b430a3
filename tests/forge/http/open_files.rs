//! A gateway that may have few files open, under the real program.
use crate::support::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A gateway under a limit on open files that it cannot raise.
fn start_with_few_files(data_dir: &Path, most: u32) -> GatewayProcess {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!(r#"ulimit -n {most}; exec "$0" "$@""#)])
        .arg(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    GatewayProcess::try_start(shell, data_dir, &settings).unwrap()
}

#[test]
fn many_databases_are_served_with_few_open_files() {
    const DATABASES: usize = 60;
    let folder = TempDir::new().unwrap();
    let gateway = start_with_few_files(folder.path(), 256);
    let query = |name: &str, sql: &str| {
        let path = format!("/v1/databases/{name}/query");
        gateway.post(&path, &json!({ "sql": sql })).unwrap()
    };
    for n in 0..DATABASES {
        create(&gateway, &format!("db-{n}"));
        // A writer and a reader stay open, with their WAL: 240 files for all databases.
        for sql in ["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"] {
            let (status, answer) = query(&format!("db-{n}"), sql);
            assert_eq!(status, 200, "{answer}");
        }
        let (status, answer) = query(&format!("db-{n}"), "SELECT count(*) FROM t");
        assert_eq!((status, &answer["rows"]), (200, &json!([[1]])), "{answer}");
    }
    std::thread::scope(|scope| {
        for first in 0..4 {
            let query = &query;
            scope.spawn(move || {
                for n in (0..DATABASES).filter(|it| it % 4 == first) {
                    let (status, answer) = query(&format!("db-{n}"), "SELECT count(*) FROM t");
                    assert_eq!((status, &answer["rows"]), (200, &json!([[1]])), "{answer}");
                }
            });
        }
    });
    let (status, job) = gateway.delete("/v1/databases/db-0?purge=true").unwrap();
    assert_eq!(status, 202, "{job}");
    gateway.poll("it is purged", || {
        look(&gateway, &job)["state"] == "succeeded"
    });
    let (status, list) = gateway.get("/v1/databases?limit=100").unwrap();
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["data"].as_array().unwrap().len(), DATABASES - 1);
    assert!(gateway.stop());
}

#[test]
fn a_want_of_descriptors_is_told_as_such_and_passes() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    create(&gateway, "shop");
    let query = |sql: &str| {
        let path = "/v1/databases/shop/query";
        gateway.post(path, &json!({ "sql": sql })).unwrap()
    };

    // Nothing more can be opened, whatever is closed; the client's connection is there already.
    let limit = set_limit(&gateway, Some(3));
    for sql in ["SELECT 1", "CREATE TABLE t (a)"] {
        let (status, answer) = query(sql);
        assert_eq!(
            (status, &answer["code"]),
            (503, &json!("overloaded")),
            "{answer}"
        );
        assert_eq!(answer["retryable"], true, "{answer}");
    }
    let (status, answer) = gateway.get("/v1/databases?limit=1").unwrap();
    let is_told = status == 200 || answer["code"] == "overloaded";
    assert!(is_told, "{status}: {answer}");
    let (status, job) = gateway
        .post("/v1/databases", &json!({ "name": "late" }))
        .unwrap();
    assert_eq!(status, 202, "{job}");
    let attempt = || look(&gateway, &job)["attempts"][0].clone();
    gateway.poll("the first attempt ends", || {
        attempt()["ended_at"].is_string()
    });
    assert_eq!(attempt()["error"]["code"], "overloaded", "{}", attempt());

    set_limit(&gateway, limit);
    gateway.poll("the job succeeds", || {
        look(&gateway, &job)["state"] == "succeeded"
    });
    for sql in ["CREATE TABLE t (a)", "SELECT count(*) FROM t"] {
        let (status, answer) = query(sql);
        assert_eq!(status, 200, "{answer}");
    }
    assert!(gateway.stop());
}

fn create(gateway: &GatewayProcess, name: &str) {
    let (status, job) = gateway
        .post("/v1/databases", &json!({ "name": name }))
        .unwrap();
    assert_eq!(status, 202, "{job}");
    gateway.poll("the database is created", || {
        look(gateway, &job)["state"] == "succeeded"
    });
}

/// A job as it is now.
fn look(gateway: &GatewayProcess, job: &Value) -> Value {
    let id = job["id"].as_str().unwrap();
    gateway.get(&format!("/v1/jobs/{id}")).unwrap().1
}

/// Sets how many files the gateway may have open, and returns what it was before.
fn set_limit(gateway: &GatewayProcess, most: Option<u64>) -> Option<u64> {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let id = Pid::from_raw(i32::try_from(gateway.process_id()).unwrap());
    let hard = rustix::process::getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: hard,
    };
    prlimit(id, Resource::Nofile, limit).unwrap().current
}
