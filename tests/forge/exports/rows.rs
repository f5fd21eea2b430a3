//! Exports of tables and queries, over real sockets.
use crate::support::sqlite;
use crate::support::stream_client::{NUMBERS, Served};
use serde_json::{Value, json};
use std::io::Read as _;

async fn made(statements: &[&str]) -> Served {
    let served = Served::new().await;
    for statement in statements {
        served.run(statement).await;
    }
    served
}

async fn table(served: &Served, table: &str, parameters: &str) -> String {
    let path = format!("/v1/databases/shop/tables/{table}/export{parameters}");
    let mut reply = served.send("GET", &path, "", "").await;
    let status = reply.status;
    let (bytes, is_whole) = reply.rest().await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(is_whole && status == 200, "{path}: {status} {text}");
    text
}

/// Moves the database to the trash.
async fn trash(served: &Served) {
    let answer = served.forge.send("DELETE", "/v1/databases/shop", "").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    served.forge.settle().await;
}

const GOODS: &[&str] = &[
    "CREATE TABLE \"good s\" (id INTEGER PRIMARY KEY, name TEXT, price REAL, photo BLOB, \
     gross AS (price * 2))",
    "INSERT INTO \"good s\" (name, price, photo) VALUES ('tea, \"green\"', 1.5, x'00ff'), \
     ('=1+1', NULL, NULL), ('', 1e999, x'')",
    "CREATE INDEX by_name ON \"good s\" (name)",
    "CREATE VIEW cheap AS SELECT name FROM \"good s\" WHERE price < 2",
];

#[tokio::test]
async fn a_table_is_exported_in_every_format() {
    let served = made(GOODS).await;
    let csv = "id,name,price,photo,gross\r\n1,\"tea, \"\"green\"\"\",1.5,AP8=,3.0\r\n\
               2,=1+1,,,\r\n3,\"\",Infinity,\"\",Infinity\r\n";
    for parameters in ["", "?format=csv"] {
        assert_eq!(table(&served, "good%20s", parameters).await, csv);
    }
    let escaped = table(&served, "good%20s", "?formulas=escape").await;
    assert!(escaped.contains("\r\n2,'=1+1,,,\r\n"), "{escaped}");

    let objects = [
        r#"{"id":1,"name":"tea, \"green\"","price":1.5,"photo":{"$base64":"AP8="},"gross":3.0}"#,
        r#"{"id":2,"name":"=1+1","price":null,"photo":null,"gross":null}"#,
        r#"{"id":3,"name":"","price":{"$real":"Infinity"},"photo":{"$base64":""},"gross":{"$real":"Infinity"}}"#,
    ];
    let lines = objects.map(|line| format!("{line}\n")).concat();
    assert_eq!(table(&served, "good%20s", "?format=ndjson").await, lines);
    let array = format!("[{}]\n", objects.join(",\n"));
    assert_eq!(table(&served, "good%20s", "?format=json").await, array);

    let sql = table(&served, "good%20s", "?format=sql").await;
    let loaded = sqlite::in_memory();
    loaded.execute_batch(&sql).unwrap();
    let names = "SELECT group_concat(name || ':' || quote(photo) || quote(gross)) FROM \"good s\" \
                 INDEXED BY by_name WHERE name >= ''";
    let names: String = loaded.query_row(names, [], |row| row.get(0)).unwrap();
    assert_eq!(
        names,
        ":X''9.0e+999,=1+1:NULLNULL,tea, \"green\":X'00FF'3.0"
    );
    let rows_alone = table(&served, "good%20s", "?format=sql&schema=false").await;
    assert!(rows_alone.starts_with("INSERT INTO \"good s\"(\"id\",\"name\",\"price\",\"photo\")"));
    assert_eq!(rows_alone.lines().count(), 3);

    assert_eq!(
        table(&served, "CHEAP", "").await,
        "name\r\n\"tea, \"\"green\"\"\"\r\n"
    );
}

