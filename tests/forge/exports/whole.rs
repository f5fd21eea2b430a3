//! Whole databases as files, made by real child processes.
use crate::support::sqlite;
use crate::support::stream_client::{Reply, Served};
use rusqlite::Connection;
use serde_json::json;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const SHOP: &[&str] = &[
    "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT, photo BLOB, twice AS (id * 2))",
    "INSERT INTO goods (name, photo) VALUES ('tea', x'00ff'), ('it''s' || char(13, 10), NULL)",
    "CREATE VIRTUAL TABLE words USING fts5(text)",
    "INSERT INTO words (rowid, text) VALUES (7, 'green tea')",
    "CREATE TABLE \"odd \"\"name\" (\"select\", [a b])",
    "INSERT INTO \"odd \"\"name\" VALUES (1.5, 1e999)",
];

async fn shop() -> Served {
    let served = Served::new().await;
    for statement in SHOP {
        served.run(statement).await;
    }
    served
}

async fn export(served: &Served, parameters: &str, headers: &str) -> (Reply, Vec<u8>) {
    let path = format!("/v1/databases/shop/export{parameters}");
    let mut reply = served.send("GET", &path, headers, "").await;
    let (bytes, is_whole) = reply.rest().await;
    assert!(is_whole, "{path}");
    (reply, bytes)
}

