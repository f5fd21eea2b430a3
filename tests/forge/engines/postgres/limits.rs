//! Deadlines, streams, many callers at once, and a server that goes away.
use super::{ask, rows, send, with_shop};
use crate::support::http::{HttpForge, ROOT};
use dbforge::clock::Stopwatch;
use futures_util::future::join_all;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_statement_ends_with_its_deadline_even_one_that_swallows_the_cancellation() {
    let forge = with_shop().await;
    rows(&forge, "create table t(a int)").await;
    let late = |sql: &str| json!({"sql": sql, "timeout_ms": 300});
    let since = Stopwatch::start();
    send(&forge, "query", late("select pg_sleep(30)"))
        .await
        .problem(422, "statement_timeout");
    let stubborn = "do $$ begin insert into t values (1); loop begin perform pg_sleep(30); \
                    exception when query_canceled then null; end; end loop; end $$";
    send(&forge, "query", late(stubborn))
        .await
        .problem(422, "statement_timeout");
    let unset = "do $$ begin perform set_config('statement_timeout', '0', false); \
                 perform pg_sleep(30); end $$";
    send(&forge, "query", late(unset))
        .await
        .problem(422, "statement_timeout");
    assert!(
        since.elapsed() < Duration::from_secs(20),
        "none ran to its end"
    );
    assert_eq!(rows(&forge, "select count(*) from t").await, json!([[0]]));
    let running = "select count(*) from pg_stat_activity where query like '%pg_sleep(30)%' \
                   and pid <> pg_backend_pid() and state = 'active'";
    for _ in 0..200 {
        if rows(&forge, running).await == json!([[0]]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a statement goes on behind its deadline");
}

#[tokio::test]
async fn a_statement_ends_when_its_client_goes_away() {
    let forge = with_shop().await;
    let body = json!({"sql": "select pg_sleep(60)", "timeout_ms": 60_000}).to_string();
    let asked = forge
        .ask("POST", "/v1/databases/shop/query")
        .token(ROOT)
        .body(&body);
    let gone = tokio::time::timeout(Duration::from_millis(300), asked).await;
    assert!(gone.is_err(), "it goes on until its client goes");
    let running = "select count(*) from pg_stat_activity where query like 'select pg_sleep(60)%' \
                   and state = 'active'";
    for _ in 0..200 {
        if rows(&forge, running).await == json!([[0]]) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it goes on without its client");
}

async fn streamed(forge: &HttpForge, sql: &str) -> String {
    let answer = send(
        forge,
        "query?format=ndjson&stream=true",
        json!({ "sql": sql }),
    )
    .await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.text
}

#[tokio::test]
async fn results_of_any_size_are_streamed() {
    let forge = with_shop().await;
    let text = streamed(
        &forge,
        "select i, repeat('x', 100) from generate_series(1, 100000) i",
    )
    .await;
    assert_eq!(text.lines().count(), 100_002);
    let last = text.lines().last().unwrap();
    assert!(last.contains(r#""row_count":100000"#), "{last}");
    let small = streamed(&forge, "select 1").await;
    assert_eq!(small.lines().count(), 3, "{small}");
    let broken = streamed(
        &forge,
        "select i / (i - 90000) from generate_series(1, 100000) i",
    )
    .await;
    let last: serde_json::Value = serde_json::from_str(broken.lines().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "sql_error", "{last}");
    assert_eq!(rows(&forge, "select 1").await, json!([[1]]));
}

#[tokio::test]
async fn many_callers_are_answered_and_none_holds_up_another() {
    let forge = with_shop().await;
    rows(&forge, "create table t(id int primary key, n int)").await;
    let slow = (0..4).map(|_| ask(&forge, "select pg_sleep(1)"));
    let slow = join_all(slow);
    let quick = async {
        let since = Stopwatch::start();
        let inserts = (0..64).map(|i| {
            let body = json!({"sql": "insert into t values ($1, $2)", "params": [i, i * 2]});
            send(&forge, "query", body)
        });
        for answer in join_all(inserts).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        since.elapsed()
    };
    let (slow, quick) = tokio::join!(slow, quick);
    assert!(slow.iter().all(|answer| answer.status == 200));
    assert!(quick < Duration::from_millis(900), "{quick:?}");
    assert_eq!(
        rows(&forge, "select count(*), sum(n) from t").await,
        json!([[64, 4032]])
    );
}

#[tokio::test]
async fn a_server_that_was_killed_is_not_ready_and_loses_nothing_that_was_answered() {
    let forge = with_shop().await;
    rows(&forge, "create table t(a int)").await;
    rows(&forge, "insert into t values (1)").await;
    let servers = forge.kept.postgres.clone().unwrap();
    servers.kill_all();
    ask(&forge, "select a from t")
        .await
        .problem(409, "database_not_ready");
    let shop = {
        let current = forge.control.current();
        current.state.find_database("shop").unwrap().id
    };
    servers.start_again(&forge.job_context.data.folders().living(shop));
    assert_eq!(rows(&forge, "select a from t").await, json!([[1]]));
}
