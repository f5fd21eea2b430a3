//! The history is asked in SQL, and nothing but asked.
use crate::attacks::corpus::statements;
use crate::support::files_below;
use crate::support::http::{Answer, HttpForge};
use axum::http::StatusCode;
use dbforge::clock::Stopwatch;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;
use std::time::Duration;

async fn ask(forge: &HttpForge, sql: &str) -> Answer {
    let body = json!({ "sql": sql }).to_string();
    forge.post("/v1/audit/query", &body).await
}

#[track_caller]
fn rows(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()["rows"].take()
}

#[tokio::test]
async fn the_tables_hold_what_the_lists_hold() {
    let forge = HttpForge::new().await;
    let body = r#"{"name":"shop","labels":{"team":"red"},"ttl":"2h"}"#;
    forge.post("/v1/databases", body).await;
    forge.settle().await;
    forge.token("ci", "\"read\"", "\"shop\"").await;
    let shop = forge.get("/v1/databases/shop").await.json();
    let job = forge.get("/v1/jobs").await.json()["data"][0].take();

    let sql = "SELECT id, name, state, labels ->> 'team', limits ->> 'size_bytes', expires_at, \
               sequence FROM databases";
    let expected = json!([[
        shop["id"],
        "shop",
        "ready",
        "red",
        2_147_483_648_u64,
        shop["expires_at"],
        shop["sequence"]
    ]]);
    assert_eq!(rows(&ask(&forge, sql).await), expected);
    let sql = "SELECT id, kind, database, database_id, state, actor, request_id, attempts, error, \
               created_at, started_at, finished_at, duration_ms, sequence FROM jobs";
    let expected = json!([[
        job["id"],
        job["kind"],
        "shop",
        shop["id"],
        "succeeded",
        "root",
        job["request_id"],
        1,
        null,
        job["created_at"],
        job["started_at"],
        job["finished_at"],
        0,
        job["sequence"]
    ]]);
    assert_eq!(rows(&ask(&forge, sql).await), expected);
    let sql = "SELECT key, value, database FROM labels";
    assert_eq!(
        rows(&ask(&forge, sql).await),
        json!([["team", "red", "shop"]])
    );
    let sql = "SELECT name, scopes, databases, expires_at, revoked_at FROM tokens";
    let expected = json!([["ci", "[\"read\"]", "[\"shop\"]", null, null]]);
    assert_eq!(rows(&ask(&forge, sql).await), expected);

    for event in forge.get("/v1/events?limit=1000").await.json()["data"]
        .as_array()
        .unwrap()
    {
        let sql = "SELECT sequence, time, kind, database_id, job_id, actor, request_id, \
                   correlation_id, causation, commit_id, stream, previous_hash, hash, data \
                   FROM events WHERE sequence = :sequence";
        let body = json!({"sql": sql, "params": {"sequence": event["sequence"]}});
        let answer = forge.post("/v1/audit/query", &body.to_string()).await;
        let row = rows(&answer)[0].take();
        let fields = [
            "sequence",
            "time",
            "kind",
            "database",
            "job",
            "actor",
            "request_id",
            "correlation",
            "causation",
            "commit",
            "stream",
            "previous_hash",
            "hash",
        ];
        for (place, field) in fields.iter().enumerate() {
            assert_eq!(row[place], event[field], "{field} of {event}");
        }
        let data: Value = serde_json::from_str(row[13].as_str().unwrap()).unwrap();
        assert_eq!(data, event["data"]);
    }
}

