//! Results of any size: NDJSON, CSV and JSON as they are read, over real sockets.
use crate::gateway_process::GatewayProcess;
use crate::http_support::{HttpForge, ROOT};
use crate::sql_support::{Sql, create, soon, within};
use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use dbforge::clock::Deadline;
use dbforge::data::{Params, QueryError, QueryRequest, RowStream, Streamed, Target};
use dbforge::http::{HttpConfig, serve};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Nothing here takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(40);

/// Numbers from 1 on, `{LIMIT}` of them.
const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1) ";
/// Numbers from 1 on, without an end.
const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

/// A forge with the database `shop`, served on a socket.
struct Served {
    forge: HttpForge,
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Served {
    async fn new() -> Self {
        let forge = HttpForge::with(HttpConfig::default()).await;
        forge.ready("shop").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(
            listener,
            forge.gateway.clone(),
            CancellationToken::new(),
        ));
        Self {
            forge,
            address,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Sends a query with the parameters `?…` and headers, and reads the head of its answer.
    async fn query(&self, parameters: &str, headers: &str, body: &Value) -> Reply {
        let path = format!("/v1/databases/shop/query{parameters}");
        self.send("POST", &path, headers, &body.to_string()).await
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let mut socket = BufReader::new(socket);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ROOT}\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut status = String::new();
        read(socket.read_line(&mut status)).await;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            read(socket.read_line(&mut line)).await;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_owned(), value.to_owned());
        }
        Reply {
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            headers,
            socket,
        }
    }

    async fn run(&self, sql: &str) {
        let body = json!({ "sql": sql }).to_string();
        let answer = self.forge.post("/v1/databases/shop/query", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// The streams that are open, as the metrics tell it.
    async fn open_streams(&self) -> usize {
        let metrics = self.forge.get("/metrics").await.text;
        let line = metrics
            .lines()
            .find_map(|it| it.strip_prefix("dbforge_sql_streams "));
        line.unwrap().parse().unwrap()
    }

    async fn poll_streams(&self, wanted: usize) {
        let deadline = Deadline::after(PATIENCE);
        while self.open_streams().await != wanted {
            assert!(!deadline.has_passed(), "not {wanted} streams in time");
            tokio::task::yield_now().await;
        }
    }
}

async fn read<T>(reading: impl Future<Output = std::io::Result<T>>) -> T {
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("something arrives in time")
        .unwrap()
}

/// An answer whose head was read.
struct Reply {
    status: u16,
    headers: BTreeMap<String, String>,
    socket: BufReader<TcpStream>,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The next chunk of a body in chunks; `None` behind the last.
    ///
    /// # Errors
    /// When the connection ends before the last chunk.
    async fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let reading = async {
            let mut length = String::new();
            self.socket.read_line(&mut length).await?;
            let length = usize::from_str_radix(length.trim_end(), 16)
                .map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
            let mut chunk = vec![0; length + 2];
            self.socket.read_exact(&mut chunk).await?;
            chunk.truncate(length);
            Ok((length > 0).then_some(chunk))
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("something arrives in time")
    }

    /// All that comes of the body, and whether it came to its end.
    async fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        if let Some(length) = self.headers.get("content-length") {
            bytes.resize(length.parse().unwrap(), 0);
            read(self.socket.read_exact(&mut bytes)).await;
            return (bytes, true);
        }
        assert_eq!(self.header("transfer-encoding"), "chunked");
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => bytes.extend(chunk),
                Ok(None) => return (bytes, true),
                Err(_) => return (bytes, false),
            }
        }
    }

    async fn text(mut self) -> String {
        let (bytes, is_whole) = self.rest().await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(is_whole && self.status == 200, "{}: {text}", self.status);
        text
    }

    async fn problem(mut self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.rest().await.0).unwrap();
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

/// The same text whatever time it took.
fn without_times(text: &str) -> String {
    let Some((before, after)) = text.split_once("\"elapsed_ms\":") else {
        return text.to_owned();
    };
    let rest = after.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
    format!("{before}\"elapsed_ms\":0{rest}")
}

