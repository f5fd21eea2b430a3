//! A name is free from the moment at which its database is on its way out: who asks for it waits
//! for that, or has it at once where a time to live has ended.
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::stream_client::{ENDLESS, Served, last_error};
use crate::support::test_forge::{TestForge, create};
use dbforge::domain::database::DatabaseState;
use dbforge::domain::job::JobState;
use dbforge::domain::verb::Verb;
use dbforge::runtime::simulated::{Action, Fault};
use serde_json::json;
use std::time::Duration;

const SHOP: &str = r#"{"name":"shop"}"#;

async fn sql(forge: &HttpForge, reference: &str, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    let path = format!("/v1/databases/{reference}/query");
    forge.post(&path, &body).await
}

#[tokio::test]
async fn a_create_queues_behind_the_deletion_of_its_name() {
    let forge = HttpForge::new().await;
    for path in ["/v1/databases/shop", "/v1/databases/shop?purge=true"] {
        let old = forge.ready("shop").await;
        sql(&forge, "shop", "CREATE TABLE old(a)").await;
        assert_eq!(forge.send("DELETE", path, "").await.status, 202);
        let planned = forge.post("/v1/databases?dry_run=plan", SHOP).await;
        let warnings = planned.json()["warnings"].to_string();
        assert!(
            warnings.contains("Waits for the deletion of database"),
            "{warnings}"
        );
        let plan = forge
            .post(
                "/v1/plans",
                r#"{"command":{"create_database":{"name":"shop"}}}"#,
            )
            .await;
        let plan = plan.json()["id"].as_str().unwrap().to_owned();
        let made = forge.post(&format!("/v1/plans/{plan}/apply"), "").await;
        assert_eq!(made.status, 202, "{}", made.text);
        assert_eq!(made.json()["queue_position"], 1);
        let shown = forge.get("/v1/databases/shop").await.json();
        assert_eq!(
            (&shown["state"], &shown["host"]),
            (&json!("creating"), &json!("shop.db.localhost"))
        );
        forge.settle().await;
        let found = sql(&forge, "shop", "SELECT count(*) FROM sqlite_schema").await;
        assert_eq!(found.json()["rows"], json!([[0]]), "{}", found.text);
        let old_state = forge.get(&format!("/v1/databases/{old}")).await;
        if path.ends_with("true") {
            old_state.problem(404, "database_not_found");
        } else {
            assert_eq!(old_state.json()["state"], "trashed");
        }
        forge
            .send("DELETE", "/v1/databases/shop?purge=true", "")
            .await;
        forge.settle().await;
    }
}

#[tokio::test]
async fn a_create_whose_name_stays_taken_ends_as_database_exists() {
    let forge = HttpForge::new().await;
    let old = forge.ready("shop").await;
    forge.send("DELETE", "/v1/databases/shop", "").await;
    let made = forge.post("/v1/databases", SHOP).await.json();
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRemoved, Fault::Refused, 1);
    forge.settle().await;
    let id = made["id"].as_str().unwrap();
    let job = forge.get(&format!("/v1/jobs/{id}")).await.json();
    assert_eq!(job["state"], "failed");
    assert_eq!(job["problem"]["code"], "database_exists", "{job}");
    assert_eq!(job["problem"]["status"], 409);
    let shown = forge.get("/v1/databases/shop").await.json();
    assert_eq!(
        (&shown["id"], &shown["state"]),
        (&json!(old.to_string()), &json!("ready"))
    );
    assert_eq!(sql(&forge, "shop", "SELECT 1").await.status, 200);
}

#[tokio::test]
async fn a_crash_at_every_boundary_leaves_the_deletion_in_front_and_the_create_behind() {
    for purge in [false, true] {
        for crash_after in 0.. {
            let forge = TestForge::new().await;
            let old = forge.ready("shop").await;
            let database = old;
            let command = if purge {
                Verb::Purge.on(database)
            } else {
                Verb::Delete.on(database)
            };
            let deletion = forge.submit(command).await.unwrap().job().unwrap();
            let (new, creation) = forge.request("Shop").await;
            let mut moved = 0;
            for job in [deletion, creation] {
                while moved < crash_after && forge.control.current().state.job(job).is_some() {
                    forge.runner.move_once(job).await.unwrap();
                    moved += 1;
                }
            }
            let all_done = moved < crash_after;
            let forge = forge.restart();
            forge.settle().await;
            for job in [deletion, creation] {
                let state = forge.job(job).await.state;
                assert_eq!(state, JobState::Succeeded, "{purge}, after {moved} moves");
            }
            let current = forge.control.current();
            assert_eq!(current.state.find_database("shop").unwrap().id, new);
            assert_eq!(forge.database(new).state(), DatabaseState::Ready);
            assert_eq!(forge.exists(old), !purge);
            if all_done {
                break;
            }
        }
    }
}

