//! A SQLite database in its worker behaves as one that the gateway answers, and its worker comes back
//! from whatever ends it.
use crate::support::TempFolder;
use crate::support::gateway_process::{GatewayProcess, PATIENCE};
use crate::support::sql::{Sql, read_only, read_write, serve, soon, within};
use dbforge::data::{
    BatchMode, BatchStatement, Format, Params, QueryError, QueryOptions, QueryRequest, Streamed,
};
use dbforge::domain::database::Isolation;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A database twice: answered by the gateway, and by its worker.
fn both() -> [Sql; 2] {
    let gateway = Sql::new();
    let mut worker = Sql::new();
    worker.target.isolation = Isolation::Worker;
    let folder = worker.plane.folders().living(worker.target.database);
    serve(&folder, worker.target.database);
    [gateway, worker]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_have_the_same_answers_and_the_same_errors() {
    let [gateway, worker] = both();
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b BLOB, c REAL)",
        "INSERT INTO t (a, b, c) VALUES ('one', x'00ff', 1.5), ('two', NULL, -0.0)",
        "SELECT * FROM t",
        "SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY a",
        "INSERT INTO t (a) VALUES ('one')",
        "INSERT INTO t (a) VALUES ('three') RETURNING id, a",
        "UPDATE t SET c = 9007199254740993 WHERE id = 1",
        "SELECT c, typeof(c) FROM t WHERE id = 1",
        "SELECT * FROM nowhere",
        "SELEC 1",
        "PRAGMA foreign_keys = OFF",
        "ATTACH 'x' AS y",
        "PRAGMA table_info(t)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT sum(i) FROM n",
        "EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = 'one'",
        "SELECT last_insert_rowid(), changes()",
        "DELETE FROM t",
        "",
    ] {
        let [one, other] = [gateway.ask(sql).await, worker.ask(sql).await].map(without_times);
        assert_eq!(one, other, "{sql}");
    }
    for (sql, params) in [
        ("SELECT ?1, ?2, ?3", r#"[null, {"$base64":"AP8="}, "é"]"#),
        ("SELECT :a + :b", r#"{":a": 1, ":b": 2.5}"#),
        ("SELECT ?1", "[1, 2]"),
    ] {
        let answers = [
            gateway.ask_with(sql, params).await,
            worker.ask_with(sql, params).await,
        ];
        let [one, other] = answers.map(without_times);
        assert_eq!(one, other, "{sql}");
    }
    let write = "CREATE TABLE u (a)";
    let refused = worker.ask_as(write, read_only()).await;
    assert_eq!(refused, Err(QueryError::ReadOnly));
    assert_eq!(refused, gateway.ask_as(write, read_only()).await);
}

fn without_times(answer: Result<Value, QueryError>) -> Result<Value, QueryError> {
    answer.map(|mut answer| {
        answer["elapsed_ms"].take();
        answer
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_streams_and_schemas_are_the_same() {
    for sql in both() {
        let Sql { plane, target, .. } = &sql;
        let guard = plane.enter(target.database, soon()).await.unwrap();
        let statements = [
            "CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000)
             INSERT INTO t SELECT i, 'row ' || i FROM n",
            "SELECT count(*) FROM t",
        ];
        let batch = statements.map(|sql| BatchStatement {
            sql: sql.into(),
            params: Params::None,
        });
        let mode = BatchMode::Immediate;
        let answers = plane.batch(&guard, target, batch.to_vec(), mode, read_write());
        let answers = answers.await.unwrap();
        assert_eq!((answers.len(), answers[1].rows_affected), (3, 50_000));
        let failed = [
            "INSERT INTO t VALUES (0, 'x')",
            "INSERT INTO t VALUES (1, 'x')",
        ];
        let failed = failed.map(|sql| BatchStatement {
            sql: sql.into(),
            params: Params::None,
        });
        let failure = plane.batch(&guard, target, failed.to_vec(), mode, read_write());
        assert_eq!(failure.await.unwrap_err().statement, 1);
        assert_eq!(count(&sql).await, 50_000, "none of it was kept");

        let request = QueryRequest {
            sql: "SELECT * FROM t".to_owned(),
            params: Params::None,
            options: QueryOptions {
                format: Format::Csv,
                ..read_write()
            },
        };
        let mut bytes = Vec::new();
        match plane.stream(&guard, target, request).await.unwrap() {
            Streamed::Rows(mut rows) => {
                while let Some(piece) = rows.next().await {
                    bytes.extend_from_slice(&piece.unwrap());
                }
            }
            Streamed::Whole(answer) => bytes.extend_from_slice(&answer.body),
        }
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.lines().count(), 50_001);
        assert!(
            text.ends_with("50000,row 50000\r\n"),
            "{}",
            &text[text.len() - 40..]
        );

        let schema = plane.schema(&guard, target, &read_write()).await.unwrap();
        let again = plane.schema(&guard, target, &read_write()).await.unwrap();
        assert_eq!(schema.version, again.version, "nothing has changed");
        assert_eq!(schema.find("T").unwrap().columns.len(), 2);
        sql.ask("ALTER TABLE t ADD COLUMN c").await.unwrap();
        let changed = plane.schema(&guard, target, &read_write()).await.unwrap();
        assert_ne!(schema.version, changed.version);
        assert_eq!(changed.find("t").unwrap().columns.len(), 3);
    }
}

async fn count(sql: &Sql) -> i64 {
    sql.rows("SELECT count(*) FROM t").await[0][0]
        .as_i64()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statement_is_cut_at_its_deadline_and_others_go_on() {
    for sql in both() {
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n";
        let late = sql
            .ask_as(endless, within(Duration::from_millis(100)))
            .await;
        assert_eq!(late, Err(QueryError::Timeout { timeout_ms: 100 }));
        assert_eq!(sql.rows("SELECT 1").await, serde_json::json!([[1]]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn taking_the_files_closes_them_in_the_worker_and_the_next_request_opens_them_again() {
    let [_, sql] = both();
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    let guard = sql.plane.take(&sql.target, soon()).await.unwrap();
    let folder = sql.plane.folders().living(sql.target.database);
    let wal = folder.join("main.db-wal").metadata();
    assert!(
        wal.map_or(0, |it| it.len()) == 0,
        "all of it is in the main file"
    );
    drop(guard);
    assert_eq!(count(&sql).await, 1);
}

/// A gateway whose database `shop` is answered by its worker, and one beside it.
fn forge(folder: &Path) -> GatewayProcess {
    let gateway = GatewayProcess::start(folder);
    for body in [
        json!({"name": "shop", "isolation": "worker"}),
        json!({"name": "other"}),
    ] {
        let (status, _) = gateway.post("/v1/databases", &body).unwrap();
        assert_eq!(status, 202);
    }
    gateway.poll("the worker is healthy", || {
        let (_, shop) = gateway.get("/v1/databases/shop").unwrap();
        assert_eq!(shop["isolation"], "worker");
        shop["worker"]["state"] == "healthy"
    });
    gateway
}

fn query(gateway: &GatewayProcess, database: &str, body: &Value) -> (u16, Value) {
    let path = format!("/v1/databases/{database}/query");
    gateway.post(&path, body).unwrap()
}

/// The processes that serve databases of this folder.
fn serving(folder: &Path) -> Vec<i32> {
    let folder = folder.display().to_string();
    let all = fs::read_dir("/proc").unwrap().map_while(Result::ok);
    let ids = all.filter_map(|it| it.file_name().to_str()?.parse::<i32>().ok());
    ids.filter(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains(&folder) && line.contains("--fenced")
    })
    .collect()
}

#[test]
fn a_statement_that_nothing_stops_ends_with_its_process_which_is_back_at_once() {
    let folder = TempFolder::new();
    let gateway = forge(folder.path());
    for sql in [
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f SELECT replace(hex(zeroblob(20000)), '00', 'a ')",
    ] {
        let (status, answer) = query(&gateway, "shop", &json!({"sql": sql}));
        assert_eq!(status, 200, "{answer}");
    }
    let stuck = format!(
        "SELECT count(*) FROM f WHERE f MATCH 'NEAR({},10)'",
        "a ".repeat(200)
    );
    for sql in [stuck.clone(), format!("INSERT INTO f {stuck}")] {
        let before = serving(folder.path());
        let (status, answer) = query(&gateway, "shop", &json!({"sql": sql, "timeout_ms": 200}));
        assert_eq!(
            (status, &answer["code"]),
            (422, &json!("statement_timeout"))
        );
        gateway.poll("its process is another one", || {
            let now = serving(folder.path());
            !now.is_empty() && now != before
        });
        let question = json!({"sql": "SELECT count(*) FROM f"});
        gateway.poll("it answers again", || {
            let (status, answer) = query(&gateway, "shop", &question);
            match status {
                200 => assert_eq!(answer["rows"], json!([[1]])),
                _ => assert_eq!(answer["retryable"], true, "{answer}"),
            }
            status == 200
        });
        let (status, _) = query(&gateway, "other", &json!({"sql": "SELECT 1"}));
        assert_eq!(status, 200);
    }
}

#[test]
fn what_was_answered_outlives_the_worker_and_the_gateway() {
    let folder = TempFolder::new();
    let gateway = forge(folder.path());
    let insert = json!({"sql": "INSERT INTO t VALUES (1)"});
    query(&gateway, "shop", &json!({"sql": "CREATE TABLE t (a)"}));
    let begun = gateway.post("/v1/databases/shop/transactions", &json!({}));
    assert_eq!(begun.unwrap().0, 201);
    for id in serving(folder.path()) {
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    }
    gateway.poll(
        "a write is taken again, since the transaction is over",
        || query(&gateway, "shop", &insert).0 == 200,
    );
    gateway.kill();
    let gateway = GatewayProcess::start(folder.path());
    gateway.poll("it answers again", || {
        let (status, answer) = query(&gateway, "shop", &json!({"sql": "SELECT a FROM t"}));
        assert!(status != 200 || answer["rows"] == json!([[1]]), "{answer}");
        status == 200
    });
    assert_eq!(serving(folder.path()).len(), 1);
    assert!(gateway.stop());
    let patience = dbforge::clock::Deadline::after(PATIENCE);
    while !serving(folder.path()).is_empty() {
        assert!(!patience.has_passed(), "the worker ends with its gateway");
        std::thread::yield_now();
    }
}