#[tokio::test]
async fn what_shows_rows_of_others_becomes_a_table_in_sql() {
    let served = made(GOODS).await;
    served.run("CREATE VIRTUAL TABLE words USING fts5(x)").await;
    served.run("INSERT INTO words VALUES ('tea')").await;
    served
        .run("CREATE VIRTUAL TABLE terms USING fts5vocab(words, row)")
        .await;
    let loaded = sqlite::in_memory();
    for (name, value) in [("cheap", "tea, \"green\""), ("terms", "tea")] {
        let sql = table(&served, name, "?format=sql").await;
        loaded.execute_batch(&sql).unwrap();
        let question = format!("SELECT * FROM {name}");
        let found: String = loaded.query_row(&question, [], |row| row.get(0)).unwrap();
        assert_eq!(found, value);
    }
    let rows_alone = table(&served, "cheap", "?format=sql&schema=false").await;
    assert!(
        rows_alone.starts_with("INSERT INTO \"cheap\""),
        "{rows_alone}"
    );
}

#[tokio::test]
async fn rows_of_a_query_are_exported_with_its_parameters() {
    let served = made(GOODS).await;
    let ask = async |parameters: &str, body: Value| {
        let path = format!("/v1/databases/shop/export{parameters}");
        let mut reply = served.send("POST", &path, "", &body.to_string()).await;
        let text = String::from_utf8(reply.rest().await.0).unwrap();
        (reply.status, text)
    };
    let sql = "SELECT id, name AS \"na\"\"me\" FROM \"good s\" WHERE id < ?1";
    let body = json!({"sql": sql, "params": [3]});
    let (status, csv) = ask("", body.clone()).await;
    assert_eq!((status, csv.lines().count()), (200, 3));
    let (_, inserts) = ask("?format=sql&table=a%20b", body).await;
    assert!(
        inserts
            .starts_with("INSERT INTO \"a b\"(\"id\",\"na\"\"me\") VALUES(1,'tea, \"green\"');\n"),
        "{inserts}"
    );

    for (body, status, code) in [
        (json!({"sql": "SELECT 1 AS a, 2 AS a"}), 200, ""),
        (
            json!({"sql": "DELETE FROM \"good s\" RETURNING id"}),
            403,
            "read_only",
        ),
        (json!({"sql": "SELECT * FROM gone"}), 400, "sql_error"),
        (json!({"sql": "SELECT ?1"}), 422, "parameter_mismatch"),
        (
            json!({"sql": "SELECT 1", "timeout_ms": 1}),
            400,
            "invalid_request",
        ),
        (
            json!({"sql": "ATTACH 'x' AS y"}),
            403,
            "statement_not_allowed",
        ),
    ] {
        let (said, text) = ask("?format=csv", body.clone()).await;
        assert_eq!(said, status, "{body} {text}");
        assert!(text.contains(code), "{body} {text}");
    }
    let twice = json!({"sql": "SELECT 1 AS a, 2 AS a"});
    assert_eq!(ask("?format=json", twice).await.0, 400);
    assert_eq!(ask("?format=xml", json!({"sql": "SELECT 1"})).await.0, 400);
}

#[tokio::test]
async fn an_export_that_cannot_begin_says_why() {
    let served = made(GOODS).await;
    served.run("CREATE VIEW broken AS SELECT * FROM gone").await;
    for (path, status, hint) in [
        ("shop/tables/nope/export", 404, "table_not_found"),
        ("shop/tables/broken/export", 400, "no such table: main.gone"),
        ("shop/tables/good_s/export", 404, "good s"),
        ("shop/tables/cheap/export?format=xlsx", 400, "format"),
        ("shop/tables/cheap/export?formula=escape", 400, "formula"),
        ("shopp/tables/cheap/export", 404, "GET /v1/databases"),
    ] {
        let path = format!("/v1/databases/{path}");
        let mut reply = served.send("GET", &path, "", "").await;
        let text = String::from_utf8(reply.rest().await.0).unwrap();
        assert_eq!(reply.status, status, "{path} {text}");
        assert!(text.contains(hint), "{path} {text}");
    }
    trash(&served).await;
    let path = "/v1/databases/shop/tables/cheap/export";
    let mut reply = served.send("GET", path, "", "").await;
    let text = String::from_utf8(reply.rest().await.0).unwrap();
    assert_eq!(reply.status, 410, "{text}");
    assert!(text.contains("undelete"), "{text}");
}

