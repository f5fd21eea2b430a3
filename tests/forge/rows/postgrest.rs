//! The routes for PostgREST's clients: its headers, statuses and errors.
use super::shop;
use crate::support::http::{Answer, HttpForge, ROOT};

async fn rest(
    forge: &HttpForge,
    method: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let path = format!("/v1/databases/shop/rest/{query}");
    let mut ask = forge.ask(method, &path).token(ROOT);
    for (name, value) in headers {
        ask = ask.header(name, value);
    }
    ask.body(body).await
}

const OBJECT: (&str, &str) = ("accept", "application/vnd.pgrst.object+json");
const ROWS: (&str, &str) = ("prefer", "return=representation");
const COUNT: (&str, &str) = ("prefer", "count=exact");

#[tokio::test]
async fn rows_come_bare_with_their_range() {
    let forge = shop().await;
    for (query, headers, status, range, body) in [
        (
            "users?select=id",
            &[][..],
            200,
            "0-2/*",
            r#"[{"id":1},{"id":2},{"id":3}]"#,
        ),
        (
            "users?select=id",
            &[COUNT],
            200,
            "0-2/3",
            r#"[{"id":1},{"id":2},{"id":3}]"#,
        ),
        (
            "users?select=id&limit=1&offset=1",
            &[COUNT],
            206,
            "1-1/3",
            r#"[{"id":2}]"#,
        ),
        (
            "users?select=id",
            &[("range", "1-1"), ("range-unit", "items")],
            200,
            "1-1/*",
            r#"[{"id":2}]"#,
        ),
        (
            "users?select=id",
            &[("range", "2-")],
            200,
            "2-2/*",
            r#"[{"id":3}]"#,
        ),
        ("users?select=id&id=eq.9", &[COUNT], 200, "*/0", "[]"),
        ("users?select=id&id=eq.9", &[], 200, "*/*", "[]"),
        (
            "users?select=id&id=eq.1",
            &[OBJECT],
            200,
            "0-0/*",
            r#"{"id":1}"#,
        ),
        (
            "users?select=id,age&id=eq.3",
            &[("accept", "application/vnd.pgrst.object+json;nulls=stripped")],
            200,
            "0-0/*",
            r#"{"id":3}"#,
        ),
        (
            "users?select=id,name&id=eq.1",
            &[("accept", "text/csv")],
            200,
            "0-0/*",
            "id,name\r\n1,Ann\r\n",
        ),
    ] {
        let answer = rest(&forge, "GET", query, headers, "").await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text);
        assert_eq!(answer.header("content-range"), range, "{query}");
        assert_eq!(answer.text, body, "{query}");
    }
    let head = rest(&forge, "HEAD", "users?select=id", &[COUNT], "").await;
    assert_eq!(
        (head.header("content-range"), head.text.as_str()),
        ("0-2/3", "")
    );
}

#[tokio::test]
async fn writes_answer_nothing_unless_rows_are_wanted() {
    let forge = shop().await;
    for (method, query, headers, body, status, answer) in [
        ("POST", "users", &[][..], r#"{"name":"R1"}"#, 201, ""),
        (
            "POST",
            "users?select=name",
            &[ROWS],
            r#"[{"name":"R2"}]"#,
            201,
            r#"[{"name":"R2"}]"#,
        ),
        (
            "POST",
            "users?select=name",
            &[ROWS, OBJECT],
            r#"{"name":"R3"}"#,
            201,
            r#"{"name":"R3"}"#,
        ),
        ("PATCH", "users?name=like.R*", &[], r#"{"age":7}"#, 204, ""),
        (
            "PATCH",
            "users?name=eq.R1&select=age",
            &[ROWS],
            r#"{"age":8}"#,
            200,
            r#"[{"age":8}]"#,
        ),
        (
            "PATCH",
            "users?name=eq.nobody",
            &[ROWS],
            r#"{"age":8}"#,
            200,
            "[]",
        ),
        ("DELETE", "users?name=eq.R1", &[], "", 204, ""),
        (
            "DELETE",
            "users?name=like.R*&select=name",
            &[ROWS],
            "",
            200,
            r#"[{"name":"R2"},{"name":"R3"}]"#,
        ),
    ] {
        let written = rest(&forge, method, query, headers, body).await;
        assert_eq!(written.status, status, "{method} {query}: {}", written.text);
        assert_eq!(written.text, answer, "{method} {query}");
    }
    let counted = rest(&forge, "PATCH", "users?id=lt.3", &[COUNT], r#"{"age":1}"#).await;
    assert_eq!(counted.header("content-range"), "0-1/2");
    let headers = [("prefer", "return=headers-only")];
    let located = rest(
        &forge,
        "POST",
        "items",
        &headers,
        r#"{"order_id":3,"line":4}"#,
    )
    .await;
    assert_eq!(
        located.header("location"),
        "/v1/databases/shop/rest/items?order%5Fid=eq.3&line=eq.4"
    );
}

#[tokio::test]
async fn errors_have_the_members_that_its_clients_read() {
    let forge = shop().await;
    for (method, query, headers, body, status, code) in [
        ("GET", "users?age=24", &[][..], "", 400, "PGRST100"),
        ("GET", "users?nmae=eq.x", &[], "", 400, "42703"),
        ("GET", "nowhere", &[], "", 404, "PGRST205"),
        ("GET", "users?select=*,vals(*)", &[], "", 400, "PGRST200"),
        ("GET", "users?select=*,orders(*)", &[], "", 400, "PGRST201"),
        ("GET", "users?offset=9", &[COUNT], "", 416, "PGRST103"),
        ("GET", "users", &[OBJECT], "", 406, "PGRST116"),
        ("GET", "users?id=eq.9", &[OBJECT], "", 406, "PGRST116"),
        (
            "POST",
            "users",
            &[],
            r#"{"name":"x","email":"ann@x"}"#,
            409,
            "23505",
        ),
        ("POST", "orders", &[], r#"{"user_id":99}"#, 409, "23503"),
        ("POST", "users", &[], r#"{"age":1}"#, 409, "23502"),
        ("PATCH", "users", &[], r#"{"age":1}"#, 400, "21000"),
        (
            "PATCH",
            "users?id=gt.0",
            &[("prefer", "handling=strict,max-affected=1")],
            r#"{"age":1}"#,
            400,
            "PGRST124",
        ),
        (
            "PATCH",
            "users?id=gt.0",
            &[ROWS, OBJECT],
            r#"{"age":1}"#,
            406,
            "PGRST116",
        ),
        ("POST", "grown", &[], r#"{"id":1}"#, 405, "55000"),
        (
            "GET",
            "users",
            &[("accept", "image/png")],
            "",
            406,
            "not_acceptable",
        ),
    ] {
        let refused = rest(&forge, method, query, headers, body).await;
        let problem = refused.json();
        assert_eq!(refused.status, status, "{query}: {problem}");
        assert_eq!(problem["code"], code, "{query}");
        assert_eq!(problem["message"], problem["detail"]);
        assert!(problem["type"].as_str().unwrap().starts_with("/problems/"));
    }
    let none = rest(&forge, "GET", "users?id=eq.9", &[OBJECT], "").await;
    assert_eq!(none.json()["details"], "The result contains 0 rows");
    // A change of several rows where one was to come back was taken back.
    let ages = rest(&forge, "GET", "users?age=eq.1", &[], "").await;
    assert_eq!(ages.text, "[]");
}
