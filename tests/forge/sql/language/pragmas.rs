//! The PRAGMAs that tools send are answered as SQLite answers them, and change nothing.
use crate::sql::oracle::Oracle;
use crate::support::http::HttpForge;
use crate::support::test_forge::create;
use dbforge::domain::command::Command;
use dbforge::domain::database::Durability;
use serde_json::{Value, json};

async fn forge(durability: Durability) -> HttpForge {
    let forge = HttpForge::new().await;
    let Command::CreateDatabase(mut command) = create("d") else {
        unreachable!("it makes one")
    };
    command.durability = durability;
    forge
        .submit(Command::CreateDatabase(command))
        .await
        .unwrap();
    forge.settle().await;
    forge
}

async fn rows(forge: &HttpForge, sql: &str) -> Value {
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/d/query", &body).await;
    assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
    answer.json()["rows"].clone()
}

/// Twice, by a reader from its cache, too, and by the writer.
async fn assert_told(forge: &HttpForge, sql: &str, answer: &Value) {
    assert_eq!(rows(forge, sql).await, *answer, "{sql}");
    assert_eq!(rows(forge, sql).await, *answer, "{sql}");
    let batch = json!({"statements": [{"sql": "INSERT INTO t VALUES (1)"}, {"sql": sql}]});
    let batch = batch.to_string();
    let said = forge.post("/v1/databases/d/batch", &batch).await;
    assert_eq!(said.status, 200, "{sql}: {}", said.text);
    let by_writer = &said.json()["results"][1]["rows"];
    assert_eq!(by_writer, answer, "{sql} by the writer");
}

#[tokio::test]
async fn a_switch_is_told_and_may_be_set_to_what_it_is() {
    let forge = forge(Durability::Full).await;
    rows(&forge, "CREATE TABLE t (a)").await;
    for (switch, holds, same, other) in [
        ("foreign_keys", json!(1), "ON", "OFF"),
        ("cell_size_check", json!(1), "ON", "OFF"),
        ("short_column_names", json!(1), "1", "0"),
        ("count_changes", json!(0), "0", "1"),
        ("empty_result_callbacks", json!(0), "0", "1"),
        ("full_column_names", json!(0), "0", "1"),
        ("ignore_check_constraints", json!(0), "OFF", "ON"),
        ("legacy_alter_table", json!(0), "OFF", "ON"),
        ("recursive_triggers", json!(0), "off", "on"),
        ("reverse_unordered_selects", json!(0), "no", "yes"),
        ("trusted_schema", json!(0), "false", "true"),
        ("locking_mode", json!("normal"), "NORMAL", "EXCLUSIVE"),
        ("wal_autocheckpoint", json!(1000), "1000", "0"),
        ("query_only", json!(0), "", "OFF"),
        ("hard_heap_limit", json!(0), "", "200000"),
        ("case_sensitive_like", json!(null), "OFF", "ON"),
    ] {
        let told = match holds {
            Value::Null => json!([]),
            _ => json!([[holds]]),
        };
        assert_told(&forge, &format!("PRAGMA {switch}"), &told).await;
        if !same.is_empty() {
            let answers = ["locking_mode", "wal_autocheckpoint"].contains(&switch);
            let answer = if answers { told.clone() } else { json!([]) };
            assert_told(&forge, &format!("PRAGMA main.{switch} = {same}"), &answer).await;
        }
        let body = json!({"sql": format!("PRAGMA {switch} = {other}")}).to_string();
        let answer = forge.post("/v1/databases/d/query", &body).await;
        answer.problem(403, "statement_not_allowed");
        assert_told(&forge, &format!("PRAGMA {switch}"), &told).await;
    }
    let checked = "CREATE TABLE checked (a CHECK (a LIKE 'X'))";
    rows(&forge, checked).await;
    rows(&forge, "INSERT INTO checked VALUES ('x')").await;
}

