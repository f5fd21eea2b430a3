//! Undo: what an event's command has done is taken back, or an honest no.
use crate::support::http::{Answer, HttpForge};
use dbforge::domain::database::DatabaseState;
use serde_json::{Value, json};
use std::time::Duration;

async fn undo(forge: &HttpForge, sequence: u64) -> Answer {
    let answer = forge.post(&format!("/v1/events/{sequence}/undo"), "").await;
    forge.settle().await;
    answer
}

/// The sequence of the latest event of a kind.
async fn latest(forge: &HttpForge, kind: &str) -> u64 {
    let path = format!("/v1/events?kind={kind}&order=desc&limit=1");
    let events = forge.get(&path).await.json();
    events["data"][0]["sequence"].as_u64().unwrap()
}

async fn sql(forge: &HttpForge, name: &str, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let path = format!("/v1/databases/{name}/query");
    let answer = forge.post(&path, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn act(forge: &HttpForge, method: &str, path: &str, body: &str) {
    let answer = forge.send(method, path, body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    forge.settle().await;
}

#[tokio::test]
async fn the_rows_are_back_after_the_undo_of_a_delete() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    sql(&forge, "shop", "CREATE TABLE t(a)").await;
    sql(&forge, "shop", "INSERT INTO t VALUES (1), (2)").await;
    act(&forge, "DELETE", "/v1/databases/shop", "").await;
    // The event of a step of its job stands for the delete as well.
    let trashed = latest(&forge, "database_trashed").await;
    let cause = latest(&forge, "job_enqueued").await;
    let planned = forge
        .post(&format!("/v1/events/{trashed}/undo?dry_run=plan"), "")
        .await;
    assert_eq!(
        planned.json()["effects"][0]["action"],
        "move out of the trash"
    );
    let undone = undo(&forge, trashed).await;
    assert_eq!(undone.status, 202, "{}", undone.text);
    assert_eq!(undone.json()["kind"], "undelete_database");
    let rows = sql(&forge, "shop", "SELECT count(*) FROM t").await;
    assert_eq!(rows["rows"], json!([[2]]));
    let by = latest(&forge, "job_enqueued").await;
    let event = forge.get(&format!("/v1/events/{by}")).await.json();
    assert_eq!(event["causation"], cause);

    let again = undo(&forge, trashed).await.problem(409, "wrong_state");
    assert!(
        again.contains(&format!("already undone by event {by}")),
        "{again}"
    );
    // An undo is undone like everything else.
    assert_eq!(undo(&forge, by).await.json()["kind"], "delete_database");
    forge.get("/v1/databases/shop").await;
    assert_eq!(forge.folders("trash").len(), 1);
}

#[tokio::test]
async fn a_delete_whose_name_is_taken_stays_and_says_so() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    act(&forge, "DELETE", "/v1/databases/shop", "").await;
    let deleted = latest(&forge, "job_enqueued").await;
    forge.ready("shop").await;
    undo(&forge, deleted).await.problem(409, "database_exists");
}

#[tokio::test]
async fn changed_settings_go_back_field_by_field_unless_they_changed_since() {
    let forge = HttpForge::new().await;
    let database = forge.ready("shop").await;
    let path = "/v1/databases/shop";
    act(
        &forge,
        "PATCH",
        path,
        r#"{"ttl":"2h","labels":{"team":"red"}}"#,
    )
    .await;
    let first = forge.database(database).expires_at;
    act(&forge, "PATCH", path, r#"{"ttl":"9h","protect":true}"#).await;
    let second = latest(&forge, "database_changed").await;
    forge.kept.clock.advance(Duration::from_secs(60));
    act(&forge, "PATCH", path, r#"{"labels":{"team":"blue"}}"#).await;

    let undone = undo(&forge, second).await;
    assert_eq!(undone.status, 200, "{}", undone.text);
    assert_eq!(undone.json()["undone"], second);
    let now = forge.database(database);
    assert_eq!((now.expires_at, now.protected), (first, false));
    assert_eq!(now.labels["team"], "blue");
    let by = latest(&forge, "database_changed").await;
    let again = undo(&forge, second).await.problem(409, "wrong_state");
    assert!(again.contains(&format!("by event {by}")), "{again}");

    let ttl_first = second - 1;
    let no = undo(&forge, ttl_first).await.problem(409, "wrong_state");
    assert!(no.contains("changed the same object later"), "{no}");
}

#[tokio::test]
async fn a_time_to_live_that_has_passed_is_not_put_back() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let path = "/v1/databases/shop";
    act(&forge, "PATCH", path, r#"{"ttl":"1h"}"#).await;
    act(&forge, "PATCH", path, r#"{"ttl":null}"#).await;
    forge.kept.clock.advance(Duration::from_secs(7200));
    let changed = latest(&forge, "database_changed").await;
    let no = undo(&forge, changed).await.problem(422, "cannot_be_undone");
    assert!(no.contains("has passed"), "{no}");
}

#[tokio::test]
async fn every_lifecycle_command_that_has_an_opposite_is_followed_by_it() {
    let forge = HttpForge::new().await;
    let database = forge.ready("shop").await;
    let created = latest(&forge, "database_ready").await;
    act(&forge, "POST", "/v1/databases/shop/stop", "").await;
    let stopped = latest(&forge, "database_stopped").await;
    assert_eq!(undo(&forge, stopped).await.json()["kind"], "start_database");
    let started = latest(&forge, "database_started").await;
    assert_eq!(undo(&forge, started).await.json()["kind"], "stop_database");
    assert_eq!(forge.database(database).state(), DatabaseState::Stopped);
    // The first stop was undone, and what undid it was undone.
    undo(&forge, stopped).await.problem(409, "wrong_state");
    act(&forge, "DELETE", "/v1/databases/shop", "").await;
    act(&forge, "POST", "/v1/databases/shop/undelete", "").await;
    let back = latest(&forge, "database_undeleted").await;
    assert_eq!(undo(&forge, back).await.json()["kind"], "delete_database");
    undo(&forge, created).await.problem(409, "wrong_state");
    let other = forge.ready("other").await;
    let created = latest(&forge, "database_ready").await;
    assert_eq!(
        undo(&forge, created).await.json()["kind"],
        "delete_database"
    );
    assert!(!forge.database(other).is_living());
}

#[tokio::test]
async fn the_undo_of_a_command_whose_job_waits_cancels_it() {
    let forge = HttpForge::new().await;
    let (database, _) = forge.request("shop").await;
    let requested = latest(&forge, "database_requested").await;
    let undone = undo(&forge, requested).await;
    assert_eq!(undone.json()["state"], "cancelled", "{}", undone.text);
    assert!(!forge.exists(database));
    let no = undo(&forge, requested)
        .await
        .problem(422, "cannot_be_undone");
    assert!(no.contains("did not succeed"), "{no}");
}

#[tokio::test]
async fn what_cannot_be_undone_says_why() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    act(&forge, "POST", "/v1/databases/shop/restart", "").await;
    let restarted = latest(&forge, "job_enqueued").await;
    act(&forge, "DELETE", "/v1/databases/shop?purge=true", "").await;
    let purged = latest(&forge, "database_purged").await;
    for (event, reason) in [
        (1, "initialized only once"),
        (2, "settings"),
        (restarted, "nothing that could be restored"),
        (purged, "permanently"),
    ] {
        let no = undo(&forge, event).await.problem(422, "cannot_be_undone");
        assert!(no.contains(reason), "{no}");
    }
    for none in ["0", "9999", "x"] {
        let answer = forge.post(&format!("/v1/events/{none}/undo"), "").await;
        answer.problem(404, "event_not_found");
    }
}

#[tokio::test]
async fn a_token_that_was_made_is_revoked_and_a_revoked_one_stays_so() {
    let forge = HttpForge::new().await;
    let secret = forge.token("ci", "\"manage\"", "\"*\"").await;
    let issued = latest(&forge, "token_issued").await;
    let path = format!("/v1/events/{issued}/undo");
    let own = forge.ask("POST", &path).token(&secret).empty().await;
    own.problem(403, "insufficient_scope");
    assert_eq!(
        undo(&forge, issued).await.json()["events"][0]["kind"],
        "token_revoked"
    );
    let revoked = latest(&forge, "token_revoked").await;
    undo(&forge, issued).await.problem(409, "wrong_state");
    undo(&forge, revoked).await.problem(422, "cannot_be_undone");
}

#[tokio::test]
async fn schedules_go_back_to_what_they_were() {
    let forge = HttpForge::new().await;
    let body = r#"{"name":"n","cron":"@daily","command":{"create_database":{"name":"c-{date}"}}}"#;
    act(&forge, "POST", "/v1/schedules", body).await;
    act(&forge, "PATCH", "/v1/schedules/n", r#"{"cron":"@hourly"}"#).await;
    undo(&forge, latest(&forge, "schedule_changed").await).await;
    let cron = forge.get("/v1/schedules/n").await.json()["cron"].clone();
    assert_eq!(cron, "@daily");
    act(&forge, "DELETE", "/v1/schedules/n", "").await;
    undo(&forge, latest(&forge, "schedule_deleted").await).await;
    assert_eq!(forge.get("/v1/schedules/n").await.json()["cron"], "@daily");
    undo(&forge, latest(&forge, "schedule_created").await).await;
    forge
        .get("/v1/schedules/n")
        .await
        .problem(404, "schedule_not_found");
}

#[tokio::test]
async fn an_undo_needs_the_rights_of_what_it_does_and_is_done_once_per_key() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    act(&forge, "DELETE", "/v1/databases/shop", "").await;
    let path = format!(
        "/v1/events/{}/undo",
        latest(&forge, "database_trashed").await
    );
    let reader = forge.token("r", "\"read\"", "\"*\"").await;
    let stranger = forge.token("s", "\"manage\"", "\"other\"").await;
    let answer = forge.ask("POST", &path).token(&reader).empty().await;
    answer.problem(403, "insufficient_scope");
    let answer = forge.ask("POST", &path).token(&stranger).empty().await;
    assert!(!answer.text.contains("shop"), "{}", answer.text);
    answer.problem(404, "event_not_found");
    let manager = forge.token("m", "\"manage\"", "\"shop\"").await;
    let send = || {
        let asked = forge.ask("POST", &path).token(&manager);
        asked.header("idempotency-key", "k").empty()
    };
    let first = send().await;
    assert_eq!(first.status, 202, "{}", first.text);
    forge.settle().await;
    let second = send().await;
    assert_eq!(second.json()["id"], first.json()["id"]);
    assert_eq!(second.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn of_many_undos_of_one_event_at_once_the_first_counts() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    act(&forge, "POST", "/v1/databases/shop/stop", "").await;
    let stopped = latest(&forge, "job_enqueued").await;
    let changed = r#"{"labels":{"a":"b"}}"#;
    act(&forge, "PATCH", "/v1/databases/shop", changed).await;
    let changed = latest(&forge, "database_changed").await;
    for event in [stopped, changed] {
        let path = format!("/v1/events/{event}/undo");
        let undos = (0..8).map(|_| forge.post(&path, ""));
        let answers = futures_util::future::join_all(undos).await;
        let (taken, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|it| it.status.is_success());
        assert_eq!((taken.len(), refused.len()), (1, 7), "{answers:?}");
        for answer in refused {
            answer.problem(409, "wrong_state");
        }
        forge.settle().await;
    }
}

#[tokio::test]
async fn the_undo_of_what_runs_is_refused_once_somebody_has_cancelled_it() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    forge.post("/v1/databases/shop/stop", "").await;
    let event = latest(&forge, "job_enqueued").await;
    let job = forge.control.current().state.jobs().next().unwrap().id;
    forge.runner.move_once(job).await.unwrap();
    let path = format!("/v1/events/{event}/undo");
    assert_eq!(forge.post(&path, "").await.status, 202);
    forge.post(&path, "").await.problem(409, "wrong_state");
    forge.settle().await;
}
