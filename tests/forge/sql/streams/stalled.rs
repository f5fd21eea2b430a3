//! Streams that nobody reads, that nothing stops, that are very long: they hold nothing for long.
use crate::support::gateway_process::GatewayProcess;
use crate::support::sql::{Sql, create, looking_each_time, soon, within};
use crate::support::stream_client::{ENDLESS, NUMBERS, PATIENCE, Served, last_error};
use dbforge::clock::Deadline;
use dbforge::data::{Params, QueryError, QueryRequest, RowStream, Streamed, Target};
use serde_json::{Value, json};
use std::io::Read;
use std::time::Duration;
use tempfile::TempDir;

fn torrent(timeout_ms: u64) -> Value {
    json!({
        "sql": format!("{ENDLESS} SELECT ?1 FROM n"),
        "params": ["x".repeat(50_000)],
        "timeout_ms": timeout_ms,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_stalled_clients_leave_room_for_others_and_their_own_database() {
    let served = Served::new().await;
    served
        .run("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        .await;
    let torrent = torrent(60_000);
    let stalled = (0..50).map(|_| served.query("?format=csv", "", &torrent));
    let stalled = futures_util::future::join_all(stalled);
    let points = async {
        for id in 0..200 {
            served
                .run(&format!("INSERT INTO t VALUES ({id}, 'row')"))
                .await;
            served.run("SELECT a FROM t WHERE id = 1").await;
        }
    };
    let (stalled, ()) = tokio::join!(stalled, points);
    let (streamed, refused): (Vec<_>, Vec<_>) =
        stalled.into_iter().partition(|it| it.status == 200);
    // One caller alone has three quarters of the eight.
    assert_eq!((streamed.len(), refused.len()), (6, 44));
    for reply in refused {
        assert_eq!(reply.header("retry-after"), "1");
        assert_eq!(reply.problem().await, (503, "overloaded".to_owned()));
    }
    assert_eq!(served.open_streams().await, 6);
    served.run("SELECT a FROM t WHERE id = 2").await;

    drop(streamed);
    served.poll_streams(0).await;
    let again = served
        .query("?format=csv", "", &json!({"sql": "SELECT 1"}))
        .await;
    assert_eq!(again.text().await, "1\r\n1\r\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_stops_reading_holds_nothing_past_its_deadline() {
    let served = Served::new().await;
    let data = &served.forge.job_context.data;
    let target = {
        let current = served.forge.control.current();
        let shop = current.state.find_database("shop").unwrap();
        data.target(shop).unwrap()
    };
    let mut stalled = served.query("?format=ndjson", "", &torrent(400)).await;
    assert_eq!(stalled.status, 200);
    served.poll_streams(0).await;
    let alone = data.take(&target, Deadline::after(PATIENCE)).await;
    drop(alone.expect("the access lock is free again"));

    let (lines, is_whole) = stalled.rest().await;
    let says_so = is_whole && last_error(&lines)["code"] == "statement_timeout";
    assert!(says_so || !is_whole, "a stream that was cut looks whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nothing_stops_is_ended_contained_and_seen() {
    let sql = Sql::with(looking_each_time());
    for question in [
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f SELECT replace(hex(zeroblob(6000)), '00', 'a ')",
    ] {
        sql.ask(question).await.unwrap();
    }
    let stuck = format!(
        "SELECT hex(zeroblob(4000)) UNION ALL SELECT count(*) FROM f WHERE f MATCH 'NEAR({},10)'",
        "a ".repeat(200)
    );
    let mut rows = stream(&sql, &sql.target, &stuck).await;
    assert!(rows.next().await.unwrap().is_ok(), "the first row");
    let error = rows.next().await.unwrap().unwrap_err();
    assert_eq!(error, QueryError::Timeout { timeout_ms: 200 });
    assert!(rows.next().await.is_none());
    let deadline = Deadline::after(PATIENCE);
    while sql.plane.health().stuck_threads == 0 {
        assert!(!deadline.has_passed(), "it works on, and is seen");
        tokio::task::yield_now().await;
    }
    assert_eq!(sql.plane.health().streams, 0);
    // On a busy machine it may end before this is asked.
    match sql.ask("SELECT 1").await {
        Ok(_) => assert_eq!(sql.plane.health().stuck_threads, 0),
        Err(error) => assert!(matches!(error, QueryError::Unavailable { .. }), "{error}"),
    }
    let other = create(&sql.plane);
    let mut others = stream(&sql, &other, "SELECT hex(zeroblob(4000))").await;
    while let Some(piece) = others.next().await {
        piece.unwrap();
    }

    let deadline = Deadline::after(PATIENCE);
    while sql.plane.health().stuck_threads > 0 {
        assert!(!deadline.has_passed(), "it ends at last");
        tokio::task::yield_now().await;
    }
    sql.ask("SELECT 1").await.expect("it takes requests again");
}

async fn stream(sql: &Sql, target: &Target, question: &str) -> RowStream {
    let guard = sql.plane.enter(target.database, soon()).await.unwrap();
    let request = QueryRequest {
        sql: question.to_owned(),
        params: Params::None,
        options: within(Duration::from_millis(200)),
    };
    match sql.plane.stream(&guard, target, request).await.unwrap() {
        Streamed::Rows(rows) => rows,
        Streamed::Whole(answer) => panic!("not streamed: {answer:?}"),
    }
}

#[test]
fn a_million_rows_leave_the_gateways_memory_as_it_was() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let made = gateway.post("/v1/databases", &json!({"name": "shop"}));
    assert_eq!(made.unwrap().0, 202);
    let count = |rows: u64| {
        let sql = format!("{NUMBERS} SELECT i, 'a row of some length' FROM n");
        let body = json!({"sql": sql, "params": [rows], "timeout_ms": 60_000});
        let request = ureq::post(format!(
            "{}/v1/databases/shop/query?format=ndjson",
            gateway.url
        ));
        let answer = request.header("X-API-Key", &gateway.token).send_json(&body);
        let mut body = answer.unwrap().into_body().into_reader();
        let (mut lines, mut most) = (0, 0);
        let mut piece = vec![0; 1 << 20];
        loop {
            let length = body.read(&mut piece).unwrap();
            if length == 0 {
                return (lines, most);
            }
            lines += piece[..length].iter().filter(|it| **it == b'\n').count() as u64;
            most = most.max(resident_kib(gateway.process_id()));
        }
    };
    let (lines, before) = count(1_000);
    assert_eq!(lines, 1_002);
    for rows in [100_000, 1_000_000] {
        let (lines, most) = count(rows);
        assert_eq!(lines, rows + 2);
        let grown = most.saturating_sub(before);
        assert!(grown < 8 << 10, "{rows} rows: memory grew by {grown} KiB");
    }
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|it| it.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
