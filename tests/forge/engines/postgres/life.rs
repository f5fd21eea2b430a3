//! A database of PostgreSQL from its creation to its end, in a gateway whose workers are children.
use crate::support::TempFolder;
use crate::support::gateway_process::GatewayProcess;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A folder that workers of another user reach.
fn home() -> TempFolder {
    let home = TempFolder::new();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o711)).unwrap();
    home
}

const SHOP: &str = "/v1/databases/shop";

fn create(gateway: &GatewayProcess, name: &str) {
    let body = json!({"name": name, "engine": "postgres", "limits": {"memory_bytes": 128 << 20}});
    gateway.done(gateway.post("/v1/databases", &body));
}

/// The answer to a statement, once the server takes it.
#[track_caller]
fn ask(gateway: &GatewayProcess, sql: &str) -> Value {
    let ask = || gateway.post(&format!("{SHOP}/query"), &json!({"sql": sql}));
    gateway.poll("the server answers", || {
        ask_once(gateway, sql)
            .is_none_or(|(status, answer)| status == 200 || answer["code"] != "database_not_ready")
    });
    let (status, answer) = ask().unwrap();
    assert_eq!(status, 200, "{sql}: {answer}");
    answer
}

fn ask_once(gateway: &GatewayProcess, sql: &str) -> Option<(u16, Value)> {
    let is_reading = sql.starts_with("SELECT");
    let sql = if is_reading { sql } else { "SELECT 1" };
    gateway.post(&format!("{SHOP}/query"), &json!({"sql": sql}))
}

fn teas(gateway: &GatewayProcess) -> Value {
    ask(gateway, "SELECT name FROM tea ORDER BY name")["rows"].clone()
}

fn folder_of(gateway: &GatewayProcess, data: &Path) -> PathBuf {
    let (_, shop) = gateway.get(SHOP).unwrap();
    data.join("databases").join(shop["id"].as_str().unwrap())
}

