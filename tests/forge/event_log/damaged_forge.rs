//! Damage under the real program: it starts with everything, or read-only and says why.
use super::damaged_log::change;
use crate::support::cli::Dbforge;
use crate::support::gateway_process::GatewayProcess;
use crate::support::{TempFolder, files_below, write_files};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The files of a forge that was killed with two databases, one of them deleted.
fn forge() -> &'static [(PathBuf, Vec<u8>)] {
    static FILES: OnceLock<Vec<(PathBuf, Vec<u8>)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let folder = TempFolder::new();
        let gateway = GatewayProcess::start(folder.path());
        for name in ["shop", "gone"] {
            let (_, job) = gateway
                .post("/v1/databases", &json!({ "name": name }))
                .unwrap();
            ended(&gateway, &job);
        }
        query(&gateway, "CREATE TABLE t(x)");
        query(&gateway, "INSERT INTO t VALUES (7)");
        let (_, job) = gateway.delete("/v1/databases/gone?purge=true").unwrap();
        ended(&gateway, &job);
        // Ending well writes `HEAD`; being killed leaves what the read model had not folded in.
        assert!(gateway.stop());
        let gateway = GatewayProcess::start(folder.path());
        let (_, job) = gateway
            .post("/v1/databases", &json!({ "name": "later" }))
            .unwrap();
        ended(&gateway, &job);
        gateway.kill();
        files_below(folder.path())
    })
}

fn ended(gateway: &GatewayProcess, job: &Value) {
    let id = job["id"].as_str().unwrap();
    gateway.poll("the job succeeds", || {
        let (_, job) = gateway.get(&format!("/v1/jobs/{id}")).unwrap();
        job["state"] == "succeeded"
    });
}

fn query(gateway: &GatewayProcess, sql: &str) -> Value {
    let (status, answer) = gateway
        .post("/v1/databases/shop/query", &json!({ "sql": sql }))
        .unwrap();
    assert_eq!(status, 200, "{answer}");
    answer
}

fn damaged(damage: impl FnOnce(&Path)) -> TempFolder {
    let copy = TempFolder::in_memory();
    write_files(forge(), copy.path());
    damage(&copy.path().join(".forge"));
    copy
}

/// The middle of a file, which holds something.
fn middle(file: &Path) {
    change(file, |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle..]
            .iter_mut()
            .take(64)
            .for_each(|it| *it ^= 0x55);
    });
}

fn journal(forge_dir: &Path) -> PathBuf {
    forge_dir.join("journal/00000001.journal")
}

fn snapshot_of_the_index(forge_dir: &Path) -> PathBuf {
    let entries = fs::read_dir(forge_dir.join("events.sled")).unwrap();
    let mut files = entries.map(|it| it.unwrap().path());
    let is_snapshot = |it: &PathBuf| {
        it.file_name()
            .unwrap()
            .as_encoded_bytes()
            .starts_with(b"snap.")
    };
    files.find(is_snapshot).expect("ending well writes one")
}

#[test]
fn damage_to_one_copy_of_anything_costs_nothing() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 17] = [
        ("a changed journal", |it| middle(&journal(it))),
        ("no journal", |it| {
            fs::remove_dir_all(it.join("journal")).unwrap();
        }),
        ("a changed index", |it| middle(&it.join("events.sled/db"))),
        ("an empty index", |it| {
            change(&it.join("events.sled/db"), Vec::clear);
        }),
        ("an index without settings", |it| {
            change(&it.join("events.sled/conf"), |it| it.fill(0));
        }),
        ("a changed snapshot of the index", |it| {
            middle(&snapshot_of_the_index(it));
        }),
        ("an empty snapshot of the index", |it| {
            change(&snapshot_of_the_index(it), Vec::clear);
        }),
        ("no snapshot of the index", |it| {
            fs::remove_file(snapshot_of_the_index(it)).unwrap();
        }),
        ("no index", |it| {
            fs::remove_dir_all(it.join("events.sled")).unwrap();
        }),
        ("a changed HEAD", |it| middle(&it.join("HEAD"))),
        ("no HEAD", |it| fs::remove_file(it.join("HEAD")).unwrap()),
        ("a changed read model", |it| middle(&it.join("control.db"))),
        ("a read model of zeros", |it| {
            change(&it.join("control.db"), |it| it.fill(0));
        }),
        ("a read model that is text", |it| {
            fs::write(it.join("control.db"), "no database").unwrap();
        }),
        ("no read model, and what it had not yet folded in", |it| {
            fs::remove_file(it.join("control.db")).unwrap();
        }),
        ("a changed write-ahead log of the read model", |it| {
            middle(&it.join("control.db-wal"));
        }),
        ("a changed index of that", |it| {
            middle(&it.join("control.db-shm"));
        }),
    ];
    for (what, damage) in damages {
        let copy = damaged(damage);
        let gateway = GatewayProcess::start(copy.path());
        let (status, shop) = gateway.get("/v1/databases/shop").unwrap();
        assert_eq!((status, &shop["state"]), (200, &json!("ready")), "{what}");
        let (status, _) = gateway.get("/v1/databases/gone").unwrap();
        assert!(matches!(status, 404 | 410), "{what}: {status}");
        let (status, list) = gateway.get("/v1/databases").unwrap();
        assert_eq!(status, 200, "{what}: {list}");
        assert!(list.to_string().contains("shop"), "{what}: {list}");
        let rows = query(&gateway, "SELECT x FROM t");
        assert_eq!(rows["rows"], json!([[7]]), "{what}");
        let (_, job) = gateway
            .post("/v1/databases", &json!({ "name": "after" }))
            .unwrap();
        ended(&gateway, &job);
        assert!(gateway.stop(), "{what}");
        Dbforge::with(&["log", "verify"])
            .data_dir(copy.path())
            .run()
            .well();
    }
}

#[test]
fn damage_to_both_copies_is_read_only_with_a_reason_and_sql_goes_on() {
    let copy = damaged(|it| {
        // The last commits are in neither copy; HEAD alone still knows of them.
        change(&journal(it), |bytes| bytes.truncate(bytes.len() / 2));
        fs::remove_dir_all(it.join("events.sled")).unwrap();
    });
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_dbforge"));
    let settings = [("DBFORGE_RUNTIME", "process")];
    let gateway = GatewayProcess::try_start(program, copy.path(), &settings).unwrap();
    let (status, refused) = gateway
        .post("/v1/databases", &json!({ "name": "after" }))
        .unwrap();
    assert_eq!(
        (status, &refused["code"]),
        (503, &json!("log_read_only")),
        "{refused}"
    );
    let (status, ready) = gateway.get("/readyz").unwrap();
    assert_eq!(status, 503, "{ready}");
    assert_eq!(query(&gateway, "SELECT x FROM t")["rows"], json!([[7]]));
    gateway.stop();
    let found = Dbforge::with(&["doctor"]).data_dir(copy.path()).run();
    assert_eq!(found.code, 4, "{found:?}");
}
