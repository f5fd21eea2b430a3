//! The same request twice: with a key it is one, also after a restart.
use crate::http_support::{Answer, HttpForge, ROOT};

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
    let before = forge.control.present().head;
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
    assert_eq!(forge.control.present().head, before);
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
        .map(|it| it.json()["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    forge.settle().await;
    assert_eq!(forge.control.present().state.databases().count(), 1);
}