#[tokio::test]
async fn what_the_log_keeps_of_events_is_shown_in_whatever_order_it_is_asked_for() {
    let forge = HttpForge::new().await;
    for number in 0..12 {
        forge.ready(&format!("shop-{number}")).await;
    }
    let listed = forge.get("/v1/events?limit=1000").await.json();
    let mut expected: Vec<Value> = listed["data"].as_array().unwrap().clone();
    assert!(expected.len() > 130, "more than are read ahead");
    let shown = |event: &Value| {
        let data = event["data"].to_string();
        json!([event["sequence"], data, event["commit"], event["hash"]])
    };
    let columns = "SELECT sequence, data, commit_id, hash FROM events";
    for (order, sparse) in [("", 1), ("", 3), ("", 50), ("DESC", 1), ("DESC", 3)] {
        let sql = format!("{columns} WHERE sequence % {sparse} = 0 ORDER BY sequence {order}");
        let fits = |event: &&Value| event["sequence"].as_u64().unwrap().is_multiple_of(sparse);
        let mut wanted: Vec<Value> = expected.iter().filter(fits).map(shown).collect();
        if order == "DESC" {
            wanted.reverse();
        }
        assert_eq!(rows(&ask(&forge, &sql).await), json!(wanted), "{sql}");
    }
    let by_kind = format!("{columns} ORDER BY kind, sequence");
    expected.sort_by_key(|event| event["kind"].as_str().unwrap().to_owned());
    let wanted: Vec<Value> = expected.iter().map(shown).collect();
    assert_eq!(rows(&ask(&forge, &by_kind).await), json!(wanted));

    let odd = "SELECT text_of(0, 'data', 0), text_of(1, 'secret', 0), text_of(-1, 'data', 0), \
               text_of(NULL, 'data', 0), text_of(9223372036854775807, 'data', 0)";
    assert_eq!(
        rows(&ask(&forge, odd).await),
        json!([[null, null, null, null, null]])
    );
}

