//! Which format an answer has, and whether it is compressed.
use crate::support::stream_client::{ENDLESS, NUMBERS, Served, without_times};
use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};

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
