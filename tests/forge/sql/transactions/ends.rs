//! Transactions that nobody ends: time, jobs, clients that vanish, a gateway that stops.
use super::{BEGIN, QUERY, begin, end, query, run, seen, shop};
use crate::support::NOON;
use crate::support::http::{Answer, HttpForge, ROOT};
use crate::support::sql::{Sql, soon};
use dbforge::clock::timestamp::Timestamp;
use dbforge::clock::{Deadline, ManualClock, Stopwatch};
use dbforge::data::{
    Access, NewTransaction, SqliteConfig, TransactionEnd, TransactionError, TransactionKey,
    TransactionMode,
};
use dbforge::http::serve;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn count(forge: &HttpForge) -> usize {
    forge.job_context.data.open_transactions()
}

/// Waits until no transaction holds anything.
async fn all_are_over(forge: &HttpForge) {
    let deadline = Deadline::after(PATIENCE);
    while count(forge) > 0 {
        assert!(!deadline.has_passed(), "a transaction is still open");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_transaction_that_is_left_alone_is_rolled_back_when_the_clock_says_so() {
    let forge = shop().await;
    let clock = &forge.kept.clock;
    let expire = || forge.job_context.data.expire_transactions(clock.as_ref());
    let idle = begin(&forge, r#"{"idle_timeout_ms":4000}"#).await;
    query(&forge, &idle, "INSERT INTO t VALUES (1)").await;
    for _ in 0..3 {
        // Each request moves its end on.
        clock.advance(Duration::from_millis(3_900));
        expire();
        assert_eq!(query(&forge, &idle, "SELECT 1").await.status, 200);
    }
    clock.advance(Duration::from_secs(4));
    expire();
    let written = run(&forge, QUERY, "INSERT INTO t VALUES (2)").await;
    assert_eq!(written.status, 200, "{}", written.text);
    assert_eq!(seen(&forge, QUERY).await, json!([2]));
    let said = query(&forge, &idle, "SELECT 1").await;
    let said = said.problem(410, "transaction_ended");
    assert!(said.contains("its idle timeout"), "{said}");

    // Nobody has looked: its next request finds that it is over.
    let unseen = begin(&forge, r#"{"mode":"readonly"}"#).await;
    clock.advance(Duration::from_secs(10));
    let late = end(&forge, &unseen, "commit").await;
    late.problem(410, "transaction_ended");

    let begun = forge
        .post(BEGIN, r#"{"total_timeout_ms":9000}"#)
        .await
        .json();
    let path = format!("{BEGIN}/{}", begun["id"].as_str().unwrap());
    assert_eq!(begun["expires_at"], begun["ends_at"], "{begun}");
    clock.advance(Duration::from_secs(5));
    assert_eq!(
        query(&forge, &path, "INSERT INTO t VALUES (3)")
            .await
            .status,
        200
    );
    clock.advance(Duration::from_secs(4));
    expire();
    let late = end(&forge, &path, "commit").await;
    let said = late.problem(410, "transaction_ended");
    assert!(said.contains("its time limit"), "{said}");
    all_are_over(&forge).await;
    assert_eq!(seen(&forge, QUERY).await, json!([2]));
}

#[tokio::test]
async fn somebody_looks_for_transactions_whose_time_is_over() {
    let forge = shop().await;
    let stop = CancellationToken::new();
    let clock: Arc<dyn dbforge::clock::Clock> = forge.kept.clock.clone();
    let keeper = tokio::spawn(
        forge
            .job_context
            .data
            .clone()
            .keep_time(clock, stop.clone()),
    );
    begin(&forge, "{}").await;
    begin(&forge, r#"{"mode":"readonly"}"#).await;
    forge.kept.clock.advance(Duration::from_secs(11));
    all_are_over(&forge).await;
    stop.cancel();
    keeper.await.unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_no_transaction_alive() {
    let forge = shop().await;
    begin(&forge, r#"{"idle_timeout_ms":1}"#).await;
    forge.kept.clock.set(Timestamp::from_millis(0));
    let deadline = Deadline::after(PATIENCE);
    while count(&forge) > 0 {
        assert!(!deadline.has_passed());
        forge
            .job_context
            .data
            .expire_transactions(forge.kept.clock.as_ref());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_job_that_needs_the_files_rolls_transactions_back_and_waits_for_none() {
    let forge = shop().await;
    for (action, back) in [("stop", "start"), ("delete", "undelete"), ("restart", "")] {
        let mut open = Vec::new();
        for mode in [r#"{"mode":"readonly"}"#, r#"{"mode":"deferred"}"#, "{}"] {
            let transaction = begin(&forge, mode).await;
            let touched = query(&forge, &transaction, "SELECT count(*) FROM t").await;
            assert_eq!(touched.status, 200, "{}", touched.text);
            open.push(transaction);
        }
        query(&forge, &open[2], "INSERT INTO t VALUES (1)").await;
        let (method, path) = match action {
            "delete" => ("DELETE", "/v1/databases/shop".to_owned()),
            _ => ("POST", format!("/v1/databases/shop/{action}")),
        };
        let asked = forge.send(method, &path, "").await;
        assert_eq!(asked.status, 202, "{}", asked.text);
        forge.settle().await;
        let job = asked.json()["id"].as_str().unwrap().to_owned();
        let job = forge.get(&format!("/v1/jobs/{job}?wait=10")).await.json();
        assert_eq!(job["state"], "succeeded", "{job}");
        if !back.is_empty() {
            assert_eq!(count(&forge), 0, "{action} waited until all had let go");
            for transaction in &open {
                let late = end(&forge, transaction, "commit").await;
                let said = late.problem(410, "transaction_ended");
                assert!(said.contains("a job needed"), "{said}");
            }
            forge.post(&format!("/v1/databases/shop/{back}"), "").await;
            forge.settle().await;
        } else {
            // A fresh worker moves no files: transactions go on.
            for transaction in &open {
                assert_eq!(end(&forge, transaction, "rollback").await.status, 204);
            }
        }
        assert_eq!(seen(&forge, QUERY).await, json!([]), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_vanishes_in_the_middle_of_a_statement_takes_its_transaction_with_it() {
    let forge = shop().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, forge.gateway.clone(), stop.clone()).unwrap());
    let endless = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) \
                   SELECT max(i) FROM n";
    for mode in ["{}", r#"{"mode":"deferred"}"#] {
        let transaction = begin(&forge, mode).await;
        query(&forge, &transaction, "INSERT INTO t VALUES (1)").await;
        let body = json!({"sql": endless, "timeout_ms": 30_000}).to_string();
        let request = format!(
            "POST {transaction}/query HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ROOT}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        // It runs once no other request gets the transaction.
        let deadline = Deadline::after(PATIENCE);
        loop {
            let probe = json!({"sql": "SELECT 1", "timeout_ms": 1}).to_string();
            let probe = forge.post(&format!("{transaction}/query"), &probe).await;
            if probe.status == 423 {
                break;
            }
            assert!(!deadline.has_passed(), "it never runs: {}", probe.text);
        }
        drop(client);
        all_are_over(&forge).await;
        let late = end(&forge, &transaction, "commit").await;
        late.problem(410, "transaction_ended");
        let next = run(&forge, QUERY, "INSERT INTO t VALUES (7)").await;
        assert_eq!(next.status, 200, "{}", next.text);
        assert_eq!(seen(&forge, QUERY).await, json!([7]));
        run(&forge, QUERY, "DELETE FROM t").await;
    }
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_stops_rolls_transactions_back_and_does_not_wait_for_them() {
    let forge = shop().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, forge.gateway.clone(), stop.clone()).unwrap());
    let transaction = begin(&forge, "{}").await;
    query(&forge, &transaction, "INSERT INTO t VALUES (1)").await;
    begin(&forge, r#"{"mode":"readonly"}"#).await;

    // A write waits behind it, with more patience than the test has.
    let body = json!({"sql": "INSERT INTO t VALUES (2)", "timeout_ms": 60_000}).to_string();
    let request = format!(
        "POST {QUERY} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ROOT}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(request.as_bytes()).await.unwrap();
    let deadline = Deadline::after(PATIENCE);
    while !forge
        .get("/metrics")
        .await
        .text
        .contains("dbforge_http_waiting 1")
    {
        assert!(!deadline.has_passed(), "the write never arrives");
    }
    let stopwatch = Stopwatch::start();
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, serving).await;
    ended.expect("it waits for nobody").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(stopwatch.elapsed() < PATIENCE);
    all_are_over(&forge).await;
    assert_eq!(seen(&forge, QUERY).await, json!([2]));
    let late = end(&forge, &transaction, "commit").await;
    late.problem(503, "stopping");
    forge.post(BEGIN, "{}").await.problem(503, "stopping");
}

#[tokio::test]
async fn a_snapshot_behind_which_the_wal_grows_too_long_ends_and_the_wal_is_cut() {
    let sql = Sql::with(SqliteConfig {
        wal_bytes: 64 << 10,
        ..SqliteConfig::default()
    });
    sql.ask("CREATE TABLE t (a)").await.unwrap();
    let clock = ManualClock::at(Timestamp::from_millis(NOON));
    let guard = sql.plane.enter(sql.target.database, soon()).await.unwrap();
    let new = NewTransaction {
        mode: TransactionMode::ReadOnly,
        owner: None,
        access: Access::ReadOnly,
        wait: None,
        idle: None,
        total: None,
    };
    let begun = sql
        .plane
        .begin(&guard, &sql.target, new, &clock)
        .await
        .unwrap();
    let key = TransactionKey {
        id: &begun.id,
        database: sql.target.database,
        owner: None,
    };
    let wal = sql
        .plane
        .folders()
        .living(sql.target.database)
        .join("main.db-wal");
    let is_open = || {
        sql.plane.expire_transactions(&clock);
        sql.plane.open_transactions() > 0
    };
    let mut most = 0;
    while is_open() {
        assert!(most < 4 << 20, "nobody ends it");
        sql.ask("INSERT INTO t VALUES (zeroblob(50000))")
            .await
            .unwrap();
        // The insert during which it ends may cut the WAL itself.
        most = most.max(wal.metadata().unwrap().len());
    }
    assert!(
        most > 512 << 10,
        "it may hold back eight times as much: {most}"
    );
    let late = sql.plane.commit(&key, &clock).await.unwrap_err();
    assert_eq!(late, TransactionError::Ended(TransactionEnd::TooOld));
    for _ in 0..2 {
        sql.ask("INSERT INTO t VALUES (1)").await.unwrap();
    }
    assert!(wal.metadata().unwrap().len() < most, "it is cut again");
    sql.plane
        .begin(&guard, &sql.target, new, &clock)
        .await
        .unwrap();
    assert!(is_open(), "the next one begins afresh");
}

/// A statement with more patience than all of the others take together.
async fn ask(forge: &HttpForge, sql: &str) -> Answer {
    let body = json!({"sql": sql, "timeout_ms": 60_000});
    forge.post(QUERY, &body.to_string()).await
}

/// Inserts in a transaction, as soon as there is room for one.
async fn insert_in_transaction(forge: &HttpForge, insert: &str, how: &str) {
    let deadline = Deadline::after(PATIENCE);
    let begun = loop {
        let begun = forge.post(BEGIN, r#"{"timeout_ms":60000}"#).await;
        if begun.status != 503 || deadline.has_passed() {
            break begun;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(begun.status, 201, "{}", begun.text);
    let transaction = format!("{BEGIN}/{}", begun.json()["id"].as_str().unwrap());
    let inserted = query(forge, &transaction, insert).await;
    assert_eq!(inserted.status, 200, "{}", inserted.text);
    assert_eq!(end(forge, &transaction, how).await.status, 204);
}

/// What one of many clients was told: the rows that were acknowledged.
async fn client(forge: Arc<HttpForge>, number: u64) -> Vec<u64> {
    let endless = "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT -1 UNION ALL SELECT i - 1 FROM n) \
                   SELECT i FROM n";
    let mut acknowledged = Vec::new();
    for turn in 0..6 {
        let id = number * 100 + turn;
        let insert = format!("INSERT INTO t VALUES ({id})");
        match (number + turn) % 6 {
            0 => {
                let broken = format!("INSERT OR ROLLBACK INTO t VALUES ({id}), (0)");
                let broken = ask(&forge, &broken).await;
                broken.problem(409, "constraint_violation");
            }
            1 => {
                let orphan = ask(&forge, &format!("INSERT INTO c VALUES (-{id})")).await;
                orphan.problem(409, "constraint_violation");
            }
            2 => {
                let body = json!({"sql": endless, "timeout_ms": 10}).to_string();
                let cut = forge.post(QUERY, &body).await;
                assert!(cut.status == 422 || cut.status == 423, "{}", cut.text);
            }
            3 if number.is_multiple_of(2) => {
                insert_in_transaction(&forge, &insert, "commit").await;
                acknowledged.push(id);
            }
            3 => insert_in_transaction(&forge, &insert, "rollback").await,
            _ => {
                let inserted = ask(&forge, &insert).await;
                assert_eq!(inserted.status, 200, "{}", inserted.text);
                acknowledged.push(id);
            }
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_of_32_clients_loses_an_acknowledged_row_to_a_neighbour_or_a_transaction() {
    let forge = Arc::new(shop().await);
    run(&forge, QUERY, "INSERT INTO t VALUES (0)").await;
    let child = "CREATE TABLE c (p REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    run(&forge, QUERY, child).await;
    let clients: Vec<_> = (1..=32)
        .map(|number| tokio::spawn(client(forge.clone(), number)))
        .collect();
    let mut expected = vec![0];
    for client in clients {
        expected.extend(client.await.unwrap());
    }
    expected.sort_unstable();
    assert_eq!(seen(&forge, QUERY).await, json!(expected));
    let sound = run(&forge, QUERY, "PRAGMA quick_check").await;
    assert_eq!(sound.json()["rows"], json!([["ok"]]));
    all_are_over(&forge).await;
}
