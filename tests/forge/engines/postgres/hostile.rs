//! Statements that want more than they may.
use super::{ask, rows, with_shop};
use crate::support::http::ROOT;
use serde_json::json;

/// What a client that may write is refused: files, programs, other roles, settings of the server.
const REFUSED: &[&str] = &[
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('/data/database/pgdata/global/pg_control')",
    "select pg_ls_dir('/')",
    "select * from pg_stat_file('/etc/passwd')",
    "copy t to '/tmp/x'",
    "copy t from '/etc/passwd'",
    "copy t from program 'id'",
    "copy t to program 'cat'",
    "do $$ begin execute 'copy t from program ''id'''; end $$",
    "select lo_import('/etc/passwd')",
    "select lo_export(1, '/tmp/x')",
    "load 'plpgsql'",
    "load '/tmp/x.so'",
    "create function f() returns int as '/tmp/x.so','f' language c",
    "create function f() returns int as 'getpid' language internal",
    "create extension dblink",
    "create extension postgres_fdw",
    "create extension file_fdw",
    "create extension plpython3u",
    "create extension adminpack",
    "create extension pg_stat_statements",
    "create role x superuser",
    "create role x",
    "alter role app superuser",
    "alter role dbforge password 'x'",
    "alter role reader set default_transaction_read_only = off",
    "set role dbforge",
    "set session authorization dbforge",
    "alter system set archive_command='id'",
    "set temp_file_limit=-1",
    "set log_min_messages='debug5'",
    "set session_preload_libraries='x'",
    "select set_config('dynamic_library_path','/tmp',false)",
    "create database y",
    "create tablespace z location '/tmp'",
    "select pg_reload_conf()",
    "select pg_rotate_logfile()",
    "select pg_switch_wal()",
    "select pg_create_physical_replication_slot('s')",
    "select pg_create_logical_replication_slot('s','pgoutput')",
    "create subscription s connection 'host=/data/database/run user=dbforge' publication p",
    "create publication p for all tables",
    "create event trigger et on ddl_command_start execute function f()",
    "select rolpassword from pg_authid",
    "select * from pg_hba_file_rules",
    "select name, setting from pg_file_settings",
    "select current_setting('data_directory')",
    "show hba_file",
    "select pg_current_logfile()",
    "drop database main",
    "alter database main set statement_timeout=0",
    "alter database main connection limit 0",
    "grant app to reader",
    "reindex system main",
    "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'dbforge' or usename is null",
];

/// What a client that only reads is refused, after it has turned the setting off that says so.
const REFUSED_TO_READERS: &[&str] = &[
    "insert into t values (2)",
    "update t set a = 3",
    "delete from t",
    "truncate t",
    "drop table t",
    "create table r(a int)",
    "create temp table r(a int)",
    "select lo_create(4712)",
    "select lo_creat(1)",
    "select lo_from_bytea(0,'x')",
    "select pg_logical_emit_message(false,'x','y')",
    "create schema s",
    "create function ff() returns int language sql as 'select 1'",
    "create extension hstore",
    "lock table t in access exclusive mode",
    "select pg_read_file('/etc/passwd')",
    "select * from pg_authid",
    "select nextval('s')",
    "with x as (delete from t returning *) select * from x",
    "explain analyze delete from t",
    "alter role reader superuser",
    "copy t to program 'cat'",
];

#[tokio::test]
async fn what_no_client_may_is_refused() {
    let forge = with_shop().await;
    rows(&forge, "create table t(a int)").await;
    rows(&forge, "insert into t values (1)").await;
    for sql in REFUSED {
        let answer = ask(&forge, sql).await;
        let status = answer.status.as_u16();
        assert!(matches!(status, 400 | 403), "{sql}: {}", answer.text);
        assert!(!answer.text.contains("/usr/"), "{sql}: {}", answer.text);
    }
    for allowed in [
        "create extension if not exists pgcrypto",
        "create extension if not exists citext",
        "select lo_create(4711)",
        "select count(*) from t",
        "set local_preload_libraries='x'",
        "set statement_timeout=0",
    ] {
        let answer = ask(&forge, allowed).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 400),
            "{allowed}: {}",
            answer.text
        );
    }
    let hidden = "select query from pg_stat_activity where usename = 'dbforge' and query <> '<insufficient privilege>'";
    assert_eq!(rows(&forge, hidden).await, json!([]));
    assert_eq!(rows(&forge, "select a from t").await, json!([[1]]));
}

