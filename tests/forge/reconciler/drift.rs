//! What differs from the log is reported, waits for its grace, and stays within the disruption limit.
use crate::support::database as database_id;
use crate::support::http::{HttpForge, ROOT};
use crate::support::test_forge::INSTANCE;
use dbforge::domain::ids::DatabaseId;
use dbforge::jobs::reconciler::PassError;
use dbforge::runtime::simulated::Meddling;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(300);

async fn drift(forge: &HttpForge) -> Value {
    let answer = forge.get("/v1/drift").await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
    answer.json()
}

fn kinds(drift: &Value) -> Vec<(String, String)> {
    let findings = drift["findings"].as_array().unwrap();
    let text = |it: &Value, field: &str| it[field].as_str().unwrap().to_owned();
    findings
        .iter()
        .map(|it| (text(it, "kind"), text(it, "standing")))
        .collect()
}

fn pair(kind: &str, standing: &str) -> (String, String) {
    (kind.to_owned(), standing.to_owned())
}

fn file_of(forge: &HttpForge, room: &str, id: DatabaseId) -> PathBuf {
    let folder = forge.kept.folder.path().join(room);
    folder.join(id.to_string()).join("main.db")
}

#[tokio::test]
async fn a_forge_as_its_log_says_has_no_drift() {
    let forge = HttpForge::new().await;
    assert_eq!(drift(&forge).await["looked_at"], Value::Null);
    forge.ready("shop").await;
    forge.reconcile().await;
    let drift = drift(&forge).await;
    assert_eq!(drift["looked_at"], "2026-03-01T12:00:00.000Z");
    assert_eq!(drift["findings"], json!([]));
    assert_eq!(drift["reconcile_halted"], false);
}

#[tokio::test]
async fn a_worker_of_no_database_is_set_aside_after_a_grace_and_removed_by_hand() {
    let forge = HttpForge::new().await;
    let engine = forge.kept.engine.clone();
    engine.place_foreign("somebody-elses");
    let orphan = engine.place_orphan(INSTANCE, database_id(0x57), "db-worker-old");
    forge.reconcile().await;
    assert_eq!(
        kinds(&drift(&forge).await),
        [pair("quarantine_worker", "waits")]
    );
    forge.watch(GRACE - Duration::from_secs(1)).await;
    assert_eq!(engine.names(), ["somebody-elses", "db-worker-old"]);
    let path = format!("/v1/drift/workers/{orphan}");
    let early = forge.send("DELETE", &path, "").await;
    early.problem(404, "worker_not_found");

    forge.watch(Duration::from_secs(1)).await;
    assert_eq!(
        engine.names(),
        ["somebody-elses", "quarantined-db-worker-old"]
    );
    forge.reconcile().await;
    assert_eq!(
        drift(&forge).await["findings"],
        json!([]),
        "it is dealt with"
    );
    let events = forge.get("/v1/events?kind=worker_quarantined").await.json();
    assert_eq!(events["data"][0]["data"]["worker"], orphan.as_str());
    assert_eq!(events["data"][0]["actor"], "reconciler");

    let token = forge.token("ops", "\"manage\"", "\"*\"").await;
    let asked = forge.ask("DELETE", &path).token(&token).empty().await;
    asked.problem(403, "insufficient_scope");
    assert_eq!(forge.send("DELETE", &path, "").await.status.as_u16(), 204);
    assert_eq!(engine.names(), ["somebody-elses"]);
    forge
        .send("DELETE", &path, "")
        .await
        .problem(404, "worker_not_found");
}

