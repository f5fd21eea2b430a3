//! What a request says is heeded or refused, and costs what it is worth.
use super::{PLAIN, data, get, rows, run, shop, write};
use crate::support::http::{HttpForge, ROOT};
use percent_encoding::utf8_percent_encode;
use serde_json::json;

async fn with_view() -> HttpForge {
    let forge = shop().await;
    for sql in [
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a)",
        "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)",
        "CREATE VIEW iv AS SELECT id, a FROM t",
        "CREATE TRIGGER iv_i INSTEAD OF INSERT ON iv BEGIN \
         INSERT INTO t VALUES (new.id, new.a); INSERT INTO t VALUES (new.id + 100, new.a); END",
        "CREATE TRIGGER iv_u INSTEAD OF UPDATE ON iv BEGIN \
         UPDATE t SET a = new.a WHERE id = old.id; END",
        "CREATE TRIGGER iv_d INSTEAD OF DELETE ON iv BEGIN DELETE FROM t WHERE id = old.id; END",
    ] {
        run(&forge, sql).await;
    }
    forge
}

#[tokio::test]
async fn what_triggers_of_a_view_take_is_counted_and_bounded() {
    let forge = with_view().await;
    let all = r#"[{"a":1,"id":1},{"a":2,"id":2},{"a":3,"id":3}]"#;
    for (method, query, body) in [
        ("DELETE", "iv?id=gt.0", ""),
        ("PATCH", "iv?id=gt.0", r#"{"a":9}"#),
        ("POST", "iv", r#"[{"id":7},{"id":8}]"#),
        ("POST", "iv?select=id", r#"[{"id":7},{"id":8}]"#),
    ] {
        for prefer in ["", "return=representation,", "return=minimal,"] {
            let prefer = format!("{prefer}max-affected=1,handling=strict");
            let refused = write(&forge, method, query, &prefer, body).await;
            let says = refused.problem(400, "invalid_request");
            assert!(says.contains("would change"), "{method}: {says}");
            let query = query.replacen("iv", "/v1/databases/shop/rest/iv", 1);
            let path = utf8_percent_encode(&query, PLAIN).to_string();
            let ask = forge.ask(method, &path).token(ROOT);
            let refused = ask.header("prefer", &prefer).body(body).await;
            assert_eq!(refused.status, 400, "{method}: {}", refused.text);
            assert_eq!(data(&forge, "t").await, all, "{method}");
        }
    }
    for (method, query, body, affected) in [
        ("POST", "iv", r#"{"id":7,"a":7}"#, 1),
        ("POST", "iv", r#"[{"id":8},{"id":9,"a":1}]"#, 2),
        ("PATCH", "iv?id=lt.3", r#"{"a":5}"#, 2),
        ("DELETE", "iv?id=in.(7,8,9)", "", 3),
        ("DELETE", "iv?id=eq.4711", "", 0),
    ] {
        let done = write(&forge, method, query, "max-affected=3", body).await;
        assert_eq!(done.json()["rows_affected"], affected, "{}", done.text);
        assert_eq!(done.header("preference-applied"), "max-affected=3");
    }
    run(
        &forge,
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 12000) \
         INSERT INTO t SELECT i + 1000, 0 FROM n",
    )
    .await;
    let many = write(&forge, "DELETE", "iv?id=gt.1000", "", "").await;
    assert_eq!(many.json()["rows_affected"], 12_000, "{}", many.text);
}

#[tokio::test]
async fn bytes_that_are_no_text_are_refused_in_every_parameter() {
    let forge = shop().await;
    forge
        .post(&rows("tags"), "{\"id\":9,\"label\":\"\u{fffd}\"}")
        .await;
    let base = "/v1/databases/shop";
    for (method, path) in [
        ("GET", "/tables/tags/rows?label=eq.%FF"),
        ("DELETE", "/tables/tags/rows?label=eq.%FF"),
        ("PATCH", "/tables/tags/rows?%C3=eq.1"),
        ("DELETE", "/rest/tags?label=eq.%C3&x=eq.%A9"),
        ("GET", "/schema?format=%FF"),
    ] {
        let ask = forge.ask(method, &format!("{base}{path}")).token(ROOT);
        let answer = ask.body("{}").await;
        assert_eq!(answer.status, 400, "{path}: {}", answer.text);
        assert!(answer.text.contains("UTF-8"), "{path}: {}", answer.text);
    }
    assert_eq!(
        data(&forge, "tags?id=eq.9&select=id").await,
        r#"[{"id":9}]"#
    );
    assert_eq!(
        data(&forge, "tags?label=eq.\u{fffd}&select=id").await,
        r#"[{"id":9}]"#
    );
}

#[tokio::test]
async fn a_row_of_very_many_names_is_refused() {
    let forge = shop().await;
    let names = (0..30_000).map(|number| format!("\"c{number}\":1"));
    let row = format!("{{{}}}", names.collect::<Vec<_>>().join(","));
    let runs = (0..900).map(|run| {
        let names = (0..60).map(|name| format!("\"c{}\":1", run * 60 + name));
        format!("{{{}}}", names.collect::<Vec<_>>().join(","))
    });
    let runs = format!("[{}]", runs.collect::<Vec<_>>().join(","));
    for (method, query, prefer, body) in [
        ("POST", "tags", "", row.clone()),
        ("POST", "tags", "", format!("[{row},{row}]")),
        ("POST", "tags", "missing=null", runs),
        ("PATCH", "tags?id=eq.1", "", row),
    ] {
        let refused = write(&forge, method, query, prefer, &body).await;
        refused.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_new_row_is_found_where_its_location_says() {
    let forge = shop().await;
    run(&forge, "CREATE TABLE words (w TEXT PRIMARY KEY, n)").await;
    run(&forge, "CREATE TABLE plain (a)").await;
    run(
        &forge,
        "CREATE TABLE reals (r REAL PRIMARY KEY) WITHOUT ROWID",
    )
    .await;
    run(
        &forge,
        "CREATE TRIGGER tags_log AFTER INSERT ON tags BEGIN INSERT INTO plain VALUES (new.id); END",
    )
    .await;
    for (table, row, key) in [
        ("tags", r#"{"label":"x"}"#, "3"),
        ("tags", r#"{"id":null,"label":"x"}"#, "4"),
        ("tags", r#"{"id":70}"#, "70"),
        ("tags", r#"{"ID":"71"}"#, "71"),
        ("tags", r#"{"rowid":80}"#, "80"),
        ("tags", "{}", "81"),
        ("words", r#"{"w":"a,b ü"}"#, "a%2Cb%20%C3%BC"),
        ("words", r#"{"w":7}"#, "7"),
        ("words", r#"{"n":1}"#, ""),
        ("plain", r#"{"a":1}"#, "7"),
        ("reals", r#"{"r":2}"#, "2"),
        ("items", r#"{"order_id":"03","line":9}"#, "3,9"),
        ("items", r#"{"order_id":3,"line":10}"#, "3,10"),
    ] {
        let made = forge.post(&rows(table), row).await;
        assert_eq!(made.status, 201, "{table} {row}: {}", made.text);
        let location = made.header("location").to_owned();
        let place = format!("/v1/databases/shop/tables/{table}/rows/{key}");
        assert_eq!(location, place, "{table} {row}");
        if !key.is_empty() {
            let found = forge.get(&location).await;
            assert_eq!(found.status, 200, "{location}: {}", found.text);
        }
    }
}

#[tokio::test]
async fn parameters_that_a_method_does_not_heed_are_refused() {
    let forge = shop().await;
    for (method, query) in [
        ("POST", "tags?label=eq.1"),
        ("POST", "tags?limit=1"),
        ("POST", "tags?order=id"),
        ("POST", "tags?offset=1"),
        ("POST", "tags?cursor=x"),
        ("POST", "tags?all=true"),
        ("PATCH", "tags?id=eq.1&on_conflict=zz"),
        ("PATCH", "tags?id=eq.1&columns=qq"),
        ("PATCH", "tags/1?columns=qq"),
        ("DELETE", "tags?id=eq.1&columns=id"),
        ("DELETE", "tags?id=eq.1&on_conflict=id"),
        ("GET", "tags?columns=id"),
        ("GET", "tags?on_conflict=id"),
        ("GET", "tags?all=true"),
        ("GET", "tags/1?all=true"),
    ] {
        let refused = write(&forge, method, query, "", r#"{"label":"no"}"#).await;
        refused.problem(400, "invalid_request");
    }
    assert_eq!(data(&forge, "tags?label=eq.no").await, "[]");
    let path = "tags?id=eq.1&columns=label";
    let body = r#"{"label":"yes","id":5}"#;
    let changed = write(&forge, "PATCH", path, "", body).await;
    assert_eq!(changed.json()["rows_affected"], 1, "{}", changed.text);
    for body in ["", " "] {
        let empty = forge.post(&rows("tags"), body).await;
        assert_eq!(empty.status, 400, "{}", empty.text);
    }
}

#[tokio::test]
async fn what_is_wrong_is_told_in_words_of_this_dialect() {
    let forge = shop().await;
    for (query, says) in [
        ("users?select=id,id", "`other:id`"),
        ("users?id=eq(foo).{1}", "`(any)` or `(all)`"),
        ("users?id=in(any).(1)", "in.(1,2"),
        ("users?or=(id.in(1,2),id.eq.1)", "in.(1,2"),
    ] {
        let refused = get(&forge, query).await;
        assert_eq!(refused.status, 400, "{query}: {}", refused.text);
        assert!(refused.text.contains(says), "{query}: {}", refused.text);
        assert!(!refused.text.contains("did you mean"), "{query}");
    }
    let rest = "/v1/databases/shop/rest/users";
    for (name, value, status) in [
        ("range", "-5", 400),
        ("range", "abc", 400),
        ("range", "0-x", 400),
        ("range", "5-2", 416),
        ("range", "bytes=0-99", 200),
        ("range", "items=0-1", 200),
        ("accept", "*/*;q=0", 406),
        ("accept", "text/csv;q=0.0, */*", 200),
    ] {
        let ask = forge.ask("GET", rest).token(ROOT);
        let answer = ask.header(name, value).body("").await;
        assert_eq!(answer.status, status, "{name}: {value}: {}", answer.text);
    }
}

#[tokio::test]
async fn rows_of_an_rtree_are_read_and_written() {
    let forge = shop().await;
    run(&forge, "CREATE VIRTUAL TABLE r USING rtree(id, x0, x1)").await;
    for (method, query, body, status) in [
        ("POST", "r", r#"{"id":1,"x0":1,"x1":2}"#, 201),
        (
            "POST",
            "r",
            r#"[{"id":2,"x0":3,"x1":4},{"x0":5,"x1":6}]"#,
            201,
        ),
        ("PATCH", "r?id=eq.2", r#"{"x1":7}"#, 200),
        ("DELETE", "r?id=eq.1", "", 200),
    ] {
        let done = write(&forge, method, query, "", body).await;
        assert_eq!(done.status, status, "{method}: {}", done.text);
    }
    assert_eq!(
        data(&forge, "r?x1=gte.7&select=id,x1").await,
        r#"[{"id":2,"x1":7.0}]"#
    );
    let export = forge
        .get("/v1/databases/shop/tables/r/export?format=csv")
        .await;
    for line in ["id,x0,x1\r\n", "\r\n2,3.0,7.0\r\n", "\r\n3,5.0,6.0\r\n"] {
        assert!(export.text.contains(line), "{}", export.text);
    }
    let schema = forge.get("/v1/databases/shop/schema").await;
    assert!(!schema.text.contains("not authorized"), "{}", schema.text);
}

#[tokio::test]
async fn a_value_that_is_too_long_for_sql_is_told_where_to_get_its_bytes() {
    let forge = shop().await;
    let sql = "SELECT zeroblob(70000000)";
    let body = json!({ "sql": sql }).to_string();
    let answer = forge.post("/v1/databases/shop/query", &body).await;
    answer.problem(413, "result_too_large");
    assert!(
        answer.text.contains("/tables/{t}/rows/{key}/{column}"),
        "{}",
        answer.text
    );
}

/// SQLite takes `1` and a NUL for the number 1.
#[tokio::test]
async fn a_number_with_a_nul_byte_names_no_row() {
    let forge = shop().await;
    for path in [
        "users?id=eq.1%00x",
        "users?id=in.(7,1%00)",
        "users?age=gte(any).{30%00}",
        "users/1%00",
        "items/1%00,1",
    ] {
        let refused = write(&forge, "DELETE", path, "", "").await;
        let says = refused.problem(400, "invalid_request");
        assert!(says.contains("NUL"), "{path}: {says}");
    }
    assert_eq!(
        data(&forge, "users?select=count()").await,
        r#"[{"count":3}]"#
    );
}