#[tokio::test]
async fn an_export_is_compressed_as_a_file_or_on_its_way() {
    let served = made(GOODS).await;
    let path = "/v1/databases/shop/tables/good%20s/export";
    let plain = table(&served, "good%20s", "").await;
    let get = async |parameters: &str, headers: &str| {
        let path = format!("{path}{parameters}");
        let mut reply = served.send("GET", &path, headers, "").await;
        let (bytes, is_whole) = reply.rest().await;
        assert!(is_whole);
        (reply, bytes)
    };
    let unzip = |bytes: &[u8]| {
        let mut text = String::new();
        let mut unzip = std::process::Command::new("gzip")
            .arg("-dc")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut unzip.stdin.take().unwrap(), bytes).unwrap();
        unzip
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        assert!(unzip.wait().unwrap().success());
        text
    };
    let (reply, bytes) = get("", "accept-encoding: gzip\r\n").await;
    assert_eq!(reply.header("content-encoding"), "gzip");
    assert_eq!(unzip(&bytes), plain);
    // A compressed file is not compressed once more.
    let (reply, bytes) = get("?compress=gzip", "accept-encoding: gzip\r\n").await;
    assert_eq!(reply.header("content-encoding"), "");
    assert_eq!(reply.header("content-type"), "application/gzip");
    assert_eq!(
        reply.header("content-disposition"),
        "attachment; filename=\"shop-good_s.csv.gz\""
    );
    assert_eq!(unzip(&bytes), plain);
    let (reply, bytes) = get("?compress=zstd&format=json", "").await;
    assert_eq!(reply.header("content-type"), "application/zstd");
    assert_eq!(bytes[..4], [0x28, 0xb5, 0x2f, 0xfd]);
}

#[tokio::test]
async fn a_client_that_reads_nothing_holds_neither_the_database_nor_a_thread() {
    let served = made(&["CREATE TABLE n (i, text)"]).await;
    served
        .run(&format!(
            "INSERT INTO n {} SELECT i, hex(zeroblob(500)) FROM n",
            NUMBERS.replace("?1", "20000")
        ))
        .await;
    let path = "/v1/databases/shop/tables/n/export";
    let mut stalled = served.send("GET", path, "", "").await;
    assert_eq!(stalled.status, 200);
    // All rows are read although none is taken.
    served.poll_streams(0).await;
    served.run("DELETE FROM n WHERE i > 1").await;
    trash(&served).await;
    let (bytes, is_whole) = stalled.rest().await;
    assert!(is_whole, "what was read before comes to its end");
    assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 20_001);
}

#[tokio::test]
async fn what_is_read_only_may_be_exported_and_what_is_not_covered_may_not() {
    let served = made(GOODS).await;
    let token = async |name, scopes, databases| served.forge.token(name, scopes, databases).await;
    let read = token("reader", "\"read\"", "\"shop\"").await;
    let other = token("other", "\"read\"", "\"other\"").await;
    let writes = token("manager", "\"manage\"", "\"*\"").await;
    let path = "/v1/databases/shop/tables/cheap/export";
    for (token, status) in [(&read, 200), (&other, 404), (&writes, 403)] {
        let answer = served.forge.ask("GET", path).token(token).empty().await;
        assert_eq!(answer.status, status, "{}", answer.text);
    }
}