#[tokio::test]
async fn a_quarantine_that_was_cut_off_is_finished_by_the_next_look() {
    use dbforge::runtime::simulated::{Action, Fault};
    let forge = HttpForge::new().await;
    let engine = forge.kept.engine.clone();
    engine.place_orphan(INSTANCE, database_id(0x57), "db-worker-old");
    forge.reconcile().await;
    engine.fail_next(Action::Quarantine, Fault::Unavailable, 1);
    forge.watch(GRACE).await;
    assert_eq!(engine.names(), ["db-worker-old"]);
    forge.reconcile().await;
    assert_eq!(engine.names(), ["quarantined-db-worker-old"]);
    let events = forge.get("/v1/events?kind=worker_quarantined").await.json();
    assert_eq!(events["data"].as_array().unwrap().len(), 1);
    // Somebody takes it away behind the forge's back.
    engine.meddle(INSTANCE, database_id(0x57), Meddling::Remove);
    forge.reconcile().await;
    assert!(forge.control.current().state.quarantined.is_empty());
}

#[tokio::test]
async fn more_orphans_than_the_fuse_lets_through_wait_for_a_persons_word() {
    let forge = HttpForge::new().await;
    let engine = forge.kept.engine.clone();
    for n in 0..4 {
        engine.place_orphan(INSTANCE, database_id(0x60 + n), &format!("orphan-{n}"));
    }
    forge.reconcile().await;
    forge.watch(GRACE).await;
    let halted = drift(&forge).await;
    assert_eq!(halted["reconcile_halted"], true);
    assert_eq!(kinds(&halted), vec![pair("quarantine_worker", "halted"); 4]);
    assert!(engine.names().iter().all(|it| it.starts_with("orphan-")));
    let metrics = forge.get("/metrics").await.text;
    assert!(metrics.contains("dbforge_reconcile_halted 1"), "{metrics}");

    let allow = || {
        let asked = forge.ask("POST", "/v1/drift/allow").token(ROOT);
        asked.header("idempotency-key", "go").empty()
    };
    assert_eq!(allow().await.status.as_u16(), 202);
    forge.reconcile().await;
    assert!(
        engine
            .names()
            .iter()
            .all(|it| it.starts_with("quarantined-"))
    );
    assert_eq!(drift(&forge).await["reconcile_halted"], false);
    let events = forge.get("/v1/events?kind=pass_allowed").await.json();
    assert_eq!(events["data"][0]["data"]["held_back"], 4);

    // Once is once, however often it is said.
    for n in 4..9 {
        engine.place_orphan(INSTANCE, database_id(0x60 + n), &format!("orphan-{n}"));
    }
    assert_eq!(allow().await.header("idempotent-replayed"), "true");
    forge.reconcile().await;
    forge.watch(GRACE).await;
    assert_eq!(drift(&forge).await["reconcile_halted"], true);
}

#[tokio::test]
async fn a_missing_file_raises_an_alarm_and_nothing_is_put_in_its_place() {
    let forge = HttpForge::new().await;
    let living = forge.ready("shop").await;
    let trashed = forge.ready("old").await;
    forge.send("DELETE", "/v1/databases/old", "").await;
    forge.settle().await;
    let aside = forge.kept.folder.path().join("aside.db");
    std::fs::rename(file_of(&forge, "databases", living), &aside).unwrap();
    std::fs::remove_file(file_of(&forge, "trash", trashed)).unwrap();
    for _ in 0..3 {
        forge.reconcile().await;
    }
    assert_eq!(
        kinds(&drift(&forge).await),
        vec![pair("data_missing", "reported"); 2]
    );
    let select = r#"{"sql":"SELECT 1"}"#;
    let missing = forge.post("/v1/databases/shop/query", select).await;
    let told = missing.problem(503, "data_missing");
    assert!(told.contains("restore main.db"), "{told}");
    let shown = forge.get("/v1/databases/shop").await.json();
    assert_eq!(shown["data_missing"], true);
    // An engine that is away hides no missing file.
    forge.kept.engine.set_away(true);
    forge.reconciler.pass().await.unwrap_err();
    assert_eq!(kinds(&drift(&forge).await).len(), 2);
    forge.kept.engine.set_away(false);
    assert!(!file_of(&forge, "databases", living).exists());
    let metrics = forge.get("/metrics").await.text;
    assert!(metrics.contains("dbforge_data_missing 2"), "{metrics}");

    std::fs::rename(&aside, file_of(&forge, "databases", living)).unwrap();
    forge.reconcile().await;
    let again = forge.post("/v1/databases/shop/query", select).await;
    assert_eq!(again.status.as_u16(), 200, "{}", again.text);
    assert_eq!(kinds(&drift(&forge).await).len(), 1);
    let shown = forge.get("/v1/databases/shop").await.json();
    assert_eq!(shown["data_missing"], Value::Null);
}