#[tokio::test]
async fn a_token_that_only_reads_changes_nothing_whatever_it_sets() {
    let forge = with_shop().await;
    rows(&forge, "create table t(a int)").await;
    rows(&forge, "create sequence s").await;
    rows(&forge, "insert into t values (1)").await;
    let token = forge.token("eyes", r#""read""#, r#""shop""#).await;
    let ask_as_reader = |sql: &str, route: &str| {
        let body = json!({ "sql": sql }).to_string();
        let ask = forge
            .ask("POST", &format!("/v1/databases/shop/{route}"))
            .token(&token);
        async move { ask.body(&body).await }
    };
    let begun = forge
        .ask("POST", "/v1/databases/shop/transactions")
        .token(&token);
    let begun = begun.body(r#"{"mode":"readonly"}"#).await;
    assert_eq!(begun.status, 201, "{}", begun.text);
    let id = begun.json()["id"].as_str().unwrap().to_owned();
    let inside = format!("transactions/{id}/query");
    for off in [
        "set default_transaction_read_only=off",
        "set session characteristics as transaction read write",
    ] {
        ask_as_reader(off, "query").await;
        ask_as_reader(off, &inside).await;
    }
    for sql in REFUSED_TO_READERS {
        for route in ["query", inside.as_str()] {
            let answer = ask_as_reader(sql, route).await;
            let status = answer.status.as_u16();
            assert!(
                matches!(status, 400 | 403),
                "{sql} on {route}: {}",
                answer.text
            );
        }
    }
    ask_as_reader("insert into t values (2)", "query")
        .await
        .problem(403, "read_only");
    let read = ask_as_reader("select a from t", "query").await.json();
    assert_eq!(read["rows"], json!([[1]]));
    // A request of one that may write, and does not want to.
    let body = json!({"sql": "delete from t", "readonly": true}).to_string();
    let asked = forge
        .ask("POST", "/v1/databases/shop/query")
        .token(ROOT)
        .body(&body)
        .await;
    asked.problem(403, "read_only");
    assert_eq!(rows(&forge, "select count(*) from t").await, json!([[1]]));
}

#[tokio::test]
async fn nothing_of_a_session_is_left_to_the_next_statement() {
    let forge = with_shop().await;
    for (leaves, looks, expected) in [
        (
            "set search_path = nowhere",
            "show search_path",
            json!([["\"$user\", public"]]),
        ),
        (
            "select set_config('timezone', 'Asia/Tokyo', false)",
            "show timezone",
            json!([["UTC"]]),
        ),
        (
            "create temp table left_over (a int)",
            "select to_regclass('left_over')::text",
            json!([[null]]),
        ),
        (
            "select pg_advisory_lock(7)",
            "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()",
            json!([[0]]),
        ),
        (
            "prepare mine as select 1",
            "select count(*) from pg_prepared_statements where name = 'mine'",
            json!([[0]]),
        ),
        (
            "listen x",
            "select count(*) from pg_listening_channels()",
            json!([[0]]),
        ),
        (
            "declare c cursor with hold for select 1",
            "select count(*) from pg_cursors where name = 'c'",
            json!([[0]]),
        ),
        (
            "do $$ begin perform set_config('bytea_output', 'escape', false); end $$",
            "select '\\x41'::bytea",
            json!([[{"$base64": "QQ=="}]]),
        ),
    ] {
        rows(&forge, leaves).await;
        for _ in 0..9 {
            assert_eq!(rows(&forge, looks).await, expected, "{leaves}");
        }
    }
}
