//! Stored plans: applied once, and only on what they were made for.
use crate::support::http::{Answer, HttpForge};
use serde_json::{Value, json};
use std::time::Duration;

async fn plan(forge: &HttpForge, command: Value) -> Value {
    let body = json!({ "command": command }).to_string();
    let answer = forge.post("/v1/plans", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn id(plan: &Value) -> &str {
    plan["id"].as_str().unwrap()
}

async fn apply(forge: &HttpForge, plan: &Value) -> Answer {
    forge
        .post(&format!("/v1/plans/{}/apply", id(plan)), "")
        .await
}

fn delete(name: &str) -> Value {
    json!({"delete_database": {"database": name}})
}

#[tokio::test]
async fn a_plan_changes_nothing_until_it_is_applied_and_then_does_what_it_showed() {
    let forge = HttpForge::new().await;
    let database = forge.ready("shop").await;
    let made = plan(&forge, delete("shop")).await;
    assert_eq!(made["state"], "open");
    let kinds: Vec<_> = made["events"].as_array().unwrap().iter().collect();
    assert_eq!(kinds[0]["kind"], "plan_applied");
    assert_eq!(kinds[1]["kind"], "job_enqueued");
    assert_eq!(made["effects"][1]["action"], "move to the trash");
    let size = made["effects"][1]["bytes"].as_u64().unwrap();
    assert!(size >= 4096, "{size}");
    assert!(made["warnings"][0].as_str().unwrap().contains("shop"));
    forge.settle().await;
    assert!(forge.database(database).is_living());

    let job = apply(&forge, &made).await;
    assert_eq!(job.status, 202, "{}", job.text);
    forge.settle().await;
    assert!(!forge.database(database).is_living());
    let shown = forge.get(&format!("/v1/plans/{}", id(&made))).await.json();
    assert_eq!(shown["state"], "applied");
    assert_eq!(shown["job"], job.json()["id"]);
    let applied = forge.get("/v1/events?kind=plan_applied").await.json();
    assert_eq!(applied["data"][0]["causation"], made["base_sequence"]);
    assert_eq!(applied["data"][0]["data"]["plan"], made["id"]);
}

#[tokio::test]
async fn a_plan_applied_twice_or_twice_at_once_is_one_job() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let made = plan(&forge, delete("shop")).await;
    let (one, other) = tokio::join!(apply(&forge, &made), apply(&forge, &made));
    assert_eq!(one.json()["id"], other.json()["id"]);
    forge.settle().await;
    let again = apply(&forge, &made).await;
    assert_eq!(again.json()["id"], one.json()["id"]);
    assert_eq!(again.header("idempotent-replayed"), "true");
    let jobs = forge.get("/v1/jobs?kind=delete_database").await.json();
    assert_eq!(jobs["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_plan_is_stale_once_anything_it_rests_on_has_changed_and_says_what() {
    let forge = HttpForge::new().await;
    for name in ["changed", "restarted", "purged", "back", "calm"] {
        forge.ready(name).await;
    }
    forge.send("DELETE", "/v1/databases/back", "").await;
    forge.settle().await;
    let changed = plan(&forge, delete("changed")).await;
    let restarted = plan(&forge, json!({"stop_database": {"database": "restarted"}})).await;
    let purged = plan(&forge, delete("purged")).await;
    let taken = plan(&forge, json!({"create_database": {"name": "taken"}})).await;
    let label = plan(&forge, json!({"create_database": {"name": "a-b"}})).await;
    let back = plan(&forge, json!({"undelete_database": {"database": "back"}})).await;
    let calm = plan(&forge, delete("calm")).await;

    forge
        .send("PATCH", "/v1/databases/changed", r#"{"ttl":"2h"}"#)
        .await;
    forge.post("/v1/databases/restarted/restart", "").await;
    forge
        .send("DELETE", "/v1/databases/purged?purge=true", "")
        .await;
    forge.ready("taken").await;
    forge.ready("a_b").await;
    forge.ready("back").await;
    forge.settle().await;
    for (plan, reason) in [
        (&changed, "was last changed by event"),
        (&restarted, "was last changed by event"),
        (&purged, "no longer exists"),
        (&taken, "already exists"),
        (&label, "host label `a-b`"),
        (&back, "already exists"),
    ] {
        let detail = apply(&forge, plan).await.problem(422, "plan_stale");
        assert!(detail.contains(reason), "{detail}");
        let shown = forge.get(&format!("/v1/plans/{}", id(plan))).await.json();
        assert_eq!(shown["state"], "stale");
    }
    // What happened to others is nothing to it.
    assert_eq!(apply(&forge, &calm).await.status, 202);
    forge.settle().await;
}

#[tokio::test]
async fn a_plan_outlives_a_restart_and_its_day_ends_it() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge.ready("other").await;
    let made = plan(&forge, delete("shop")).await;
    let late = plan(&forge, delete("other")).await;
    let kept = forge.kept.clone();
    forge.control.stop();
    drop(forge);
    let forge = HttpForge::start(kept);
    assert_eq!(apply(&forge, &made).await.status, 202);
    forge.settle().await;
    forge.kept.clock.advance(Duration::from_secs(86_400));
    let detail = apply(&forge, &late).await.problem(422, "plan_stale");
    assert!(detail.contains("expired"), "{detail}");
    // The next one sweeps them out.
    plan(&forge, delete("other")).await;
    apply(&forge, &late).await.problem(404, "plan_not_found");
    let listed = forge.get("/v1/plans").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_planned_change_of_settings_needs_no_job() {
    let forge = HttpForge::new().await;
    let database = forge.ready("shop").await;
    let change = json!({"ttl": "2h", "protect": true, "limits": {"cpu_millis": 100}});
    let command = json!({"change_database": {"database": "shop", "change": change}});
    let made = plan(&forge, command).await;
    assert_eq!(made["effects"][0]["on"], "settings");
    assert_eq!(made["command"]["change_database"]["change"]["ttl"], 7200);
    let applied = apply(&forge, &made).await;
    assert_eq!(applied.json()["state"], "applied", "{}", applied.text);
    let found = forge.database(database);
    assert!(found.protected);
    assert_eq!(found.limits.cpu_millis, 100);
    assert_eq!(apply(&forge, &made).await.status, 200);
}

#[tokio::test]
async fn a_plan_is_made_and_applied_only_by_who_may_do_what_it_does() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let manager = forge.token("m", "\"manage\"", "\"shop\"").await;
    let stranger = forge.token("s", "\"manage\"", "\"other\"").await;
    let reader = forge.token("r", "\"read\"", "\"*\"").await;
    let purge = json!({"purge_database": {"database": "shop"}});
    let body = json!({ "command": purge }).to_string();
    let asked = forge.ask("POST", "/v1/plans").token(&manager);
    asked.body(&body).await.problem(403, "insufficient_scope");
    let made = plan(&forge, purge).await;
    let path = format!("/v1/plans/{}/apply", id(&made));
    for secret in [&manager, &reader] {
        let answer = forge.ask("POST", &path).token(secret).empty().await;
        answer.problem(403, "insufficient_scope");
    }
    let answer = forge.ask("POST", &path).token(&stranger).empty().await;
    answer.problem(404, "plan_not_found");
}

#[tokio::test]
async fn what_the_rules_refuse_or_nobody_knows_is_no_plan() {
    let forge = HttpForge::new().await;
    for (body, status, code) in [
        (
            r#"{"command":{"delete_database":{"database":"none"}}}"#,
            404,
            "database_not_found",
        ),
        (
            r#"{"command":{"create_database":{"name":"copy-{date}"}}}"#,
            400,
            "invalid_request",
        ),
        (
            r#"{"command":{"delete_database":{"database":"x","purge":true}}}"#,
            400,
            "invalid_request",
        ),
        (
            r#"{"command":{"paint_database":{"database":"x"}}}"#,
            400,
            "invalid_request",
        ),
        (r#"{}"#, 400, "invalid_request"),
    ] {
        forge.post("/v1/plans", body).await.problem(status, code);
    }
    forge
        .get("/v1/plans/none")
        .await
        .problem(404, "plan_not_found");
}

#[tokio::test]
async fn tokens_and_jobs_show_what_a_call_would_do() {
    let forge = HttpForge::new().await;
    let before = forge.control.current().head.sequence;
    let body = r#"{"name":"ci","scopes":["read"],"databases":["*"]}"#;
    let planned = forge.post("/v1/tokens?dry_run=plan", body).await;
    assert_eq!(planned.json()["effects"][0]["on"], "token");
    assert_eq!(forge.control.current().head.sequence, before);
    let (_, job) = forge.request("shop").await;
    let path = format!("/v1/jobs/{job}/cancel?dry_run=plan");
    let planned = forge.post(&path, "").await;
    assert_eq!(
        planned.json()["effects"][0]["action"],
        "cancel",
        "{}",
        planned.text
    );
    forge.settle().await;
    forge.post(&path, "").await.problem(409, "wrong_state");
}