/// The process of a database's server.
fn server_of(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("pgdata/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().trim().parse().unwrap()).unwrap()
}

fn runs(process: Pid) -> bool {
    rustix::process::test_kill_process(process).is_ok()
}

#[test]
fn a_database_lives_from_its_creation_to_its_purge() {
    let home = home();
    let data = home.path().join("data");
    let gateway = GatewayProcess::start(&data);
    let (_, engines) = gateway.get("/v1/engines").unwrap();
    let postgres = &engines["data"][1];
    assert_eq!(
        (&postgres["name"], &postgres["available"]),
        (&json!("postgres"), &json!(true))
    );
    assert!(
        postgres["version"]
            .as_str()
            .unwrap()
            .parse::<f64>()
            .unwrap()
            >= 15.0
    );

    for limits in [
        json!({"memory_bytes": 64 << 20}),
        json!({"size_bytes": 1 << 20}),
    ] {
        let body = json!({"name": "shop", "engine": "postgres", "limits": limits});
        let (status, refused) = gateway.post("/v1/databases", &body).unwrap();
        assert_eq!(
            (status, &refused["code"]),
            (400, &json!("invalid_request")),
            "{refused}"
        );
    }
    create(&gateway, "shop");
    ask(&gateway, "CREATE TABLE tea (name text PRIMARY KEY)");
    ask(&gateway, "INSERT INTO tea VALUES ('sencha')");
    let folder = folder_of(&gateway, &data);
    let first = server_of(&folder);

    gateway.done(gateway.post(&format!("{SHOP}/stop"), &json!({})));
    assert!(!runs(first), "its server has ended");
    let (status, _) = gateway
        .post(&format!("{SHOP}/query"), &json!({"sql": "SELECT 1"}))
        .unwrap();
    assert_eq!(status, 409);
    gateway.done(gateway.post(&format!("{SHOP}/start"), &json!({})));
    assert_eq!(teas(&gateway), json!([["sencha"]]));
    gateway.done(gateway.post(&format!("{SHOP}/restart"), &json!({})));
    assert_eq!(teas(&gateway), json!([["sencha"]]));

    let small = json!({"limits": {"memory_bytes": 64 << 20}});
    assert_eq!(gateway.patch(SHOP, &small).unwrap().0, 400);
    assert_eq!(
        gateway.patch(SHOP, &json!({"protect": true})).unwrap().0,
        200
    );
    assert_eq!(gateway.delete(SHOP).unwrap().0, 409);
    assert_eq!(
        gateway.patch(SHOP, &json!({"protect": false})).unwrap().0,
        200
    );

    let plan = json!({"command": {"delete_database": {"database": "shop"}}});
    let (status, plan) = gateway.post("/v1/plans", &plan).unwrap();
    assert_eq!(status, 201, "{plan}");
    let apply = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    let second = server_of(&folder);
    gateway.done(gateway.post(&apply, &json!({})));
    assert!(!runs(second) && !folder.exists());
    let (status, _) = gateway
        .post(&format!("{SHOP}/query"), &json!({"sql": "SELECT 1"}))
        .unwrap();
    assert_eq!(status, 410);
    let (_, events) = gateway.get("/v1/events?kind=database_trashed").unwrap();
    let trashed = &events["data"][0]["sequence"];
    gateway.done(gateway.post(&format!("/v1/events/{trashed}/undo"), &json!({})));
    assert_eq!(
        teas(&gateway),
        json!([["sencha"]]),
        "undone, it is served again"
    );

    gateway.done(gateway.delete(SHOP));
    gateway.done(gateway.post(&format!("{SHOP}/undelete"), &json!({})));
    assert_eq!(teas(&gateway), json!([["sencha"]]));
    let last = server_of(&folder);
    gateway.done(gateway.delete(&format!("{SHOP}?purge=true")));
    assert!(!runs(last) && !folder.exists());
    let left = fs::read_dir(data.join("trash")).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn memory_and_disk_have_bounds_that_leave_the_server_running() {
    let home = home();
    let data = home.path().join("data");
    let gateway = GatewayProcess::start(&data);
    let limits = json!({"memory_bytes": 128 << 20, "size_bytes": 64 << 20});
    let body = json!({"name": "shop", "engine": "postgres", "limits": limits});
    gateway.done(gateway.post("/v1/databases", &body));
    ask(&gateway, "CREATE TABLE tea (name text)");
    let server = server_of(&folder_of(&gateway, &data));
    let refused = |sql: &str, status: u16, code: &str| {
        let body = json!({"sql": sql, "timeout_ms": 30_000});
        let (answered, problem) = gateway.post(&format!("{SHOP}/query"), &body).unwrap();
        assert_eq!(
            (answered, &problem["code"]),
            (status, &json!(code)),
            "{sql}: {problem}"
        );
        problem
    };
    let problem = refused("SELECT length(repeat('x', 200000000))", 400, "sql_error");
    assert!(
        problem["detail"].as_str().unwrap().contains("memory"),
        "{problem}"
    );

    let fill = "INSERT INTO tea SELECT repeat(md5(i::text), 40) FROM generate_series(1, 1000000) i";
    refused(fill, 507, "quota_exceeded");
    assert_eq!(
        ask(&gateway, "SELECT count(*) FROM tea")["rows"],
        json!([[0]])
    );
    refused("INSERT INTO tea VALUES ('sencha')", 507, "quota_exceeded");
    ask(&gateway, "TRUNCATE tea");
    gateway.poll("there is room again", || {
        let insert = json!({"sql": "INSERT INTO tea VALUES ('sencha')"});
        let (status, _) = gateway.post(&format!("{SHOP}/query"), &insert).unwrap();
        status == 200
    });
    assert!(runs(server), "it is the same server");
}

#[test]
fn what_is_killed_comes_back_with_everything_that_was_answered() {
    let home = home();
    let data = home.path().join("data");
    let gateway = GatewayProcess::start(&data);
    create(&gateway, "shop");
    ask(&gateway, "CREATE TABLE tea (name text PRIMARY KEY)");
    let folder = folder_of(&gateway, &data);

    // The server: the reconciler starts another one.
    ask(&gateway, "INSERT INTO tea VALUES ('assam')");
    kill_process(server_of(&folder), Signal::KILL).unwrap();
    gateway.poll("another server answers", || {
        ask_once(&gateway, "SELECT 1").is_some_and(|(status, _)| status == 200)
    });
    assert_eq!(teas(&gateway), json!([["assam"]]));

    // The gateway: its servers end with it, and the next one starts them.
    ask(&gateway, "INSERT INTO tea VALUES ('bancha')");
    let before = server_of(&folder);
    gateway.kill();
    let gateway = GatewayProcess::start(&data);
    assert_eq!(teas(&gateway), json!([["assam"], ["bancha"]]));
    assert_ne!(server_of(&folder), before);

    // In the middle of a job, at whatever step it is.
    let body = json!({"name": "books", "engine": "postgres"});
    let (status, job) = gateway.post("/v1/databases", &body).unwrap();
    assert_eq!(status, 202);
    gateway.kill();
    let gateway = GatewayProcess::start(&data);
    gateway.done(Some((202, job)));
    let asked = gateway.post("/v1/databases/books/query", &json!({"sql": "SELECT 1"}));
    assert_eq!(asked.unwrap().0, 200);
    assert!(gateway.stop(), "it ends its servers and itself");
    assert!(!folder.join("pgdata/postmaster.pid").exists(), "properly");
}

#[test]
fn files_of_another_version_are_not_started_and_say_which() {
    let home = home();
    let data = home.path().join("data");
    let gateway = GatewayProcess::start(&data);
    create(&gateway, "shop");
    let folder = folder_of(&gateway, &data);
    gateway.done(gateway.post(&format!("{SHOP}/stop"), &json!({})));
    let version = folder.join("pgdata/PG_VERSION");
    let right = fs::read_to_string(&version).unwrap();
    fs::write(&version, "14\n").unwrap();
    let job = gateway.ended(gateway.post(&format!("{SHOP}/start"), &json!({})));
    assert_eq!(
        (&job["state"], &job["problem"]["code"]),
        (&json!("failed"), &json!("engine_unavailable")),
        "{job}"
    );
    let detail = job["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("PostgreSQL 14"), "{detail}");
    fs::write(&version, right).unwrap();
    gateway.done(gateway.post(&format!("{SHOP}/start"), &json!({})));
    ask(&gateway, "SELECT 1");
}

#[test]
fn a_host_without_postgresql_says_so_and_makes_no_database() {
    let home = home();
    let data = home.path().join("data");
    let nowhere = home.path().join("nowhere");
    let settings = [
        ("DBFORGE_RUNTIME", "process"),
        ("DBFORGE_POSTGRES_BIN", nowhere.to_str().unwrap()),
    ];
    let gateway = GatewayProcess::start_with(&data, &settings);
    let (_, engines) = gateway.get("/v1/engines").unwrap();
    assert_eq!(engines["data"][1]["available"], false, "{engines}");
    let reason = engines["data"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("DBFORGE_POSTGRES_BIN"), "{reason}");
    let body = json!({"name": "shop", "engine": "postgres"});
    let (status, refused) = gateway.post("/v1/databases", &body).unwrap();
    assert_eq!(
        (status, &refused["code"]),
        (503, &json!("engine_unavailable")),
        "{refused}"
    );
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("DBFORGE_POSTGRES_BIN")
    );
    assert_eq!(
        gateway.get("/v1/jobs").unwrap().1["data"],
        json!([]),
        "no job fails for it"
    );
}