#[tokio::test]
async fn a_pragma_that_writes_is_explained_to_readers_and_does_nothing() {
    let forge = forge(Durability::Full).await;
    let reader = forge.token("r", r#""read""#, r#""d""#).await;
    for (sql, writes) in [
        ("EXPLAIN PRAGMA user_version = 5", true),
        ("EXPLAIN PRAGMA application_id = 5", true),
        ("EXPLAIN PRAGMA defer_foreign_keys = ON", false),
    ] {
        let ask = forge.ask("POST", "/v1/databases/d/query").token(&reader);
        let answer = ask.body(&json!({ "sql": sql }).to_string()).await;
        assert_eq!(answer.status, 200, "{sql}: {}", answer.text);
        assert_eq!(answer.text.contains("SetCookie"), writes, "{}", answer.text);
    }
    for told in ["user_version", "application_id", "defer_foreign_keys"] {
        let told = rows(&forge, &format!("PRAGMA {told}")).await;
        assert_eq!(told, json!([[0]]));
    }
}

#[tokio::test]
async fn a_setting_is_answered_with_the_value_that_holds_and_changes_nothing() {
    for (durability, synchronous) in [(Durability::Full, 2), (Durability::Relaxed, 1)] {
        let forge = forge(durability).await;
        rows(&forge, "CREATE TABLE t (a)").await;
        for (setting, wanted, holds) in [
            ("journal_mode", "DELETE", json!("wal")),
            ("journal_mode", "OFF", json!("wal")),
            ("journal_mode", "WAL", json!("wal")),
            ("synchronous", "OFF", json!(synchronous)),
            ("cache_size", "-100000000", json!(-2048)),
            ("busy_timeout", "2147483647", json!(0)),
            ("mmap_size", "134217728", json!(0)),
            ("temp_store", "FILE", json!(2)),
            ("journal_size_limit", "-1", json!(4 << 20)),
            ("page_size", "512", json!(4096)),
            ("encoding", "UTF16", json!("UTF-8")),
            ("auto_vacuum", "FULL", json!(0)),
            ("secure_delete", "ON", json!(0)),
            ("read_uncommitted", "1", json!(0)),
            ("automatic_index", "OFF", json!(1)),
            ("threads", "8", json!(0)),
            ("analysis_limit", "1000", json!(0)),
            ("fullfsync", "ON", json!(0)),
            ("checkpoint_fullfsync", "ON", json!(0)),
            ("soft_heap_limit", "1000", json!(0)),
            ("max_page_count", "7", json!((2_u64 << 30) / 4096)),
        ] {
            for sql in [
                format!("PRAGMA {setting} = {wanted}"),
                format!("pragma main.{setting}('{wanted}')"),
                format!("/**/PRAGMA/**/{setting}--\n/**/"),
            ] {
                assert_told(&forge, &sql, &json!([[holds]])).await;
            }
            if ["temp_store", "page_size", "encoding"].contains(&setting) {
                let table = format!("SELECT * FROM pragma_{setting}");
                assert_told(&forge, &table, &json!([[holds]])).await;
            }
            // EXPLAIN tells what would be done.
            rows(&forge, &format!("EXPLAIN PRAGMA {setting}")).await;
        }
    }
}

#[tokio::test]
async fn pragmas_that_tell_answer_as_sqlite_does() {
    let forge = forge(Durability::Full).await;
    let oracle = Oracle::new();
    let plain = oracle.connect();
    for sql in ["CREATE TABLE t (a, b)", "CREATE INDEX i ON t (a)"] {
        rows(&forge, sql).await;
        plain.execute_batch(sql).unwrap();
    }
    for sql in [
        "PRAGMA foreign_keys = ON",
        "PRAGMA main.foreign_keys(yes)",
        "PRAGMA foreign_keys",
        "SELECT * FROM pragma_foreign_keys",
        "PRAGMA integrity_check",
        "PRAGMA integrity_check(t)",
        "PRAGMA integrity_check(10)",
        "PRAGMA quick_check",
        "PRAGMA optimize",
        "PRAGMA optimize(0x10002)",
        "PRAGMA schema_version",
        "PRAGMA collation_list",
        "PRAGMA compile_options",
        "SELECT * FROM pragma_compile_options",
        "SELECT sqlite_compileoption_used('ENABLE_FTS5'), sqlite_source_id()",
        "SELECT count(*) > 100 FROM pragma_function_list",
    ] {
        let mut expected = plain.prepare(sql).unwrap();
        let columns = expected.column_count();
        let expected: Vec<Vec<rusqlite::types::Value>> = expected
            .query_map([], |row| (0..columns).map(|it| row.get(it)).collect())
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let expected: Vec<Vec<Value>> = (expected.into_iter())
            .map(|row| {
                let cells = row.into_iter().map(|cell| match cell {
                    rusqlite::types::Value::Integer(it) => json!(it),
                    rusqlite::types::Value::Text(it) => json!(it),
                    other => panic!("{sql}: {other:?}"),
                });
                cells.collect()
            })
            .collect();
        assert_eq!(rows(&forge, sql).await, json!(expected), "{sql}");
    }
}

#[tokio::test]
async fn the_list_of_databases_has_main_and_no_path() {
    let forge = forge(Durability::Full).await;
    for sql in [
        "PRAGMA database_list",
        "SELECT * FROM pragma_database_list",
        "SELECT seq, name, file FROM PRAGMA_DATABASE_LIST WHERE name = 'main'",
    ] {
        assert_eq!(rows(&forge, sql).await, json!([[0, "main", ""]]), "{sql}");
    }
}

#[tokio::test]
async fn foreign_keys_stay_on_and_who_turns_them_off_is_told_what_works() {
    let forge = forge(Durability::Full).await;
    for sql in [
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE c (p REFERENCES p ON DELETE CASCADE)",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO c VALUES (1)",
    ] {
        rows(&forge, sql).await;
    }
    // What SQLite does not know as a word for *on* turns them off.
    for off in ["OFF", "0", "no", "256", "'off'"] {
        for sql in [
            format!("PRAGMA foreign_keys = {off}"),
            format!("PRAGMA main.foreign_keys({off})"),
        ] {
            for (route, body) in [
                ("query", json!({ "sql": sql }).to_string()),
                (
                    "batch",
                    json!({"statements": [{"sql": "SELECT 1"}, {"sql": sql}]}).to_string(),
                ),
            ] {
                let path = format!("/v1/databases/d/{route}");
                let answer = forge.post(&path, &body).await;
                let problem = answer.json();
                assert_eq!(problem["code"], "statement_not_allowed", "{}", answer.text);
                assert_eq!(answer.status, 403);
            }
            let body = json!({ "sql": sql }).to_string();
            let answer = forge.post("/v1/databases/d/query", &body).await;
            let hint = answer.json()["hint"].to_string();
            assert!(hint.contains("defer_foreign_keys"), "{}", answer.text);
        }
    }
    assert_eq!(rows(&forge, "PRAGMA foreign_keys").await, json!([[1]]));
    assert_eq!(rows(&forge, "SELECT * FROM c").await, json!([[1]]));
}

#[tokio::test]
async fn what_is_not_a_tools_question_stays_refused() {
    let forge = forge(Durability::Full).await;
    for sql in [
        "PRAGMA schema_version = 7",
        "PRAGMA writable_schema = 1",
        "PRAGMA locking_mode = EXCLUSIVE",
        "PRAGMA query_only = OFF",
        "PRAGMA wal_checkpoint",
        "PRAGMA temp.journal_mode = OFF",
        "PRAGMA compile_options(1)",
    ] {
        let body = json!({ "sql": sql }).to_string();
        let answer = forge.post("/v1/databases/d/query", &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (403, &json!("statement_not_allowed")),
            "{sql}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn only_who_may_write_makes_statistics_by_optimize_and_others_are_answered() {
    let forge = forge(Durability::Full).await;
    let reader = forge.token("r", r#""read""#, r#""d""#).await;
    rows(&forge, "CREATE TABLE t (a)").await;
    rows(&forge, "CREATE INDEX i ON t (a)").await;
    rows(&forge, "INSERT INTO t VALUES (1)").await;
    let made = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    for sql in ["PRAGMA optimize", "PRAGMA main.optimize(0x10002)"] {
        let ask = forge.ask("POST", "/v1/databases/d/query").token(&reader);
        let answer = ask.body(&json!({ "sql": sql }).to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(rows(&forge, made).await, json!([[0]]), "{sql}");
    }
    rows(&forge, "PRAGMA optimize(0x10002)").await;
    assert_eq!(rows(&forge, made).await, json!([[1]]));
}

#[tokio::test]
async fn there_are_no_temporary_tables_to_be_described() {
    let forge = forge(Durability::Full).await;
    rows(&forge, "CREATE TABLE t (a)").await;
    for name in [
        "table_info",
        "table_xinfo",
        "index_list",
        "foreign_key_list",
    ] {
        assert_eq!(
            rows(&forge, &format!("PRAGMA temp.{name}(\"t\")")).await,
            json!([])
        );
    }
}