#[tokio::test]
async fn whatever_reads_texts_of_all_events_goes_along_the_log() {
    let forge = HttpForge::new().await;
    for sql in [
        "SELECT data FROM events",
        "SELECT sequence FROM events WHERE hash = 'x'",
        "SELECT count(*) FROM events WHERE data ->> '$.name' = 'x'",
        "SELECT sum(length(previous_hash)), commit_id FROM events",
        "WITH x AS (SELECT commit_id AS id FROM events) SELECT count(*) FROM x WHERE id = 'y'",
    ] {
        let plan = ask(&forge, &format!("EXPLAIN QUERY PLAN {sql}")).await;
        let plan = rows(&plan)[0][3].take();
        let along = [
            "SCAN main.events",
            "SCAN main.events USING COVERING INDEX events_by_time",
        ];
        assert!(along.contains(&plan.as_str().unwrap()), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn conditions_that_are_documented_as_looked_up_are() {
    let forge = HttpForge::new().await;
    for condition in [
        "sequence = 1",
        "time >= '2026-01-01'",
        "kind = 'job_failed'",
        "database_id = 'x'",
        "job_id = 'x'",
        "actor = 'root'",
    ] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT kind, time FROM events WHERE {condition}");
        let plan = rows(&ask(&forge, &sql).await)[0][3].take().to_string();
        assert!(
            plan.contains("SEARCH main.events USING"),
            "{condition}: {plan}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_that_of_a_query_and_has_seen_what_was_written_before() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let head = forge.control.current().head.sequence.0;
    let body = r#"{"sql":"SELECT max(sequence) AS n FROM events","shape":"objects","int64":"string","timeout_ms":1000,"max_rows":5}"#;
    let answer = forge.post("/v1/audit/query", body).await;
    assert_eq!(answer.header("x-dbforge-sequence"), head.to_string());
    assert!(answer.header("server-timing").contains("exec"));
    let mut body = answer.json();
    assert!(body["elapsed_ms"].take().is_f64());
    assert_eq!(
        body,
        json!({"columns": [{"name": "n", "type": null}], "rows": [{"n": head}], "row_count": 1,
            "rows_affected": 0, "last_insert_rowid": null, "truncated": false, "elapsed_ms": null})
    );
    let cut = forge
        .post(
            "/v1/audit/query",
            r#"{"sql":"SELECT 1 FROM events","max_rows":2}"#,
        )
        .await
        .json();
    assert_eq!(
        (&cut["row_count"], &cut["truncated"]),
        (&json!(2), &true.into())
    );

    let told = |answer: Answer, code| answer.problem(400, code);
    let hint = told(ask(&forge, "SELECT * FROM evnts").await, "sql_error");
    assert!(hint.contains("did you mean \\\"events\\\"?"), "{hint}");
    let hint = told(ask(&forge, "SELECT actr FROM events").await, "sql_error");
    assert!(hint.contains("did you mean \\\"actor\\\"?"), "{hint}");
    for wrong in [
        r#"{"sql":"SELECT 1","readonly":true}"#,
        r#"{"sql":"SELECT 1","max_rows":0}"#,
        r#"{"sql":"SELECT 1","timeout_ms":60001}"#,
        r#"{"sql":"SELECT 1; SELECT 2"}"#,
        r#"{"sql":""}"#,
        "{}",
    ] {
        let answer = forge.post("/v1/audit/query", wrong).await;
        answer.problem(400, "invalid_request");
    }
    let answer = forge
        .post("/v1/audit/query", r#"{"sql":"SELECT ?1"}"#)
        .await;
    answer.problem(422, "parameter_mismatch");
}

#[tokio::test]
async fn whatever_changes_something_is_read_only() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let before = files(&forge).await;
    for sql in [
        "INSERT INTO events (sequence) VALUES (1)",
        "WITH x AS (SELECT 1) INSERT INTO events (sequence) SELECT * FROM x",
        "WITH x AS (SELECT 1) UPDATE events SET actor = 'me'",
        "WITH x AS (SELECT 1) DELETE FROM events",
        "WITH x AS (SELECT 1) DELETE FROM main.events",
        "WITH x AS (SELECT 1) UPDATE main.progress SET sequence = 0",
        "REPLACE INTO databases (id) VALUES (1)",
        "CREATE TABLE t (a)",
        "/* a */ CREATE TABLE t (a)",
        "/* a */ CREATE TEMP TABLE t (a)",
        "/* a */ CREATE TEMP VIEW v AS SELECT * FROM main.progress",
        "CREATE INDEX i ON events (actor)",
        "/* a */ CREATE INDEX i ON events (actor)",
        "-- a\nCREATE UNIQUE INDEX i ON jobs (id)",
        "/* a */ -- b\n INSERT INTO events (sequence) VALUES (1)",
        "; /* a */ UPDATE events SET actor = 'me'",
        "/* a */ CREATE VIRTUAL TABLE v USING fts5(x)",
        "/* a */ DROP TABLE events",
        "/* a */ DROP VIEW events",
        "/* a */ DROP TABLE main.events",
        "/* a */ ALTER TABLE main.events RENAME TO gone",
        "REINDEX",
        "ANALYZE",
    ] {
        let answer = ask(&forge, sql).await;
        assert_eq!(answer.status, 403, "{sql}: {}", answer.text);
        answer.problem(403, "read_only");
    }
    assert_eq!(files(&forge).await, before);
}

#[tokio::test]
async fn nothing_but_the_tables_of_the_history_is_there() {
    let forge = HttpForge::new().await;
    let before = files(&forge).await;
    for sql in [
        "SELECT * FROM progress",
        "SELECT * FROM main.progress",
        // Not even how many rows another table has, in whatever way it is counted or called.
        "SELECT count(*) FROM progress",
        "SELECT count(*) FROM Progress",
        "SELECT count(*) FROM \"PROGRESS\" AS p",
        "SELECT count(*) FROM main.progress",
        "SELECT count(1) FROM progress p, events e",
        "SELECT 1 FROM progress",
        "SELECT EXISTS (SELECT 1 FROM progress)",
        "SELECT (SELECT count(*) FROM progress)",
        "SELECT count(*) FROM (SELECT 1 FROM progress)",
        "WITH x AS (SELECT count(*) FROM progress) SELECT * FROM x",
        "WITH x AS (SELECT 1 FROM main.progress) SELECT count(*) FROM x",
        "WITH progress AS (SELECT 1) SELECT count(*) FROM main.progress",
        // It cannot be told from the table.
        "WITH progress AS (SELECT 1) SELECT count(*) FROM progress",
        "SELECT count(*) FROM events WHERE 0 UNION ALL SELECT count(*) FROM progress",
        "SELECT count(*) FROM sqlite_schema",
        "SELECT count(*) FROM main.sqlite_master",
        "SELECT count(*) FROM Sqlite_Master",
        "SELECT count(*) FROM dbstat",
        "SELECT count(*) FROM DBSTAT",
        "SELECT count(*) FROM pragma_table_list",
        "SELECT count(*) FROM Pragma_Database_List",
        "SELECT count(*) FROM pragma_function_list",
        // A name of the history's does not make it one of its tables.
        "WITH events AS (SELECT * FROM main.progress) SELECT * FROM events",
        "SELECT (SELECT hash FROM main.progress) FROM events",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM main.sqlite_schema",
        "SELECT * FROM dbstat",
        "SELECT * FROM pragma_table_list",
        "SELECT * FROM pragma_database_list",
        "SELECT * FROM pragma_table_info('progress')",
        "PRAGMA table_info(progress)",
        "PRAGMA main.table_info(events)",
        "PRAGMA table_list",
        "PRAGMA database_list",
        "PRAGMA user_version",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        "PRAGMA quick_check",
        "ATTACH 'x.db' AS x",
        "ATTACH (SELECT 'x' || '.db') AS x",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO 'x.db'",
        "BEGIN",
        "COMMIT",
        "SAVEPOINT s",
        "SELECT load_extension('x')",
        "EXPLAIN ATTACH 'x.db' AS x",
    ] {
        let answer = ask(&forge, sql).await;
        assert_eq!(answer.status, 403, "{sql}: {}", answer.text);
        answer.problem(403, "statement_not_allowed");
    }
    assert_eq!(files(&forge).await, before);
    let tables = ask(&forge, "SELECT name FROM sqlite_temp_schema ORDER BY name").await;
    let names = ["databases", "events", "jobs", "labels", "tokens"];
    assert_eq!(rows(&tables), json!(names.map(|it| [it])));
    let columns = "SELECT name FROM pragma_table_info('labels')";
    let names = json!([["key"], ["value"], ["database"], ["database_id"]]);
    assert_eq!(rows(&ask(&forge, columns).await), names);
    rows(&ask(&forge, "PRAGMA table_info(events)").await);
    let mixed = "SELECT count(*) FROM events e, json_each(e.data) d JOIN databases ON 1 WHERE e.kind GLOB 'x*'";
    assert_eq!(rows(&ask(&forge, mixed).await), json!([[0]]));
}

#[tokio::test]
async fn what_a_with_clause_finds_can_be_counted_and_names_are_read_in_any_case() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let number = forge.control.current().head.sequence.0;
    for (sql, expected) in [
        ("SELECT count(*) FROM EVENTS", number),
        ("SELECT count(*) FROM Main.Events", number),
        ("SELECT max(\"Sequence\") FROM \"Events\"", number),
        (
            "WITH x AS (SELECT * FROM events) SELECT count(*) FROM x",
            number,
        ),
        (
            "WITH \"A b\" AS (SELECT kind FROM events) SELECT count(*) FROM \"a B\"",
            number,
        ),
        (
            "WITH x AS (SELECT 1), y AS (SELECT 1 FROM x) SELECT count(*) FROM y, events",
            number,
        ),
        (
            "WITH x AS MATERIALIZED (SELECT hash FROM events) SELECT count(*) FROM x",
            number,
        ),
        ("WITH events AS (SELECT 1) SELECT count(*) FROM events", 1),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 7) SELECT count(*) FROM n",
            7,
        ),
        ("SELECT count(*) FROM (SELECT DISTINCT actor FROM jobs)", 1),
        ("WITH x AS (SELECT 1) SELECT EXISTS (SELECT 1 FROM x)", 1),
    ] {
        assert_eq!(rows(&ask(&forge, sql).await), json!([[expected]]), "{sql}");
    }
}

#[tokio::test]
async fn the_history_is_for_those_who_may_see_all_of_it_and_holds_no_secret() {
    let forge = HttpForge::new().await;
    let mut secrets = Vec::new();
    for (name, scopes, databases, status) in [
        ("reader", "\"read\",\"write\",\"manage\"", "\"*\"", 403),
        ("narrow", "\"audit\"", "\"shop\"", 403),
        ("auditor", "\"audit\"", "\"*\"", 200),
        ("keeper", "\"admin\"", "\"*\"", 200),
    ] {
        let token = forge.token(name, scopes, databases).await;
        for (method, path, body) in [
            ("POST", "/v1/audit/query", r#"{"sql":"SELECT 1"}"#),
            ("GET", "/v1/audit/export", ""),
        ] {
            let asked = forge.ask(method, path).token(&token).body(body).await;
            assert_eq!(asked.status, status, "{name}: {}", asked.text);
        }
        secrets.push(token);
    }
    let hook = r#"{"url":"http://127.0.0.1:1/x","secret":"sixteen-chars-or-more"}"#;
    assert_eq!(forge.post("/v1/webhooks", hook).await.status, 201);
    secrets.push("sixteen-chars-or-more".to_owned());
    for table in ["events", "jobs", "databases", "labels", "tokens"] {
        for table in [table.to_owned(), format!("main.{table}")] {
            let answer = ask(&forge, &format!("SELECT * FROM {table}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
            for secret in &secrets {
                assert!(!answer.text.contains(secret), "{secret} in {table}");
            }
        }
    }
    let nobody = forge.ask("POST", "/v1/audit/query").body("{}").await;
    nobody.problem(401, "unauthenticated");
}

/// Reads the whole history, over and over.
const SLOW: &str = "SELECT count(*) FROM events a, events b, events c, events d, events e";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_questions_end_in_time_and_hold_nobody_up() {
    let forge = HttpForge::new().await;
    for name in ["a", "b", "c"] {
        forge.ready(name).await;
    }
    let slow = json!({"sql": SLOW, "timeout_ms": 1000}).to_string();
    let hurried = json!({"sql": "SELECT 1", "timeout_ms": 100}).to_string();
    let began = Stopwatch::start();
    let both = async {
        tokio::join!(
            forge.post("/v1/audit/query", &slow),
            forge.post("/v1/audit/query", &slow)
        )
    };
    let meanwhile = async {
        // Two are at work by the time a third one finds no place.
        loop {
            let third = forge.post("/v1/audit/query", &hurried).await;
            if third.status == 503 {
                third.problem(503, "overloaded");
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(30));
        }
        forge.ready("shop").await;
        let head = forge.control.current().head.sequence;
        let events = forge.get("/v1/events?order=desc&limit=1").await.json();
        assert_eq!(events["data"][0]["sequence"], head.0, "the lists go on");
    };
    let ((one, two), ()) = tokio::join!(both, meanwhile);
    for answer in [one, two] {
        answer.problem(422, "statement_timeout");
    }
    rows(&ask(&forge, "SELECT 1").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_of_the_attack_corpus_touches_the_history() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let (before, home) = (files(&forge).await, forge.kept.folder.path());
    let home = home.to_str().unwrap();
    for entry in statements() {
        let whole = entry.input.replace("{DATA}", home).replace("{OUT}", home);
        let parts = whole.split(';').filter(|it| it.len() < whole.len());
        for sql in parts.chain([whole.as_str()]) {
            let params = if sql.contains("?1") {
                json!([format!("{home}/x.db")])
            } else {
                json!([])
            };
            let body = json!({"sql": sql, "params": params, "timeout_ms": 300}).to_string();
            let answer = once_it_takes_questions(&forge, &body).await;
            let (id, told) = (&entry.id, &answer.text[..answer.text.len().min(300)]);
            let is_fault = answer.status.is_server_error();
            assert!(!is_fault, "{id}: {sql:.200}: {told}");
            assert!(sql.contains(home) || !answer.text.contains(home), "{id}");
            if entry.kind == "sql.legit" && sql == whole {
                let is_safe = [200, 403].contains(&answer.status.as_u16());
                assert!(is_safe, "{id}: {sql}: {told}");
            }
        }
    }
    assert_eq!(files(&forge).await, before);
    let events = rows(&ask(&forge, "SELECT count(*) FROM events").await);
    assert_eq!(events[0][0], forge.control.current().head.sequence.0);
}

/// One statement that nothing stops holds up those behind it, until it ends.
async fn once_it_takes_questions(forge: &HttpForge, body: &str) -> Answer {
    let began = Stopwatch::start();
    loop {
        let answer = forge.post("/v1/audit/query", body).await;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE {
            return answer;
        }
        answer.problem(503, "overloaded");
        assert!(began.elapsed() < Duration::from_secs(300), "it never ends");
        tokio::task::yield_now().await;
    }
}

/// Every file of the forge by its hash, but those that readers of a WAL coordinate with.
async fn files(forge: &HttpForge) -> Vec<(PathBuf, String)> {
    // By the time of an answer, everything has been followed.
    rows(&ask(forge, "SELECT 1").await);
    let files = files_below(forge.kept.folder.path()).into_iter();
    let mut files: Vec<_> = files
        .filter(|(path, _)| !path.to_str().unwrap().ends_with("-shm"))
        .map(|(path, bytes)| (path, hex::encode(Sha256::digest(bytes))))
        .collect();
    files.sort();
    files
}