#[tokio::test]
async fn the_database_that_is_there_is_the_answer_where_that_is_asked_for() {
    let forge = HttpForge::new().await;
    let path = "/v1/databases?if_exists=return";
    let made = forge.post(path, SHOP).await;
    assert_eq!(made.status, 202, "{}", made.text);
    let creating = forge.post(path, SHOP).await;
    assert_eq!(creating.status, 200, "{}", creating.text);
    forge.settle().await;
    let keyed = || {
        let ask = forge.ask("POST", path).token(ROOT);
        ask.header("idempotency-key", "once")
            .body(r#"{"name":"Shop"}"#)
    };
    let found = keyed().await;
    assert_eq!(found.status, 200, "{}", found.text);
    let shown = forge.get("/v1/databases/shop").await;
    assert_eq!(found.json(), shown.json());
    assert_eq!(found.header("etag"), shown.header("etag"));
    assert_eq!(found.header("location"), "/v1/databases/shop");
    let planned = forge
        .post("/v1/databases?if_exists=return&dry_run=plan", SHOP)
        .await;
    assert_eq!(planned.json()["events"], json!([]));
    forge
        .post("/v1/databases", SHOP)
        .await
        .problem(409, "database_exists");
    let unknown = forge.post("/v1/databases?if_exists=replace", SHOP).await;
    unknown.problem(400, "invalid_request");

    forge.send("DELETE", "/v1/databases/shop", "").await;
    let behind = forge.post(path, SHOP).await;
    assert_eq!(
        behind.status, 202,
        "what is on its way out is not the answer"
    );
    forge.settle().await;
    let again = keyed().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["id"], found.json()["id"], "the same database");
    assert_eq!(again.json()["state"], "trashed");
}