fn contents(sqlite: &Connection) -> String {
    let question = "SELECT (SELECT group_concat(quote(name) || quote(photo) || twice) FROM goods)
        || (SELECT rowid FROM words WHERE words MATCH 'tea')
        || (SELECT quote(\"select\") || quote(\"a b\") FROM \"odd \"\"name\")";
    sqlite
        .query_row(question, [], |row| row.get(0))
        .unwrap_or_else(|error| panic!("{error}"))
}

const CONTENTS: &str = "'tea'X'00FF'2,'it''s\r\n'NULL471.59.0e+999";

fn opened(folder: &TempDir, bytes: &[u8]) -> Connection {
    let file = folder.path().join("export.db");
    std::fs::write(&file, bytes).unwrap();
    sqlite::open(&file)
}

/// Files that wait to be sent, or were made for that.
fn spooled(served: &Served) -> usize {
    let folder = served.forge.kept.folder.path().join("exports");
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_database_leaves_as_sql_and_as_a_file_and_both_are_equal_to_it() {
    let served = shop().await;
    let folder = TempDir::new().unwrap();
    let (reply, bytes) = export(&served, "?format=sqlite", "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/vnd.sqlite3");
    assert_eq!(
        reply.header("content-disposition"),
        "attachment; filename=\"shop.db\""
    );
    assert_eq!(contents(&opened(&folder, &bytes)), CONTENTS);

    let (reply, sql) = export(&served, "", "").await;
    assert_eq!(reply.header("content-type"), "application/sql");
    let loaded = sqlite::in_memory();
    loaded
        .execute_batch(std::str::from_utf8(&sql).unwrap())
        .unwrap();
    assert_eq!(contents(&loaded), CONTENTS);
    assert_eq!(spooled(&served), 0, "what is whole has no name");
}

#[tokio::test]
async fn a_compressed_export_unpacks_to_the_same() {
    let served = shop().await;
    let (_, plain) = export(&served, "?format=sql", "").await;
    let (reply, packed) = export(&served, "?format=sql&compress=gzip", "").await;
    assert_eq!(reply.header("content-type"), "application/gzip");
    assert_eq!(
        reply.header("content-disposition"),
        "attachment; filename=\"shop.sql.gz\""
    );
    assert!(unpacked("gzip", &packed) == plain);
    let (reply, packed) = export(&served, "?compress=zstd&format=sqlite", "").await;
    assert_eq!(reply.header("content-type"), "application/zstd");
    assert_eq!(packed[..4], [0x28, 0xb5, 0x2f, 0xfd]);
}

fn unpacked(program: &str, packed: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(packed).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_in_the_same_file() {
    let served = shop().await;
    let (reply, whole) = export(&served, "?format=sqlite", "").await;
    let tag = reply.header("etag").to_owned();
    assert_eq!(reply.header("accept-ranges"), "bytes");
    // The database changes; the file that is kept does not.
    served
        .run("INSERT INTO goods (name) VALUES ('coffee')")
        .await;
    let resume = format!("range: bytes=5000-\r\nif-range: {tag}\r\n");
    let (reply, rest) = export(&served, "?format=sqlite", &resume).await;
    assert_eq!(reply.status, 206);
    let said = format!("bytes 5000-{}/{}", whole.len() - 1, whole.len());
    assert_eq!(reply.header("content-range"), said);
    assert!(rest == whole[5000..]);
    // The last file is meant where none is named, as curl -C does.
    let (reply, part) = export(&served, "?format=sqlite", "range: bytes=10-19\r\n").await;
    assert_eq!((reply.status, part.as_slice()), (206, &whole[10..20]));
    let (reply, _) = export(&served, "?format=sqlite", "range: bytes=999999999-\r\n").await;
    assert_eq!(reply.status, 416);
    assert_eq!(
        reply.header("content-range"),
        format!("bytes */{}", whole.len())
    );

    // Of a file that is not there, a rest would be of no use: all of a new one comes.
    let other = "range: bytes=5000-\r\nif-range: \"0123\"\r\n";
    let (reply, bytes) = export(&served, "?format=sqlite", other).await;
    assert_eq!(reply.status, 200);
    assert_ne!(reply.header("etag"), tag);
    assert!(bytes.starts_with(b"SQLite format 3"));
    // Of another token's file nothing is known.
    let reader = served.forge.token("reader", "\"read\"", "\"*\"").await;
    let path = "/v1/databases/shop/export?format=sqlite";
    let ask = served.forge.ask("GET", path).token(&reader);
    let answer = ask.header("range", "bytes=5000-").unread("").await;
    assert_eq!(answer.status(), 200);
    let (reply, first) = export(&served, "?format=sql", "range: bytes=0-5\r\n").await;
    assert_eq!((reply.status, first.as_slice()), (206, &b"PRAGMA"[..]));
}

#[tokio::test]
async fn an_export_that_is_not_wanted_any_more_leaves_nothing() {
    let served = shop().await;
    served
        .run(
            "INSERT INTO goods (photo) SELECT randomblob(1000) FROM (WITH RECURSIVE n(i) AS \
              (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) SELECT i FROM n)",
        )
        .await;
    let path = "/v1/databases/shop/export?format=sql&compress=gzip";
    let mut asks = Box::pin(served.send("GET", path, "", ""));
    let deadline = dbforge::clock::Deadline::after(std::time::Duration::from_secs(20));
    loop {
        tokio::select! {
            biased;
            _ = &mut asks => panic!("it was quicker than this test"),
            () = tokio::task::yield_now() => {}
        }
        if spooled(&served) > 0 {
            break;
        }
        assert!(!deadline.has_passed(), "nothing is being made");
    }
    drop(asks);
    while spooled(&served) > 0 {
        assert!(!deadline.has_passed(), "something is left");
        tokio::task::yield_now().await;
    }
    let (reply, _) = export(&served, "?format=sql", "").await;
    assert_eq!(reply.status, 200, "its turn is free again");
}

#[tokio::test]
async fn an_export_that_cannot_begin_says_why() {
    let served = shop().await;
    for (path, status, said) in [
        ("shop/export?format=xlsx", 400, "format"),
        ("shop/export?from=sqlite", 400, "from"),
        ("shopp/export", 404, "GET /v1/databases"),
    ] {
        let answer = served.forge.get(&format!("/v1/databases/{path}")).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        assert!(answer.text.contains(said), "{}", answer.text);
    }
    let token = served.forge.token("writer", "\"manage\"", "\"*\"").await;
    let path = "/v1/databases/shop/export";
    let answer = served.forge.ask("GET", path).token(&token).empty().await;
    answer.problem(403, "insufficient_scope");
    served.forge.post("/v1/databases/shop/stop", "").await;
    served.forge.settle().await;
    let hint = served
        .forge
        .get(path)
        .await
        .problem(409, "database_not_ready");
    assert!(hint.contains("start"), "{hint}");
    served.forge.send("DELETE", "/v1/databases/shop", "").await;
    served.forge.settle().await;
    served
        .forge
        .get(path)
        .await
        .problem(410, "database_deleted");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_the_export() {
    let served = shop().await;
    served
        .run("CREATE VIRTUAL TABLE \"an, index\" USING fts5(a, content = '')")
        .await;
    let (reply, _) = export(&served, "?format=sql", "").await;
    assert_eq!(reply.header("x-dbforge-left-out"), "an%2C%20index");
    let (reply, _) = export(&served, "?format=sqlite", "").await;
    assert_eq!(reply.header("x-dbforge-left-out"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_go_on_while_a_file_is_made_and_the_file_is_of_one_moment() {
    let served = std::sync::Arc::new(shop().await);
    served
        .run("CREATE TABLE pairs (side TEXT PRIMARY KEY, n INT)")
        .await;
    served
        .run("INSERT INTO pairs VALUES ('a', 0), ('b', 0)")
        .await;
    let writers = (0..8).map(|_| {
        let served = served.clone();
        tokio::spawn(async move {
            for _ in 0..30 {
                let sql = json!({"sql": "UPDATE pairs SET n = n + 1"}).to_string();
                let answer = served.forge.post("/v1/databases/shop/query", &sql).await;
                assert_eq!(answer.status, 200, "{}", answer.text);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let folder = TempDir::new().unwrap();
    for _ in 0..3 {
        let (reply, bytes) = export(&served, "?format=sqlite", "").await;
        assert_eq!(reply.status, 200);
        let sqlite = opened(&folder, &bytes);
        let differs = "SELECT count(DISTINCT n) FROM pairs";
        let sides: i64 = sqlite.query_row(differs, [], |row| row.get(0)).unwrap();
        assert_eq!(sides, 1, "one moment has one number");
        let check: String = sqlite
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(Path::new(served.forge.kept.folder.path()).exists());
}

#[tokio::test]
async fn a_table_that_tells_of_one_that_is_gone_is_left_out_by_name() {
    let served = shop().await;
    for statement in [
        "CREATE VIRTUAL TABLE terms USING fts5vocab(words, row)",
        "CREATE VIRTUAL TABLE gone USING fts5(x)",
        "CREATE VIRTUAL TABLE ofgone USING fts5vocab(gone, row)",
        "DROP TABLE gone",
    ] {
        served.run(statement).await;
    }
    let (reply, sql) = export(&served, "?format=sql", "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-dbforge-left-out"), "ofgone");
    let loaded = sqlite::in_memory();
    loaded
        .execute_batch(std::str::from_utf8(&sql).unwrap())
        .unwrap();
    assert_eq!(contents(&loaded), CONTENTS);
    let terms = "SELECT count(*) FROM terms";
    let terms: i64 = loaded.query_row(terms, [], |row| row.get(0)).unwrap();
    assert_eq!(terms, 2);
}

fn main_file(served: &Served) -> PathBuf {
    let current = served.forge.control.current();
    let shop = current.state.find_database("shop").unwrap().id;
    let folders = served.forge.job_context.data.folders();
    folders.living(shop).join("main.db")
}

#[tokio::test]
async fn virtual_tables_of_any_kind_come_back_as_they_were() {
    let served = shop().await;
    let outside = sqlite::open(main_file(&served));
    outside
        .execute_batch(
            "CREATE VIRTUAL TABLE old USING fts3(t, content=\"goods\");
             INSERT INTO old (rowid, t) VALUES (5, 'alpha');
             CREATE VIRTUAL TABLE spoken USING fts4(t, languageid=\"lid\");
             INSERT INTO spoken (docid, t, lid) VALUES (3, 'beta gamma', 2);
             CREATE VIRTUAL TABLE terms USING fts5vocab('words', 'row');",
        )
        .unwrap();
    outside.close().unwrap();
    let questions = [
        "SELECT rowid || t FROM old WHERE old MATCH 'alpha'",
        "SELECT docid || t FROM spoken WHERE spoken MATCH 'beta' AND lid = 2",
        "SELECT group_concat(term) FROM terms",
    ];
    let answers = |sqlite: &Connection| {
        questions.map(|question| {
            let answer = sqlite.query_row(question, [], |row| row.get::<_, String>(0));
            answer.unwrap_or_else(|error| panic!("{question}: {error}"))
        })
    };
    let before = answers(&sqlite::open(main_file(&served)));
    let (_, sql) = export(&served, "?format=sql", "").await;
    let loaded = sqlite::in_memory();
    let text = std::str::from_utf8(&sql).unwrap();
    loaded.execute_batch(text).unwrap();
    assert_eq!(answers(&loaded), before);
    // The gateway takes its own dump back.
    served.forge.ready("again").await;
    let head = "content-type: application/sql\r\n";
    let path = "/v1/databases/again/import";
    assert_eq!(served.send("POST", path, head, text).await.status, 202);
    served.forge.settle().await;
    let job = served.forge.get("/v1/jobs?kind=load_database").await;
    assert_eq!(job.json()["data"][0]["state"], "succeeded", "{}", job.text);
}

#[tokio::test]
async fn views_that_double_hold_no_export_up() {
    let served = shop().await;
    let outside = sqlite::open(main_file(&served));
    let mut views = "CREATE VIEW v0 AS SELECT 1 AS a;".to_owned();
    for place in 1..60 {
        let before = place - 1;
        views.push_str(&format!(
            "CREATE VIEW v{place} AS SELECT a FROM v{before} UNION ALL SELECT a FROM v{before};"
        ));
    }
    outside.execute_batch(&views).unwrap();
    outside.close().unwrap();
    let (reply, sql) = export(&served, "?format=sql", "").await;
    assert_eq!(reply.status, 200);
    let text = std::str::from_utf8(&sql).unwrap();
    assert!(text.contains("CREATE VIEW v59 "), "{text}");
    let (reply, _) = export(&served, "?format=sqlite", "").await;
    assert_eq!(reply.status, 200);
}