#[tokio::test]
async fn a_file_that_goes_while_it_is_open_takes_no_more_writes_and_loses_none() {
    let forge = HttpForge::new().await;
    let database = forge.ready("shop").await;
    let query = async |sql: &str| {
        let body = json!({ "sql": sql }).to_string();
        forge.post("/v1/databases/shop/query", &body).await
    };
    for sql in [
        "CREATE TABLE t(a)",
        "INSERT INTO t VALUES (1)",
        "SELECT a FROM t",
    ] {
        assert_eq!(query(sql).await.status.as_u16(), 200);
    }
    let file = file_of(&forge, "databases", database);
    let aside = forge.kept.folder.path().join("aside.db");
    std::fs::rename(&file, &aside).unwrap();
    for sql in ["INSERT INTO t VALUES (2)", "SELECT a FROM t"] {
        query(sql).await.problem(503, "data_missing");
    }
    assert!(!file.exists());
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(query("INSERT INTO t VALUES (3)").await.status.as_u16(), 200);
    let rows = query("SELECT a FROM t").await.json();
    assert_eq!(rows["rows"], json!([[1], [3]]));
}

#[tokio::test]
async fn a_folder_of_no_database_is_reported_and_goes_to_the_trash_on_request_alone() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let databases = forge.kept.folder.path().join("databases");
    let stranger = database_id(0x99).to_string();
    for name in ["copy of shop", &stranger] {
        std::fs::create_dir(databases.join(name)).unwrap();
        std::fs::write(databases.join(name).join("main.db"), "rows").unwrap();
    }
    for _ in 0..3 {
        forge.reconcile().await;
    }
    assert_eq!(
        kinds(&drift(&forge).await),
        vec![pair("unknown_folder", "reported"); 2]
    );
    let known = forge.folders("databases");
    assert_eq!(known.len(), 3, "nothing is moved by itself");

    let moving = || {
        let asked = forge.ask("DELETE", "/v1/drift/folders/copy%20of%20shop");
        let asked = asked.token(ROOT).header("idempotency-key", "tidy");
        asked.empty()
    };
    let moved = moving().await;
    assert_eq!(moved.status.as_u16(), 200, "{}", moved.text);
    let to = moved.json()["trashed_as"].as_str().unwrap().to_owned();
    assert_eq!(moving().await.json()["trashed_as"], to.as_str());
    let kept = forge
        .kept
        .folder
        .path()
        .join("trash")
        .join(to)
        .join("main.db");
    assert_eq!(std::fs::read_to_string(kept).unwrap(), "rows");
    for name in ["copy%20of%20shop", "..", "%2e%2e", "nothing"] {
        let refused = forge
            .send("DELETE", &format!("/v1/drift/folders/{name}"), "")
            .await;
        assert!(refused.status.is_client_error(), "{name}: {}", refused.text);
    }
    let id = forge.control.current().state.databases().next().unwrap().id;
    let known = forge
        .send("DELETE", &format!("/v1/drift/folders/{id}"), "")
        .await;
    known.problem(404, "folder_not_found");
    let events = forge.get("/v1/events?kind=folder_trashed").await.json();
    assert_eq!(events["data"][0]["data"]["folder"], "copy of shop");
}

