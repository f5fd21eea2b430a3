//! What a load does to what was there: it stays in the trash, and comes back.
use super::{forge, import, refused, result, rows};
use crate::support::http::{HttpForge, ROOT};
use dbforge::jobs::uploads::remove_ended;
use serde_json::{Value, json};

const ONE: &[u8] = b"CREATE TABLE t(a);INSERT INTO t VALUES('one');";
const TWO: &[u8] = b"CREATE TABLE t(a);INSERT INTO t VALUES('two');";

async fn undo(forge: &HttpForge, kind: &str) {
    let path = format!("/v1/events?kind={kind}&order=desc&limit=1");
    let events = forge.get(&path).await.json();
    let sequence = events["data"][0]["sequence"].as_u64().unwrap();
    let answer = forge.post(&format!("/v1/events/{sequence}/undo"), "").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    forge.settle().await;
}

async fn trashed(forge: &HttpForge) -> Vec<Value> {
    let list = forge.get("/v1/databases?state=trashed").await.json();
    list["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_database_that_is_not_empty_is_replaced_only_when_that_is_asked_for() {
    let forge = forge().await;
    result(&import(&forge, "", ONE).await);
    remove_ended(&forge.control, &forge.job_context.data).await;
    let ask = forge.ask("POST", "/v1/databases/shop/import").token(ROOT);
    let answer = ask
        .header("content-type", "application/sql")
        .bytes(TWO)
        .await;
    let said = answer.problem(409, "database_not_empty");
    assert!(said.contains("mode=replace"), "{said}");
    assert_eq!(forge.folders("uploads"), [""; 0], "no file is left or kept");
    assert_eq!(forge.folders("databases").len(), 1, "nor a folder of a job");

    result(&import(&forge, "?mode=replace", TWO).await);
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([["two"]]));
    let kept = trashed(&forge).await;
    assert_eq!(kept.len(), 2, "the empty one and the first: {kept:?}");
    let name = kept[1]["name"].as_str().unwrap();
    assert!(name.starts_with("shop-before-"), "{name}");

    undo(&forge, "database_loaded").await;
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([["one"]]));
    undo(&forge, "contents_exchanged").await;
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([["two"]]));

    forge
        .post(&format!("/v1/databases/{name}/undelete"), "")
        .await;
    forge.settle().await;
    let before = forge
        .post(
            &format!("/v1/databases/{name}/query"),
            r#"{"sql":"SELECT a FROM t"}"#,
        )
        .await;
    assert_eq!(before.json()["rows"], json!([["one"]]), "beside the other");
    let events = forge
        .get("/v1/events?kind=database_loaded&order=desc&limit=1")
        .await
        .json();
    let sequence = &events["data"][0]["sequence"];
    let answer = forge.post(&format!("/v1/events/{sequence}/undo"), "").await;
    let said = answer.problem(422, "cannot_be_undone");
    assert!(said.contains("restored from the trash"), "{said}");
}

#[tokio::test]
async fn an_insert_is_whole_or_nothing() {
    let forge = forge().await;
    result(
        &import(
            &forge,
            "",
            b"CREATE TABLE t(a UNIQUE);INSERT INTO t VALUES(1);",
        )
        .await,
    );
    let job = import(
        &forge,
        "?mode=insert",
        b"INSERT INTO t VALUES(2);\nINSERT INTO t VALUES(1);",
    )
    .await;
    assert!(refused(&job).starts_with("Line 2: UNIQUE"), "{job}");
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([[1]]));
    result(&import(&forge, "?mode=insert", b"INSERT INTO t VALUES(2);").await);
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([[1], [2]]));
    undo(&forge, "database_loaded").await;
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([[1]]));
}

#[tokio::test]
async fn a_new_database_is_made_of_an_upload() {
    let forge = HttpForge::new().await;
    let upload = forge
        .post("/v1/uploads", std::str::from_utf8(ONE).unwrap())
        .await
        .json();
    let body = json!({"name": "shop", "from": {"upload": upload["id"]}}).to_string();
    let plan = forge.post("/v1/databases?dry_run=plan", &body).await.json();
    assert_eq!(
        plan["effects"][0]["action"], "create from the uploaded file",
        "{plan}"
    );
    let created = forge.post("/v1/databases", &body).await;
    assert_eq!(created.status, 202, "{}", created.text);
    let path = format!("/v1/uploads/{}", upload["id"].as_str().unwrap());
    forge
        .send("DELETE", &path, "")
        .await
        .problem(409, "upload_in_use");
    forge.settle().await;
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([["one"]]));

    let broken = forge.post("/v1/uploads", "CREATE TABLE").await.json();
    let body = json!({"name": "other", "from": {"upload": broken["id"]}}).to_string();
    forge.post("/v1/databases", &body).await;
    forge.settle().await;
    forge
        .get("/v1/databases/other")
        .await
        .problem(404, "database_not_found");
    let body = json!({"name": "other", "from": {"upload": crate::support::uuid(9)}}).to_string();
    forge
        .post("/v1/databases", &body)
        .await
        .problem(404, "upload_not_found");
}

#[tokio::test]
async fn a_load_that_is_asked_for_twice_under_one_key_happens_once() {
    let forge = forge().await;
    let ask = async || {
        let ask = forge.ask("POST", "/v1/databases/shop/import").token(ROOT);
        let ask = ask.header("content-type", "application/sql");
        ask.header("idempotency-key", "k").bytes(ONE).await
    };
    let first = ask().await.json();
    forge.settle().await;
    let again = ask().await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.json()["id"], first["id"]);
    forge.settle().await;
    assert_eq!(rows(&forge, "SELECT a FROM t").await, json!([["one"]]));
}

#[tokio::test]
async fn scopes_are_those_of_what_is_done() {
    let forge = forge().await;
    let writer = forge.token("writer", r#""write""#, r#""shop""#).await;
    let reader = forge.token("reader", r#""read""#, r#""shop""#).await;
    let ask = async |token: &str, query: &str| {
        let path = format!("/v1/databases/shop/import{query}");
        forge
            .ask("POST", &path)
            .token(token)
            .header("content-type", "application/sql")
            .bytes(ONE)
            .await
    };
    ask(&reader, "").await.problem(403, "insufficient_scope");
    ask(&writer, "?mode=replace")
        .await
        .problem(403, "insufficient_scope");
    assert_eq!(ask(&writer, "").await.status, 202);
    forge.settle().await;
}

#[tokio::test]
async fn foreign_keys_hold_in_what_is_added_unless_the_text_says_otherwise() {
    let forge = forge().await;
    let schema =
        b"CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p ON DELETE CASCADE);
        INSERT INTO p VALUES(1),(2); INSERT INTO c VALUES(1),(2);";
    result(&import(&forge, "", schema).await);
    let children = "SELECT p FROM c ORDER BY p";
    let late = b"INSERT INTO c VALUES(3); INSERT INTO p VALUES(3); DELETE FROM p WHERE id = 1;";
    result(&import(&forge, "?mode=insert", late).await);
    assert_eq!(rows(&forge, children).await, json!([[2], [3]]));
    let job = import(&forge, "?mode=insert", b"INSERT INTO c VALUES(99);").await;
    assert!(refused(&job).contains("PRAGMA foreign_keys = OFF"), "{job}");
    let off = b"PRAGMA foreign_keys=OFF; BEGIN; INSERT INTO c VALUES(99); COMMIT;";
    let job = import(&forge, "?mode=insert", off).await;
    assert_eq!(result(&job)["foreign_key_violations"], 1);
    assert_eq!(rows(&forge, children).await, json!([[2], [3], [99]]));
}