#[tokio::test]
async fn whatever_has_expired_says_so_at_once_and_its_name_is_free() {
    for (what, body) in [
        ("running", r#"{"name":"shop","ttl":"60s"}"#),
        ("stopped", r#"{"name":"shop","ttl":"60s"}"#),
        ("protected", r#"{"name":"shop","ttl":"60s","protect":true}"#),
    ] {
        let forge = HttpForge::new().await;
        forge.post("/v1/databases", body).await;
        forge.settle().await;
        if what == "stopped" {
            forge.post("/v1/databases/shop/stop", "").await;
            forge.settle().await;
        }
        let old = forge.get("/v1/databases/shop").await.json()["id"].clone();
        forge.kept.clock.advance(Duration::from_secs(60));
        let shown = forge.get("/v1/databases/shop").await.json();
        assert_eq!(shown["state"], "expired", "{what}");
        sql(&forge, "shop", "SELECT 1")
            .await
            .problem(410, "database_expired");
        let started = forge.post("/v1/databases/shop/start", "").await;
        let said = started.problem(410, "database_expired");
        assert!(said.contains("PATCH"), "{said}");
        let listed = |state: &str| format!("/v1/databases?state={state}");
        let expired = forge.get(&listed("expired")).await.json();
        assert_eq!(expired["data"][0]["id"], old, "{what}");
        for other in ["ready", "stopped"] {
            let others = forge.get(&listed(other)).await.json();
            assert_eq!(others["data"], json!([]), "{what} is not {other}");
        }
        let metrics = forge.get("/metrics").await.text;
        assert!(metrics.contains("dbforge_databases{state=\"expired\"} 1"));
        assert_eq!(forge.get("/admin/databases").await.json(), json!([]));

        let made = forge.post("/v1/databases", SHOP).await;
        assert_eq!(made.status, 202, "{what}: {}", made.text);
        forge.settle().await;
        assert_eq!(sql(&forge, "shop", "SELECT 1").await.status, 200);
        let revived = format!("/v1/databases/{}", old.as_str().unwrap());
        let revive = forge.send("PATCH", &revived, r#"{"ttl":null}"#).await;
        revive.problem(409, "database_exists");

        dbforge::jobs::retention::Retention::default()
            .submit_due(&forge.control)
            .await;
        forge.settle().await;
        let state = forge.get(&revived).await.json()["state"].clone();
        let expected = if what == "protected" {
            "expired"
        } else {
            "trashed"
        };
        assert_eq!(state, expected, "{what}");
        assert_eq!(
            forge.get("/v1/databases/shop").await.json()["state"],
            "ready"
        );
    }
}

#[tokio::test]
async fn a_transaction_of_what_expired_is_refused_and_rolled_back() {
    let forge = HttpForge::new().await;
    forge
        .post("/v1/databases", r#"{"name":"shop","ttl":"60s"}"#)
        .await;
    forge.settle().await;
    sql(&forge, "shop", "CREATE TABLE t (a)").await;
    let begun = forge.post("/v1/databases/shop/transactions", "").await;
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/databases/shop/transactions/{id}");
    let insert = r#"{"sql":"INSERT INTO t VALUES (1)"}"#;
    let inserted = forge.post(&format!("{path}/query"), insert).await;
    assert_eq!(inserted.status, 200, "{}", inserted.text);
    forge.kept.clock.advance(Duration::from_secs(60));
    let commit = forge.post(&format!("{path}/commit"), "").await;
    commit.problem(410, "database_expired");
    forge
        .send("PATCH", "/v1/databases/shop", r#"{"ttl":"1h"}"#)
        .await;
    let rows = sql(&forge, "shop", "SELECT * FROM t").await;
    assert_eq!(rows.json()["rows"], json!([]), "nothing of it was kept");
    let again = forge.post(&format!("{path}/query"), insert).await;
    again.problem(410, "transaction_ended");
}

#[tokio::test]
async fn what_expired_lives_on_with_another_ttl_while_nobody_has_its_name() {
    let forge = HttpForge::new().await;
    forge
        .post("/v1/databases", r#"{"name":"shop","ttl":1}"#)
        .await;
    forge.settle().await;
    forge.kept.clock.advance(Duration::from_secs(2));
    let revived = forge
        .send("PATCH", "/v1/databases/shop", r#"{"ttl":"1h"}"#)
        .await;
    assert_eq!(revived.json()["state"], "ready", "{}", revived.text);
    assert_eq!(sql(&forge, "shop", "SELECT 1").await.status, 200);
    let refused = forge.submit(create("SHOP")).await;
    assert!(refused.is_err(), "it has its name");
}

#[tokio::test]
async fn what_runs_on_a_database_ends_when_its_time_is_over() {
    let served = Served::new().await;
    let forge = &served.forge;
    for statement in ["CREATE TABLE t (a)", "INSERT INTO t VALUES (1)"] {
        sql(forge, "shop", statement).await;
    }
    let endless =
        |select: &str| json!({"sql": format!("{ENDLESS} {select}"), "timeout_ms": 60_000});
    let rows = endless("SELECT i, hex(zeroblob(1000)) FROM n");
    let mut read = served.query("?format=ndjson", "", &rows).await;
    assert!(read.chunk().await.unwrap().is_some());
    // Nobody reads on here.
    let stalled = served.query("?format=csv", "", &rows).await;
    let whole = endless("SELECT count(*) FROM n").to_string();
    let batch = json!({
        "statements": [{"sql": endless("SELECT count(*) FROM n")["sql"]}],
        "timeout_ms": 60_000,
    });
    let batch = batch.to_string();
    let (whole, batch, ()) = tokio::join!(
        served.send("POST", "/v1/databases/shop/query", "", &whole),
        served.send("POST", "/v1/databases/shop/batch", "", &batch),
        async {
            served.poll_streams(2).await;
            let path = "/v1/databases/shop";
            let patched = forge.send("PATCH", path, r#"{"ttl":"60s"}"#).await;
            assert_eq!(patched.status, 200, "{}", patched.text);
            forge.kept.clock.advance(Duration::from_secs(60));
        },
    );
    assert_eq!(whole.problem().await, (410, "database_expired".to_owned()));
    assert_eq!(batch.problem().await, (410, "database_expired".to_owned()));
    let (told, is_whole) = read.rest().await;
    assert!(is_whole, "an NDJSON stream says why it ends");
    assert_eq!(last_error(&told)["code"], "database_expired");
    served.poll_streams(0).await;
    drop(stalled);
}
