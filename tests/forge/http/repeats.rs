//! The same request twice: with a key it is one, also after a restart.
use crate::support::http::{Answer, HttpForge, ROOT};
use dbforge::domain::event::NothingChanged;
use dbforge::domain::event::recorded::{CommitHeader, Idempotency, KeyOwner, NewCommit};
use dbforge::domain::ids::{Actor, Sequence};

async fn keyed(forge: &HttpForge, method: &str, path: &str, key: &str, body: &str) -> Answer {
    let ask = forge.ask(method, path).token(ROOT);
    ask.header("idempotency-key", key).body(body).await
}

#[tokio::test]
async fn the_same_key_and_request_give_the_same_job_also_after_a_restart() {
    let forge = HttpForge::new().await;
    let create = async |forge: &HttpForge| {
        keyed(forge, "POST", "/v1/databases", "k 1", r#"{"name":"shop"}"#).await
    };
    let first = create(&forge).await;
    assert!(!first.headers.contains_key("idempotent-replayed"));
    let again = create(&forge).await;
    assert_eq!(again.status.as_u16(), 202);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["id"], first.json()["id"]);
    forge.settle().await;

    let kept = forge.kept.clone();
    forge.control.stop();
    drop(forge);
    let forge = HttpForge::start(kept);
    let later = create(&forge).await;
    assert_eq!(later.json()["id"], first.json()["id"]);
    assert_eq!(later.json()["state"], "succeeded");
    assert_eq!(later.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let forge = HttpForge::new().await;
    let path = "/v1/databases";
    keyed(&forge, "POST", path, "k", r#"{"name":"a"}"#).await;
    let before = forge.control.current().head;
    for (method, path, body) in [
        ("POST", path, r#"{"name":"b"}"#),
        ("POST", path, r#"{"name":"a" }"#),
        ("DELETE", "/v1/databases/a", ""),
        ("DELETE", "/v1/databases/nothing", ""),
        ("DELETE", "/v1/databases/a?purge=true", ""),
        ("PATCH", "/v1/databases/a", r#"{"name":"a"}"#),
    ] {
        let answer = keyed(&forge, method, path, "k", body).await;
        if method == "PATCH" {
            answer.problem(400, "invalid_request");
        } else {
            answer.problem(422, "idempotency_key_reused");
        }
    }
    assert_eq!(forge.control.current().head, before);
    for wrong in ["", &"x".repeat(256), "käse"] {
        let answer = keyed(&forge, "POST", path, wrong, "{}").await;
        let said = answer.problem(400, "invalid_request");
        assert!(said.contains("Idempotency-Key"), "{said}");
    }
}

#[tokio::test]
async fn a_key_is_its_actors_own() {
    let forge = HttpForge::new().await;
    let token = forge.token("ci", "\"manage\"", "\"*\"").await;
    keyed(&forge, "POST", "/v1/databases", "k", r#"{"name":"a"}"#).await;
    let ask = forge.ask("POST", "/v1/databases").token(&token);
    let other = ask
        .header("idempotency-key", "k")
        .body(r#"{"name":"b"}"#)
        .await;
    assert_eq!(other.status.as_u16(), 202, "{}", other.text);
    assert_eq!(other.json()["actor"], "token/ci");
}

#[tokio::test]
async fn a_repeated_request_finds_its_job_when_the_database_is_gone_or_another() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let purge = async || keyed(&forge, "DELETE", "/v1/databases/shop?purge=true", "p", "").await;
    let first = purge().await;
    assert_eq!(first.status.as_u16(), 202, "{}", first.text);
    forge.settle().await;
    let again = purge().await;
    assert_eq!(again.json()["id"], first.json()["id"], "{}", again.text);
    forge.ready("shop").await;
    let again = purge().await;
    assert_eq!(
        again.json()["id"],
        first.json()["id"],
        "the new one is left alone"
    );
    forge.settle().await;
    assert_eq!(
        forge.get("/v1/databases/shop").await.json()["state"],
        "ready"
    );
}

#[tokio::test]
async fn many_at_once_with_one_key_are_one() {
    let forge = HttpForge::new().await;
    let create = || keyed(&forge, "POST", "/v1/databases", "k", "{}");
    let answers = futures_util::future::join_all((0..20).map(|_| create())).await;
    let ids: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|answer| {
            assert_eq!(answer.status, 202, "{}", answer.text);
            answer.json()["id"].to_string()
        })
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    forge.settle().await;
    assert_eq!(forge.control.current().state.databases().count(), 1);
}

#[tokio::test]
async fn a_change_that_changed_nothing_is_remembered_too() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let path = "/v1/databases/shop";
    let change = async |label: &str| {
        let body = format!(r#"{{"labels":{{"a":"{label}"}}}}"#);
        let answer = forge.send("PATCH", path, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.header("etag").to_owned()
    };
    let etag = change("1").await;
    let keyed_change = || keyed(&forge, "PATCH", path, "k", r#"{"labels":{"a":"1"}}"#);
    let unchanged = keyed_change().await;
    assert_eq!(unchanged.header("etag"), etag, "nothing has happened to it");
    assert!(!unchanged.headers.contains_key("idempotent-replayed"));
    change("2").await;
    let again = keyed_change().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(
        again.json()["labels"]["a"],
        "2",
        "it was not carried out again"
    );
    let other = keyed(&forge, "PATCH", path, "k", r#"{"labels":{"a":"3"}}"#).await;
    other.problem(422, "idempotency_key_reused");

    let cron =
        r#"{"name":"often","cron":"* * * * *","command":{"stop_database":{"database":"shop"}}}"#;
    forge.post("/v1/schedules", cron).await;
    let path = "/v1/schedules/often";
    keyed(&forge, "PATCH", path, "s", r#"{"enabled":true}"#).await;
    forge.send("PATCH", path, r#"{"enabled":false}"#).await;
    let again = keyed(&forge, "PATCH", path, "s", r#"{"enabled":true}"#).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["enabled"], false, "{}", again.text);
}

#[tokio::test]
async fn a_key_is_its_tokens_own_whatever_token_had_its_name_before() {
    let forge = HttpForge::new().await;
    let create = async |token: &str, name: &str| {
        let ask = forge.ask("POST", "/v1/databases").token(token);
        let body = format!(r#"{{"name":"{name}"}}"#);
        ask.header("idempotency-key", "k").body(&body).await
    };
    let first = forge.token("ci", "\"manage\"", "\"*\"").await;
    assert_eq!(create(&first, "a").await.status, 202);
    let id = forge.get("/v1/tokens").await.json()["data"][0]["id"].clone();
    let path = format!("/v1/tokens/{}", id.as_str().unwrap());
    assert_eq!(forge.send("DELETE", &path, "").await.status, 204);
    let second = forge.token("ci", "\"manage\"", "\"*\"").await;
    let other = create(&second, "b").await;
    assert_eq!(other.status, 202, "{}", other.text);
    let again = create(&second, "b").await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    create(&second, "a")
        .await
        .problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_key_that_was_written_by_a_tokens_name_is_found_by_the_token() {
    let forge = HttpForge::new().await;
    let token = forge.token("ci", "\"manage\"", "\"*\"").await;
    let body = r#"{"name":"a"}"#;
    let ask = || forge.ask("POST", "/v1/databases").token(&token);
    let first = ask().header("idempotency-key", "k").body(body).await;
    let log = forge.kept.log.clone();
    let mut written = log.read_after(Sequence(0), 1000).unwrap();
    let commit = written.pop().unwrap().commit;
    // As formats 1 and 2 have written it.
    let header = CommitHeader {
        token: None,
        ..commit.as_ref().clone()
    };
    let owner = header.key_owner();
    assert_eq!(owner, KeyOwner::Actor(Actor("token/ci".to_owned())));
    let job = first.json()["id"].as_str().unwrap().parse().unwrap();
    let database = forge.control.current().state.job(job).unwrap().database;
    let idempotency = header.idempotency.clone().map(|it| Idempotency {
        key: "old".to_owned(),
        ..it
    });
    let header = CommitHeader {
        idempotency,
        ..header
    };
    let events = vec![
        NothingChanged {
            database: Some(database),
        }
        .into(),
    ];
    let kept = forge.kept.clone();
    forge.control.stop();
    drop(forge);
    let end = kept.log.head().sequence;
    log.append(end, vec![NewCommit { header, events }]).unwrap();
    let forge = HttpForge::start(kept);
    let ask = |key: &str| {
        forge
            .ask("POST", "/v1/databases")
            .token(&token)
            .header("idempotency-key", key)
    };
    let again = ask("old").body(body).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    let other = ask("old").body(r#"{"name":"b"}"#).await;
    other.problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_repeated_change_is_about_the_same_database_or_none() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let body = r#"{"labels":{"a":"1"}}"#;
    let change = || keyed(&forge, "PATCH", "/v1/databases/shop", "k", body);
    assert_eq!(change().await.status, 200);
    forge
        .send("DELETE", "/v1/databases/shop?purge=true", "")
        .await;
    forge.settle().await;
    forge.ready("shop").await;
    let said = change().await.problem(404, "database_not_found");
    assert!(said.contains("no longer exists"), "{said}");
}
