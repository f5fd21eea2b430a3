//! Single values as raw bytes.
use super::{data, get, rows, run, shop, write};
use crate::support::http::{Answer, HttpForge, ROOT};

async fn put(forge: &HttpForge, path: &str, kind: &str, bytes: &[u8]) -> Answer {
    let ask = forge.ask("PUT", &rows(path)).token(ROOT);
    ask.header("content-type", kind).bytes(bytes).await
}

async fn read(forge: &HttpForge, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut ask = forge.ask("GET", &rows(path)).token(ROOT);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.empty().await
}

const BYTES: &str = "application/octet-stream";

#[tokio::test]
async fn a_value_is_read_and_written_as_bytes() {
    let forge = shop().await;
    for (path, kind, bytes, read_as) in [
        ("vals/1/x", BYTES, &b"abc"[..], "application/octet-stream"),
        (
            "vals/1/x",
            "text/plain",
            b"text",
            "text/plain; charset=utf-8",
        ),
        (
            "vals/1/x",
            "application/json; charset=utf-8",
            b"{}",
            "text/plain; charset=utf-8",
        ),
        ("vals/1/x", BYTES, b"", "application/octet-stream"),
        (
            "items/1,2/sku",
            "text/plain",
            b"sku",
            "text/plain; charset=utf-8",
        ),
    ] {
        let written = put(&forge, path, kind, bytes).await;
        assert_eq!(written.status, 204, "{path}: {}", written.text);
        let value = read(&forge, path, &[]).await;
        assert_eq!(value.text.as_bytes(), bytes, "{path}");
        assert_eq!(value.header("content-type"), read_as);
        assert_eq!(value.header("content-length"), bytes.len().to_string());
        let etag = value.header("etag").to_owned();
        assert_eq!(
            read(&forge, path, &[("if-none-match", &etag)]).await.status,
            304
        );
    }
    assert_eq!(read(&forge, "vals/4/x", &[]).await.status, 204);
    assert_eq!(read(&forge, "vals/10/x", &[]).await.text, "1.5");
    assert_eq!(read(&forge, "made/1/twice", &[]).await.text, "4");
    for (path, status) in [
        ("vals/99/x", 404),
        ("vals/1/nope", 400),
        ("nope/1/x", 404),
        ("grown/1/name", 400),
        ("made/1/twice", 400),
    ] {
        let refused = put(&forge, path, BYTES, b"x").await;
        assert_eq!(refused.status, status, "{path}: {}", refused.text);
    }
    assert!(
        forge.get("/v1/uploads").await.json()["data"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn some_bytes_of_a_value_are_read_by_range() {
    let forge = shop().await;
    put(&forge, "vals/1/x", BYTES, b"0123456789").await;
    put(&forge, "items/1,1/sku", "text/plain", b"0123456789").await;
    for path in ["vals/1/x", "items/1,1/sku"] {
        for (range, status, bytes, told) in [
            ("bytes=2-4", 206, "234", "bytes 2-4/10"),
            ("bytes=8-", 206, "89", "bytes 8-9/10"),
            ("bytes=-3", 206, "789", "bytes 7-9/10"),
            ("bytes=0-99", 206, "0123456789", "bytes 0-9/10"),
            ("bytes=10-", 416, "", "bytes */10"),
            ("bytes=1-2,4-5", 200, "0123456789", ""),
        ] {
            let part = read(&forge, path, &[("range", range)]).await;
            assert_eq!(part.status, status, "{path} {range}: {}", part.text);
            if status != 416 {
                assert_eq!(part.text, bytes, "{path} {range}");
            }
            if !told.is_empty() {
                assert_eq!(part.header("content-range"), told, "{path} {range}");
            }
        }
    }
    let other = [("range", "bytes=0-0"), ("if-range", "\"v0\"")];
    assert_eq!(read(&forge, "vals/1/x", &other).await.status, 200);
}

#[tokio::test]
async fn a_value_is_written_only_if_it_is_what_its_mark_says() {
    let forge = shop().await;
    let etag = read(&forge, "users/1/name", &[])
        .await
        .header("etag")
        .to_owned();
    let put = async |mark: &str| {
        let ask = forge.ask("PUT", &rows("users/1/name")).token(ROOT);
        let ask = ask
            .header("if-match", mark)
            .header("content-type", "text/plain");
        ask.body("Anna").await
    };
    assert_eq!(put(&etag).await.status, 204);
    put(&etag).await.problem(412, "precondition_failed");
    assert_eq!(
        data(&forge, "users/1?select=name").await,
        r#"{"name":"Anna"}"#
    );
}

/// Text, so that an answer of the tests can have it.
fn long(size: u32) -> Vec<u8> {
    (0..size).map(|place| b'a' + (place % 23) as u8).collect()
}

async fn files(forge: &HttpForge) {
    run(
        forge,
        "CREATE TABLE files (id INTEGER PRIMARY KEY, name TEXT, content BLOB)",
    )
    .await;
    run(forge, "INSERT INTO files (name) VALUES ('a'), ('b')").await;
}

#[tokio::test]
async fn a_long_value_is_written_and_read_in_pieces() {
    let forge = shop().await;
    files(&forge).await;
    let long = long(9_000_001);
    for path in ["files/1/content", "items/1,1/sku", "FILES/2/Content"] {
        let kind = match path.contains("ontent") {
            true => BYTES,
            false => "text/plain",
        };
        let written = put(&forge, path, kind, &long).await;
        assert_eq!(written.status, 204, "{path}: {}", written.text);
        let value = read(&forge, path, &[]).await;
        assert!(value.text.as_bytes() == long, "{path}");
        let part = read(&forge, path, &[("range", "bytes=5000000-5000009")]).await;
        assert_eq!(part.text.as_bytes(), &long[5_000_000..5_000_010], "{path}");
    }
    assert_eq!(data(&forge, "files/1?select=name").await, r#"{"name":"a"}"#);
    put(&forge, "files/9/content", BYTES, &long)
        .await
        .problem(404, "row_not_found");
}

#[tokio::test]
async fn values_beside_a_generated_column_are_read_as_all_others() {
    let forge = shop().await;
    let made = "CREATE TABLE beside (id INTEGER PRIMARY KEY, x BLOB, l AS (length(x)) STORED)";
    run(&forge, made).await;
    run(&forge, "INSERT INTO beside (id) VALUES (1)").await;
    for value in [b"ab".to_vec(), long(5_000_000)] {
        let written = put(&forge, "beside/1/x", BYTES, &value).await;
        assert_eq!(written.status, 204, "{}", written.text);
        let read_back = read(&forge, "beside/1/x", &[]).await;
        assert!(read_back.text.as_bytes() == value, "{}", value.len());
        let length = read(&forge, "beside/1/l", &[]).await;
        assert_eq!(length.text, value.len().to_string());
    }
}

#[tokio::test]
async fn a_value_that_comes_compressed_is_refused() {
    let forge = shop().await;
    let ask = forge.ask("PUT", &rows("vals/1/x")).token(ROOT);
    let packed = ask.header("content-encoding", "gzip").bytes(b"\x1f\x8b");
    packed.await.problem(415, "unsupported_media_type");
}

#[tokio::test]
async fn what_follows_from_a_long_value_follows_from_all_of_it() {
    let forge = shop().await;
    for sql in [
        "CREATE TABLE kept (id INTEGER PRIMARY KEY, x BLOB CHECK (substr(x, 1, 1) <> x'62'))",
        "CREATE TABLE sizes (bytes, first)",
        "CREATE TRIGGER told AFTER UPDATE ON kept BEGIN \
         INSERT INTO sizes VALUES (octet_length(new.x), hex(substr(new.x, -1))); END",
        "CREATE INDEX by_end ON kept (substr(x, -2))",
        "INSERT INTO kept VALUES (1, x'00')",
    ] {
        run(&forge, sql).await;
    }
    let value = long(5_000_000);
    let written = put(&forge, "kept/1/x", BYTES, &value).await;
    assert_eq!(written.status, 204, "{}", written.text);
    let told = data(&forge, "sizes").await;
    let last = value[value.len() - 1];
    assert_eq!(
        told,
        format!(r#"[{{"bytes":5000000,"first":"{last:02X}"}}]"#)
    );
    // What a rule forbids leaves what was there.
    let refused = put(&forge, "kept/1/x", BYTES, &vec![b'b'; 5_000_000]).await;
    let says = refused.problem(409, "constraint_violation");
    assert!(says.contains("CHECK constraint failed"), "{says}");
    assert!(read(&forge, "kept/1/x", &[]).await.text.as_bytes() == value);
    let uploads = forge.get("/v1/uploads").await.json();
    assert!(uploads["data"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_sees_a_long_value_whole_as_it_was_or_as_it_is() {
    let forge = shop().await;
    files(&forge).await;
    let size = 24_000_000;
    for (old, new) in [(b'a', b'b'), (b'b', b'c'), (b'c', b'd')] {
        let before = put(&forge, "files/1/content", BYTES, &vec![old; size]).await;
        assert_eq!(before.status, 204, "{}", before.text);
        let bytes = vec![new; size];
        let mut writing = std::pin::pin!(put(&forge, "files/1/content", BYTES, &bytes));
        let seen = async || {
            let sql = "SELECT octet_length(content), hex(substr(content, 1, 1)), \
                       hex(substr(content, 12000000, 1)), hex(substr(content, -1)) \
                       FROM files WHERE id = 1";
            let body = serde_json::json!({"sql": sql}).to_string();
            let answer = forge.post("/v1/databases/shop/query", &body).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            answer.json()["rows"][0].clone()
        };
        let whole = |byte: u8| {
            let byte = format!("{byte:02X}");
            serde_json::json!([size, byte, byte, byte])
        };
        loop {
            tokio::select! {
                written = &mut writing => {
                    assert_eq!(written.status, 204, "{}", written.text);
                    break;
                }
                seen = seen() => {
                    assert!(seen == whole(old) || seen == whole(new), "{seen}");
                }
            }
        }
        assert_eq!(seen().await, whole(new));
    }
}

#[tokio::test]
async fn a_row_with_a_value_that_is_too_long_for_sql_names_it_and_the_way_to_read_it() {
    let forge = shop().await;
    files(&forge).await;
    let long = vec![b'x'; (64 << 20) + 1];
    let written = put(&forge, "files/2/content", BYTES, &long).await;
    assert_eq!(written.status, 204, "{}", written.text);
    for path in ["files", "files/2", "files?name=eq.b"] {
        let refused = get(&forge, path).await;
        let says = refused.problem(413, "result_too_large");
        assert!(says.contains("`content` of the row `2`"), "{says}");
        assert!(says.contains("tables/files/rows/2/content"), "{says}");
    }
    assert_eq!(
        data(&forge, "files?select=id,name").await,
        r#"[{"id":1,"name":"a"},{"id":2,"name":"b"}]"#
    );
    let tail = read(&forge, "files/2/content", &[("range", "bytes=-3")]).await;
    assert_eq!(
        (tail.text.as_str(), tail.header("content-range")),
        ("xxx", "bytes 67108862-67108864/67108865")
    );
    // Text as well, though SQL handles no such value.
    let as_text = put(&forge, "files/1/content", "text/plain", &long).await;
    assert_eq!(as_text.status, 204, "{}", as_text.text);
    let tail = read(&forge, "files/1/content", &[("range", "bytes=-3")]).await;
    assert_eq!(
        (tail.text.as_str(), tail.header("content-type")),
        ("xxx", "text/plain; charset=utf-8")
    );
    let refused = write(&forge, "PATCH", "files/2", "", r#"{"name":"c"}"#).await;
    let says = refused.problem(413, "result_too_large");
    assert!(says.contains("tables/files/rows/2/content"), "{says}");
    let changed = write(&forge, "PATCH", "files/2", "", r#"{"content":null}"#).await;
    assert_eq!(changed.text, r#"{"rows_affected":1}"#);
}
