//! A database that its worker serves, from its creation to its end, through HTTP.
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::test_forge::Kept;
use serde_json::json;

async fn with_shop() -> HttpForge {
    let forge = HttpForge::found(Kept::with_fake_engine()).await;
    let body = r#"{"name": "shop", "engine": "fake"}"#;
    assert_eq!(forge.send("POST", "/v1/databases", body).await.status, 202);
    forge.settle().await;
    forge
}

async fn ask(forge: &HttpForge, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    forge.send("POST", "/v1/databases/shop/query", &body).await
}

#[tokio::test]
async fn a_served_database_answers_sql_until_it_is_deleted() {
    let forge = with_shop().await;
    let shop = forge.get("/v1/databases/shop").await.json();
    assert_eq!(shop["engine"], "fake");
    assert_eq!(shop["state"], "ready");
    assert_eq!(shop["limits"]["memory_bytes"], 96 << 20, "its engine's own");

    let inserted = ask(&forge, "INSERT tea").await.json();
    assert_eq!(inserted["rows_affected"], 1);
    assert_eq!(ask(&forge, "SELECT").await.json()["rows"], json!([["tea"]]));
    ask(&forge, "DANCE").await.problem(400, "sql_error");
    let script = forge.ask("POST", "/v1/databases/shop/script").token(ROOT);
    let script = script.header("content-type", "text/plain");
    assert_eq!(script.body("INSERT a\nINSERT b").await.status, 200);
    let rows = json!([["tea"], ["a"], ["b"]]);
    assert_eq!(ask(&forge, "SELECT").await.json()["rows"], rows);

    let restarted = forge.send("POST", "/v1/databases/shop/restart", "").await;
    assert_eq!(restarted.status, 202);
    forge.settle().await;
    let lines = ask(&forge, "SELECT").await.json();
    assert_eq!(lines["rows"], rows, "another worker has them");

    let deleted = forge.send("DELETE", "/v1/databases/shop", "").await;
    assert_eq!(deleted.status, 202);
    forge.settle().await;
    ask(&forge, "SELECT").await.problem(410, "database_deleted");
}

#[tokio::test]
async fn what_its_engine_does_not_do_is_said() {
    let forge = with_shop().await;
    let shop = "/v1/databases/shop";
    let transaction = forge
        .send("POST", &format!("{shop}/transactions"), "{}")
        .await;
    transaction.problem(501, "not_supported_by_engine");
    for (method, path, body) in [
        ("POST", "/api/db/shop/query", r#"{"sql": "SELECT"}"#),
        ("GET", "/api/db/shop/tables/t/rows", ""),
        ("GET", "/admin/databases/shop", ""),
    ] {
        let answer = forge.send(method, path, body).await;
        answer.problem(501, "not_supported_by_engine");
    }
}

#[tokio::test]
async fn a_database_whose_worker_is_away_is_not_ready_and_comes_back_with_it() {
    let forge = with_shop().await;
    let shop = {
        let current = forge.control.current();
        current.state.find_database("shop").unwrap().id
    };
    forge.kept.fake.as_ref().unwrap().end(shop);
    let answer = ask(&forge, "SELECT").await;
    answer.problem(409, "database_not_ready");
    forge.send("POST", "/v1/databases/shop/restart", "").await;
    forge.settle().await;
    assert_eq!(ask(&forge, "SELECT").await.status, 200);
}

#[tokio::test]
async fn sqlites_databases_are_served_beside_it() {
    let forge = with_shop().await;
    let engines = forge.get("/v1/engines").await.json();
    let engines = engines["data"].as_array().unwrap();
    let names: Vec<_> = engines.iter().map(|engine| &engine["name"]).collect();
    assert_eq!(names, ["sqlite", "fake"]);
    for engine in engines {
        assert_eq!(engine["available"], true, "{engine}");
        assert!(engine["version"].is_string(), "{engine}");
        assert_eq!(engine["protocols"], json!(["http"]));
    }
    assert_eq!(engines[1]["limits"]["default"]["memory_bytes"], 96 << 20);
    forge.ready_on("books", "sqlite").await;
    let body = r#"{"sql": "SELECT 1"}"#;
    let answer = forge.send("POST", "/v1/databases/books/query", body).await;
    assert_eq!(answer.json()["rows"], json!([[1]]));
}