const EVERY_TYPE: &str = "SELECT 9007199254740993 AS big, NULL AS none, '' AS empty, \
    'say \"hi\", ä' || char(13, 10) AS text, x'00ff' AS blob, x'' AS hollow, 1e999 AS up, \
    -1e999 AS down, 1.0 AS one, 7 AS \"a,b\", 7 AS \"a,b\", 'plain' AS plain";

#[tokio::test]
async fn every_type_is_written_as_its_format_has_it() {
    let served = Served::new().await;
    let text = r#""say \"hi\", ä\r\n""#;
    let values = format!(
        r#"9007199254740993,null,"",{text},{{"$base64":"AP8="}},{{"$base64":""}},{{"$real":"Infinity"}},{{"$real":"-Infinity"}},1.0,7,7,"plain""#
    );
    let names = "big none empty text blob hollow up down one a,b a,b plain";
    let columns: Vec<_> = names
        .split(' ')
        .map(|it| format!(r#"{{"name":"{it}","type":null}}"#))
        .collect();
    let columns = format!(r#""columns":[{}]"#, columns.join(","));
    let totals = r#""row_count":1,"rows_affected":0,"last_insert_rowid":null,"truncated":false,"elapsed_ms":0"#;
    let object = format!(
        r#"{{"big":9007199254740993,"none":null,"empty":"","text":{text},"blob":{{"$base64":"AP8="}},"hollow":{{"$base64":""}},"up":{{"$real":"Infinity"}},"down":{{"$real":"-Infinity"}},"one":1.0,"a,b":7,"a,b":7,"plain":"plain"}}"#
    );
    for (parameters, content_type, expected) in [
        (
            "?stream=true",
            "application/json",
            format!("{{{columns},\"rows\":[[{values}]],{totals}}}"),
        ),
        (
            "?stream=true&shape=objects",
            "application/json",
            format!("{{{columns},\"rows\":[{object}],{totals}}}"),
        ),
        (
            "?format=ndjson",
            "application/x-ndjson",
            format!("{{{columns}}}\n[{values}]\n{{{totals}}}\n"),
        ),
        (
            "?format=ndjson&shape=objects",
            "application/x-ndjson",
            format!("{object}\n"),
        ),
        (
            "?format=csv",
            "text/csv; charset=utf-8; header=present",
            "big,none,empty,text,blob,hollow,up,down,one,\"a,b\",\"a,b\",plain\r\n\
             9007199254740993,,\"\",\"say \"\"hi\"\", ä\r\n\",AP8=,\"\",Infinity,-Infinity,1.0,7,7,plain\r\n"
                .to_owned(),
        ),
    ] {
        let reply = served.query(parameters, "", &json!({"sql": EVERY_TYPE})).await;
        let said = reply.header("content-type").to_owned();
        assert_eq!(without_times(&reply.text().await), expected, "{parameters}");
        assert_eq!(said, content_type);
    }

    let quoted = json!({"sql": "SELECT -9007199254740993, 1", "int64": "string"});
    let lines = served
        .query("?format=ndjson", "", &quoted)
        .await
        .text()
        .await;
    assert_eq!(lines.lines().nth(1), Some(r#"["-9007199254740993",1]"#));
    let none = json!({"sql": "SELECT 1 AS a WHERE false"});
    for (format, expected) in [("csv", "a\r\n"), ("ndjson&shape=objects", "")] {
        let parameters = format!("?format={format}");
        let text = served.query(&parameters, "", &none).await.text().await;
        assert_eq!(text, expected, "{format}");
    }
}

#[tokio::test]
async fn a_stream_has_the_bytes_of_the_whole_answer() {
    let served = Served::new().await;
    let sql = format!(
        "{NUMBERS} SELECT i, i / 7.0, 'a \"text\", ' || i, \
         CASE WHEN i % 1000 = 0 THEN zeroblob(100000) END FROM n"
    );
    let body =
        json!({"sql": sql, "params": [20_000], "max_rows": 100_000, "max_bytes": 60_000_000});
    for format in ["json", "ndjson", "csv"] {
        for shape in ["rows", "objects"] {
            let whole = format!("?format={format}&shape={shape}&stream=false");
            let whole = served.query(&whole, "", &body).await;
            assert!(whole.headers.contains_key("content-length"));
            let streamed = format!("?format={format}&shape={shape}&stream=true");
            let streamed = served.query(&streamed, "", &body).await;
            assert_eq!(streamed.header("transfer-encoding"), "chunked");
            let (whole, streamed) = (whole.text().await, streamed.text().await);
            assert!(
                without_times(&whole) == without_times(&streamed),
                "{format} of {shape}"
            );
        }
    }
}

#[tokio::test]
async fn rows_are_bounded_by_the_deadline_alone_unless_the_request_says_otherwise() {
    let served = Served::new().await;
    let sql = format!("{NUMBERS} SELECT i FROM n");
    let rows = 150_000;
    let body = json!({"sql": sql, "params": [rows], "timeout_ms": 60_000});
    let lines = served.query("?format=ndjson", "", &body).await.text().await;
    assert_eq!(lines.lines().count(), rows + 2);
    let totals: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(totals["row_count"], rows);

    let cut = json!({"sql": sql, "params": [rows], "max_rows": 30_000});
    let lines = served.query("?format=ndjson", "", &cut).await.text().await;
    let totals: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!(totals["row_count"], 30_000);
    assert_eq!(totals["truncated"], true);

    let bounded = json!({"sql": sql, "params": [rows], "max_bytes": 100_000});
    let mut reply = served.query("?format=ndjson", "", &bounded).await;
    let (lines, is_whole) = reply.rest().await;
    assert!(is_whole);
    assert_eq!(last_error(&lines)["code"], "result_too_large");
    assert!(lines.len() < 102_000, "{}", lines.len());
}

/// The problem in the last line of NDJSON.
fn last_error(lines: &[u8]) -> Value {
    let text = std::str::from_utf8(lines).unwrap();
    assert!(text.ends_with('\n'));
    let mut line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    line["error"].take()
}

#[tokio::test]
async fn an_error_in_the_middle_ends_the_stream_where_everybody_sees_it() {
    let served = Served::new().await;
    let sql = format!("{NUMBERS} SELECT i, abs(-9223372036854775807 - (i = 50000)) AS a FROM n");
    let body = json!({"sql": sql, "params": [100_000], "timeout_ms": 60_000});

    let mut reply = served.query("?format=ndjson", "", &body).await;
    let request = reply.header("x-request-id").to_owned();
    let (lines, is_whole) = reply.rest().await;
    assert!(is_whole);
    let problem = last_error(&lines);
    assert_eq!(problem["code"], "sql_error");
    assert_eq!(problem["detail"], "SQL Error: integer overflow");
    assert_eq!(problem["request_id"], request.as_str());
    let lines = String::from_utf8(lines).unwrap();
    let rows: Vec<_> = lines.lines().skip(1).collect();
    let (_, rows) = rows.split_last().unwrap();
    assert!(rows.len() < 50_000);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(*row, format!("[{},9223372036854775807]", index + 1));
    }

    for form in ["json&stream=true", "csv", "ndjson&shape=objects"] {
        let parameters = format!("?format={form}");
        let mut reply = served.query(&parameters, "", &body).await;
        assert_eq!(reply.status, 200, "{form}");
        let (bytes, is_whole) = reply.rest().await;
        assert!(!is_whole, "{form} broke off");
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("1000") && !text.contains("50000"), "{form}");
    }
    let metrics = served.forge.get("/metrics").await.text;
    let counted = "dbforge_problems_total{code=\"sql_error\"} 4";
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn an_error_before_the_first_byte_is_an_ordinary_problem() {
    let served = Served::new().await;
    served.run("CREATE TABLE t (a UNIQUE)").await;
    for (body, status, code) in [
        (json!({"sql": "SELEC 1"}), 400, "sql_error"),
        (json!({"sql": "SELECT ?1"}), 422, "parameter_mismatch"),
        (
            json!({"sql": "DELETE FROM t", "readonly": true}),
            403,
            "read_only",
        ),
        (
            json!({"sql": "ATTACH 'x' AS y"}),
            403,
            "statement_not_allowed",
        ),
        (
            json!({"sql": format!("{ENDLESS} SELECT count(*) FROM n"), "timeout_ms": 50}),
            422,
            "statement_timeout",
        ),
        (
            json!({"sql": "SELECT 1", "max_rows": 0}),
            400,
            "invalid_request",
        ),
    ] {
        for format in ["ndjson", "csv", "json&stream=true"] {
            let parameters = format!("?format={format}");
            let problem = served.query(&parameters, "", &body).await.problem().await;
            assert_eq!(problem, (status, code.to_owned()), "{body} {format}");
        }
    }
}

#[tokio::test]
async fn a_deadline_in_the_middle_is_told_in_the_last_line() {
    let served = Served::new().await;
    let body = json!({"sql": format!("{ENDLESS} SELECT i FROM n"), "timeout_ms": 300});
    let mut reply = served.query("?format=ndjson", "", &body).await;
    let (lines, is_whole) = reply.rest().await;
    assert!(is_whole);
    assert_eq!(last_error(&lines)["code"], "statement_timeout");
    let mut reply = served.query("?format=csv", "", &body).await;
    let (_, is_whole) = reply.rest().await;
    assert!(!is_whole);
    served.poll_streams(0).await;
}

#[tokio::test]
async fn a_row_that_was_long_in_the_making_does_not_wait_for_the_next() {
    let served = Served::new().await;
    let sql = format!("{ENDLESS} SELECT i FROM n WHERE i = 300000 OR (i > 300000 AND ?1 IS NULL)");
    let body = json!({"sql": sql, "params": [1], "timeout_ms": 60_000});
    let mut reply = served.query("?format=ndjson", "", &body).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"[300000]\n") {
        seen.extend(reply.chunk().await.unwrap().unwrap());
    }
    assert_eq!(served.open_streams().await, 1);
    drop(reply);
    served.poll_streams(0).await;
}

/// More bytes than any socket takes, at once.
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
    assert_eq!((streamed.len(), refused.len()), (8, 42));
    for reply in refused {
        assert_eq!(reply.header("retry-after"), "1");
        assert_eq!(reply.problem().await, (503, "overloaded".to_owned()));
    }
    assert_eq!(served.open_streams().await, 8);
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
    let database = {
        let present = served.forge.control.present();
        present.state.find_database("shop").unwrap().id
    };
    let mut stalled = served.query("?format=ndjson", "", &torrent(400)).await;
    assert_eq!(stalled.status, 200);
    served.poll_streams(0).await;
    let data = &served.forge.workshop.data;
    let alone = data.take(database, Deadline::after(PATIENCE)).await;
    drop(alone.expect("nobody is behind the gate any more"));

    let (lines, is_whole) = stalled.rest().await;
    let says_so = is_whole && last_error(&lines)["code"] == "statement_timeout";
    assert!(says_so || !is_whole, "a stream that was cut looks whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_nothing_stops_is_ended_contained_and_seen() {
    let sql = Sql::new();
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
    let health = sql.plane.health();
    assert_eq!((health.stuck_threads, health.streams), (1, 0));
    let error = sql.ask("SELECT 1").await.unwrap_err();
    assert!(matches!(error, QueryError::Benched { .. }), "{error}");
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

#[tokio::test]
async fn what_a_write_returns_comes_in_the_same_formats_within_the_usual_bounds() {
    let served = Served::new().await;
    served
        .run("CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
        .await;
    let insert = json!({"sql": "INSERT INTO t (a) VALUES (NULL), ('') RETURNING id, a"});
    let lines = served
        .query("?format=ndjson", "", &insert)
        .await
        .text()
        .await;
    assert_eq!(
        without_times(&lines),
        "{\"columns\":[{\"name\":\"id\",\"type\":\"INTEGER\"},{\"name\":\"a\",\"type\":null}]}\n\
         [1,null]\n[2,\"\"]\n\
         {\"row_count\":2,\"rows_affected\":2,\"last_insert_rowid\":2,\"truncated\":false,\"elapsed_ms\":0}\n"
    );
    let detour = json!({"sql": "WITH x AS (SELECT 5) UPDATE t SET a = 7 WHERE id = 2 RETURNING a"});
    let text = served.query("?format=csv", "", &detour).await.text().await;
    assert_eq!(text, "a\r\n7\r\n");
    let silent = json!({"sql": "DELETE FROM t WHERE id = 1"});
    let text = served.query("?format=csv", "", &silent).await.text().await;
    assert_eq!(text, "", "no columns, no header");

    let many = json!({
        "sql": "INSERT INTO t (a) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
                LIMIT 10001) SELECT i FROM n RETURNING a"
    });
    let refused = served
        .query("?format=ndjson", "", &many)
        .await
        .problem()
        .await;
    assert_eq!(refused, (413, "result_too_large".to_owned()));
    let count = json!({"sql": "SELECT count(*) FROM t"});
    let text = served.query("?format=csv", "", &count).await.text().await;
    assert_eq!(text, "count(*)\r\n1\r\n", "nothing was kept");
}

#[tokio::test]
async fn the_format_is_what_accept_likes_best_unless_the_request_names_one() {
    let served = Served::new().await;
    let body = json!({"sql": "SELECT 1 AS a"});
    for (accept, parameters, content_type) in [
        ("", "", "application/json"),
        ("*/*", "", "application/json"),
        ("application/json, text/plain, */*", "", "application/json"),
        ("application/x-ndjson", "", "application/x-ndjson"),
        ("APPLICATION/X-NDJSON", "", "application/x-ndjson"),
        ("text/csv", "", "text/csv"),
        ("text/*", "", "text/csv"),
        ("application/*", "", "application/json"),
        (
            "text/csv;q=0.5, application/x-ndjson;q=0.6",
            "",
            "application/x-ndjson",
        ),
        ("text/csv, */*;q=0.1", "", "text/csv"),
        ("application/json;q=0, */*", "", "application/x-ndjson"),
        ("*; q=.2", "", "application/json"),
        ("text/html", "?format=csv", "text/csv"),
        ("text/csv", "?format=json", "application/json"),
        ("text/html, image/png;q=0.9", "", "406"),
        ("application/json;q=0", "", "406"),
        ("nonsense", "", "406"),
        ("", "?format=xml", "400"),
        ("", "?stream=perhaps", "400"),
        ("", "?formt=csv", "400"),
    ] {
        let header = match accept {
            "" => String::new(),
            accept => format!("accept: {accept}\r\n"),
        };
        let reply = served.query(parameters, &header, &body).await;
        match reply.status {
            200 => assert!(
                reply.header("content-type").starts_with(content_type),
                "{accept} {parameters}: {:?}",
                reply.headers
            ),
            status => {
                let (_, code) = reply.problem().await;
                assert_eq!(status.to_string(), content_type, "{accept} {parameters}");
                let expected = if status == 406 {
                    "not_acceptable"
                } else {
                    "invalid_request"
                };
                assert_eq!(code, expected, "{accept} {parameters}");
            }
        }
    }
    let path = "/v1/databases/shop/query?format=csv";
    assert_eq!(served.send("HEAD", path, "", "").await.status, 405);
}

#[tokio::test]
async fn the_history_answers_in_the_same_formats() {
    let served = Served::new().await;
    let body = json!({"sql": "SELECT sequence, kind FROM events WHERE sequence = 1"}).to_string();
    let ask = |parameters: &'static str, headers: &'static str| {
        let path = format!("/v1/audit/query{parameters}");
        let (served, body) = (&served, &body);
        async move { served.send("POST", &path, headers, body).await }
    };
    let csv = ask("", "accept: text/csv\r\n").await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(csv.text().await, "sequence,kind\r\n1,forge_founded\r\n");
    let ndjson = ask("?format=ndjson", "").await.text().await;
    assert_eq!(ndjson.lines().nth(1), Some("[1,\"forge_founded\"]"));
    let refused = ask("", "accept: text/html\r\n").await.problem().await;
    assert_eq!(refused, (406, "not_acceptable".to_owned()));
}

#[tokio::test]
async fn large_answers_are_compressed_for_whoever_asks_and_small_ones_are_not() {
    let served = Served::new().await;
    let large = json!({
        "sql": format!("{NUMBERS} SELECT i, 'some text that repeats' FROM n"),
        "params": [5_000],
    });
    for parameters in ["", "?stream=true", "?format=ndjson", "?format=csv"] {
        let plain = served.query(parameters, "", &large).await;
        assert_eq!(plain.header("content-encoding"), "");
        assert_eq!(plain.header("vary"), "accept-encoding");
        let plain = without_times(&plain.text().await);
        for encoding in ["gzip", "zstd"] {
            let asks = format!("accept-encoding: {encoding}\r\n");
            let mut reply = served.query(parameters, &asks, &large).await;
            assert_eq!(reply.header("content-encoding"), encoding);
            assert_eq!(reply.header("vary"), "accept-encoding");
            let (bytes, is_whole) = reply.rest().await;
            assert!(is_whole);
            assert!(bytes.len() * 3 < plain.len(), "{encoding}: {}", bytes.len());
            let decoded = without_times(&decoded(encoding, &bytes).await);
            assert!(decoded == plain, "{encoding} of {parameters}");
        }
    }
    let asks = "accept-encoding: gzip, zstd\r\n";
    let small = json!({"sql": "SELECT 1"});
    let reply = served.query("", asks, &small).await;
    assert_eq!(reply.header("content-encoding"), "");
    assert!(reply.headers.contains_key("content-length"));

    let export = served
        .send("GET", "/v1/audit/export", "", "")
        .await
        .text()
        .await;
    let mut reply = served.send("GET", "/v1/audit/export", asks, "").await;
    assert_eq!(reply.header("content-encoding"), "zstd");
    assert_eq!(decoded("zstd", &reply.rest().await.0).await, export);
    let events = served.send("GET", "/v1/events?limit=100", asks, "").await;
    assert_eq!(events.header("content-encoding"), "zstd");
    let watching = "accept: text/event-stream\r\naccept-encoding: gzip\r\n";
    let watched = served.send("GET", "/v1/events?after=0", watching, "").await;
    assert_eq!(watched.header("content-encoding"), "");
}

async fn decoded(encoding: &str, bytes: &[u8]) -> String {
    let (text, read) = decoded_so_far(encoding, bytes).await;
    read.unwrap();
    text
}

/// What can be read of bytes that may end early, and what came behind it.
async fn decoded_so_far(encoding: &str, bytes: &[u8]) -> (String, std::io::Result<()>) {
    let mut decoder: Box<dyn AsyncRead + Unpin> = match encoding {
        "gzip" => Box::new(GzipDecoder::new(bytes)),
        _ => Box::new(ZstdDecoder::new(bytes)),
    };
    let mut decoded = Vec::new();
    let end = loop {
        match decoder.read_buf(&mut decoded).await {
            Ok(0) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    (String::from_utf8(decoded).unwrap(), end)
}

#[tokio::test]
async fn first_rows_are_not_held_back_to_be_compressed_with_later_ones() {
    let served = Served::new().await;
    let sql = format!("{ENDLESS} SELECT i FROM n WHERE i = 300000");
    let body = json!({"sql": sql, "timeout_ms": 60_000});
    for encoding in ["gzip", "zstd"] {
        let asks = format!("accept-encoding: {encoding}\r\n");
        let mut reply = served.query("?format=csv", &asks, &body).await;
        let mut seen = Vec::new();
        while decoded_so_far(encoding, &seen).await.0 != "i\r\n300000\r\n" {
            seen.extend(reply.chunk().await.unwrap().unwrap());
        }
    }
    served.poll_streams(0).await;
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