#[tokio::test]
async fn what_cannot_be_seen_is_unknown_and_said_so() {
    let forge = HttpForge::new().await;
    let database = forge.ready("shop").await;
    let engine = forge.kept.engine.clone();
    engine.place_orphan(INSTANCE, database_id(0x57), "db-worker-old");
    forge.reconcile().await;
    forge.watch(GRACE - Duration::from_secs(1)).await;
    engine.meddle(INSTANCE, database, Meddling::Remove);
    forge.reconcile().await;
    forge.kept.clock.advance(GRACE);
    for blind in [true, false] {
        engine.set_away(blind);
        engine.set_list_partial(!blind);
        for _ in 0..3 {
            let pass = forge.reconciler.pass().await;
            assert!(matches!(pass, Err(PassError::Unseen(_))), "{pass:?}");
        }
        let drift = drift(&forge).await;
        assert!(
            drift["trouble"]
                .as_str()
                .unwrap()
                .contains("cannot list the workers")
        );
        assert_eq!(drift["findings"], json!([]));
    }
    assert_eq!(engine.names(), ["db-worker-old"]);
    engine.set_list_partial(false);
    forge.reconcile().await;
    let names = engine.names();
    assert!(
        names.contains(&"quarantined-db-worker-old".to_owned()),
        "{names:?}"
    );
    assert_eq!(names.len(), 2, "and the missing worker is back");
}

#[tokio::test]
async fn a_link_in_place_of_a_databases_folder_is_told_and_a_purge_removes_it_alone() {
    let forge = HttpForge::new().await;
    for purge in ["?purge=true", ""] {
        let id = forge.ready("shop").await;
        let folder = file_of(&forge, "databases", id).with_file_name("");
        let elsewhere = forge
            .kept
            .folder
            .path()
            .join(format!("elsewhere{}", purge.len()));
        std::fs::rename(&folder, &elsewhere).unwrap();
        let link = forge
            .kept
            .folder
            .path()
            .join("databases")
            .join(id.to_string());
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        let query = r#"{"sql":"SELECT 1"}"#;
        let asked = forge.post("/v1/databases/shop/query", query).await;
        asked.problem(503, "data_missing");

        forge.reconcile().await;
        let found = drift(&forge).await;
        let finding = &found["findings"][0];
        assert_eq!(finding["kind"], "data_missing", "{found}");
        assert_eq!(finding["database"], id.to_string());
        let what = finding["what"].as_str().unwrap();
        assert!(
            what.contains("is a link") && what.contains("a purge removes"),
            "{what}"
        );
        let shown = forge.get("/v1/databases/shop").await.json();
        assert_eq!(shown["data_missing"], true);

        let path = format!("/v1/databases/shop{purge}");
        assert_eq!(forge.send("DELETE", &path, "").await.status.as_u16(), 202);
        forge.settle().await;
        assert!(link.symlink_metadata().is_err(), "the link is gone");
        assert!(elsewhere.join("main.db").is_file(), "what it led to is not");
        if purge.is_empty() {
            let path = format!("/v1/databases/{id}?purge=true");
            assert_eq!(forge.send("DELETE", &path, "").await.status.as_u16(), 202);
            forge.settle().await;
        }
        assert_eq!(
            forge
                .kept
                .folder
                .path()
                .join("trash")
                .read_dir()
                .unwrap()
                .count(),
            0
        );
        assert!(elsewhere.join("main.db").is_file());
    }
}

#[tokio::test]
async fn a_second_name_of_a_databases_file_is_told_as_sql_tells_it() {
    let forge = HttpForge::new().await;
    let id = forge.ready("shop").await;
    let other = forge.kept.folder.path().join("other-name");
    std::fs::hard_link(file_of(&forge, "databases", id), &other).unwrap();
    let query = r#"{"sql":"SELECT 1"}"#;
    let asked = forge.post("/v1/databases/shop/query", query).await;
    asked.problem(503, "data_missing");
    forge.reconcile().await;
    let found = drift(&forge).await;
    let what = found["findings"][0]["what"].as_str().unwrap();
    assert!(what.contains("second name"), "{what}");
    std::fs::remove_file(other).unwrap();
    let asked = forge.post("/v1/databases/shop/query", query).await;
    assert_eq!(asked.status.as_u16(), 200, "{}", asked.text);
}
