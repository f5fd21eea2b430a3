//! Results of any size: NDJSON, CSV and JSON as they are read, over real sockets.
mod stalled;

use crate::support::stream_client::{ENDLESS, NUMBERS, Served, last_error, without_times};
use serde_json::{Value, json};

const EVERY_TYPE: &str = "SELECT 9007199254740993 AS big, NULL AS none, '' AS empty, \
    'say \"hi\", ä' || char(13, 10) AS text, x'00ff' AS blob, x'' AS hollow, 1e999 AS up, \
    -1e999 AS down, 1.0 AS one, 7 AS \"a,b\", 7 AS \"b,a\", 'plain' AS plain";

#[tokio::test]
async fn every_type_is_written_as_its_format_has_it() {
    let served = Served::new().await;
    let text = r#""say \"hi\", ä\r\n""#;
    let values = format!(
        r#"9007199254740993,null,"",{text},{{"$base64":"AP8="}},{{"$base64":""}},{{"$real":"Infinity"}},{{"$real":"-Infinity"}},1.0,7,7,"plain""#
    );
    let names = "big none empty text blob hollow up down one a,b b,a plain";
    let columns: Vec<_> = names
        .split(' ')
        .map(|it| format!(r#"{{"name":"{it}","type":null}}"#))
        .collect();
    let columns = format!(r#""columns":[{}]"#, columns.join(","));
    let totals = r#""row_count":1,"rows_affected":0,"last_insert_rowid":null,"truncated":false,"elapsed_ms":0"#;
    let object = format!(
        r#"{{"big":9007199254740993,"none":null,"empty":"","text":{text},"blob":{{"$base64":"AP8="}},"hollow":{{"$base64":""}},"up":{{"$real":"Infinity"}},"down":{{"$real":"-Infinity"}},"one":1.0,"a,b":7,"b,a":7,"plain":"plain"}}"#
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
            "big,none,empty,text,blob,hollow,up,down,one,\"a,b\",\"b,a\",plain\r\n\
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
    let unbounded = json!({"sql": sql, "params": [20_000], "timeout_ms": 60_000});
    let mut body = unbounded.clone();
    body["max_rows"] = json!(100_000);
    body["max_bytes"] = json!(60_000_000);
    for format in ["json", "ndjson", "csv"] {
        for shape in ["rows", "objects"] {
            let whole = format!("?format={format}&shape={shape}&stream=false");
            let whole = served.query(&whole, "", &body).await;
            assert!(whole.headers.contains_key("content-length"));
            let streamed = format!("?format={format}&shape={shape}&stream=true");
            let streamed = served.query(&streamed, "", &unbounded).await;
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
