//! Inserts, upserts, changes and deletes.
use super::{data, get, rows, run, shop, write};
use crate::support::http::ROOT;

#[tokio::test]
async fn rows_are_inserted_one_or_many_with_the_columns_that_they_name() {
    let forge = shop().await;
    let one = forge
        .post(&rows("users"), r#"{"name":"Dan","age":40}"#)
        .await;
    assert_eq!(
        (one.status.as_u16(), one.text.as_str()),
        (201, r#"{"rows_affected":1}"#)
    );
    assert_eq!(
        one.header("location"),
        "/v1/databases/shop/tables/users/rows/4"
    );
    let composite = forge
        .post(&rows("items"), r#"{"order_id":3,"line":7}"#)
        .await;
    assert_eq!(
        composite.header("location"),
        "/v1/databases/shop/tables/items/rows/3,7"
    );

    let many = r#"[{"name":"E1"},{"age":3,"name":"E2"},{"name":"E3","active":0},{"active":null,"name":"E4"}]"#;
    let inserted = write(
        &forge,
        "POST",
        "users?select=name,age,active",
        "return=representation",
        many,
    )
    .await;
    assert_eq!(
        inserted.text,
        r#"{"rows_affected":4,"data":[{"name":"E1","age":null,"active":1},{"name":"E2","age":3,"active":1},{"name":"E3","age":null,"active":0},{"name":"E4","age":null,"active":null}]}"#
    );
    for (query, prefer, answer) in [
        (
            "users?columns=name,active&select=active",
            "return=representation",
            r#"[{"active":null}]"#,
        ),
        (
            "users?columns=name,active&select=active",
            "return=representation,missing=default",
            r#"[{"active":1}]"#,
        ),
        (
            "users?select=active,age",
            "return=representation,missing=null",
            r#"[{"active":1,"age":9}]"#,
        ),
    ] {
        let body = r#"[{"name":"N","age":9}]"#;
        let inserted = write(&forge, "POST", query, prefer, body).await;
        assert_eq!(
            inserted.json()["data"].to_string(),
            answer,
            "{query} {prefer}"
        );
    }
    let nothing = forge.post(&rows("users"), "[]").await;
    assert_eq!(nothing.text, r#"{"rows_affected":0}"#);
    let empty = write(
        &forge,
        "POST",
        "vals?select=x",
        "return=representation",
        "[{},{}]",
    )
    .await;
    assert_eq!(
        empty.json()["data"].to_string(),
        r#"[{"x":null},{"x":null}]"#
    );
}

#[tokio::test]
async fn one_row_that_does_not_fit_keeps_all_others_out_and_is_named() {
    let forge = shop().await;
    let body = r#"[{"name":"ok"},{"name":"ok2","age":1},{"name":"ok3","age":2},{"name":"bad","email":"ann@x"}]"#;
    let refused = forge.post(&rows("users"), body).await;
    let says = refused.problem(409, "constraint_violation");
    assert!(says.contains("row 3 of the body"), "{says}");
    assert_eq!(data(&forge, "users?name=like.ok*").await, "[]");
    for (table, body, status, says) in [
        (
            "made",
            r#"{"a":1,"twice":2}"#,
            400,
            "`twice` of `made` is a generated column",
        ),
        ("made", r#"{"b":1}"#, 400, "no column `b`"),
        ("users", r#"{"nmae":"x"}"#, 400, "did you mean `name`?"),
        ("users", r#"{"name":"a","name":"b"}"#, 400, "twice"),
        ("users", r#"{"name":[1]}"#, 400, "expected null"),
        ("users", r#"7"#, 400, "a row, or a list of rows"),
        ("users", "", 400, "The body is empty"),
        ("users", "{}", 409, "NOT NULL"),
        ("strict", r#"{"n":"x"}"#, 409, "cannot store TEXT"),
        ("grown", r#"{"id":1}"#, 405, "a view"),
        ("nowhere", r#"{"id":1}"#, 404, "no table"),
    ] {
        let refused = forge.post(&rows(table), body).await;
        assert_eq!(refused.status, status, "{table} {body}: {}", refused.text);
        assert!(
            refused.text.contains(says),
            "{table} {body}: {}",
            refused.text
        );
    }
}

#[tokio::test]
async fn rows_that_are_there_are_merged_or_left() {
    let forge = shop().await;
    let (merge, ignore) = (
        "resolution=merge-duplicates,return=representation",
        "resolution=ignore-duplicates,return=representation",
    );
    for (query, prefer, body, answer) in [
        (
            "users?select=name,age",
            merge,
            r#"{"id":1,"name":"Anna"}"#,
            r#"[{"age":30,"name":"Anna"}]"#,
        ),
        (
            "users?on_conflict=email&select=id",
            merge,
            r#"{"name":"A","email":"ann@x"}"#,
            r#"[{"id":1}]"#,
        ),
        (
            "users?on_conflict=email&select=id",
            ignore,
            r#"{"name":"Z","email":"ann@x"}"#,
            "[]",
        ),
        (
            "users?select=name",
            ignore,
            r#"[{"id":1,"name":"Z"},{"id":50,"name":"New"}]"#,
            r#"[{"name":"New"}]"#,
        ),
        (
            "items?select=sku",
            merge,
            r#"[{"order_id":1,"line":1,"sku":"m"},{"order_id":9,"line":1}]"#,
            "",
        ),
        (
            "items?select=sku",
            merge,
            r#"[{"order_id":1,"line":1,"sku":"m"}]"#,
            r#"[{"sku":"m"}]"#,
        ),
        (
            "user_tags?select=tag_id",
            merge,
            r#"{"user_id":1,"tag_id":1}"#,
            r#"[{"tag_id":1}]"#,
        ),
    ] {
        let written = write(&forge, "POST", query, prefer, body).await;
        if answer.is_empty() {
            written.problem(409, "constraint_violation");
        } else {
            assert_eq!(
                written.json()["data"].to_string(),
                answer,
                "{query}: {}",
                written.text
            );
        }
    }
    let refused = write(
        &forge,
        "POST",
        "users?on_conflict=name",
        merge,
        r#"{"name":"x"}"#,
    )
    .await;
    let says = refused.problem(400, "invalid_request");
    assert!(
        says.contains("on_conflict=id or on_conflict=email"),
        "{says}"
    );
    let alone = forge
        .post(&rows("users?on_conflict=id"), r#"{"name":"x"}"#)
        .await;
    alone.problem(400, "invalid_request");
}

#[tokio::test]
async fn a_change_of_every_row_is_asked_for_by_name() {
    let forge = shop().await;
    for (method, body) in [("PATCH", r#"{"age":1}"#), ("DELETE", "")] {
        let refused = forge.send(method, &rows("users"), body).await;
        let says = refused.problem(400, "invalid_request");
        assert!(says.contains("all=true"), "{says}");
        for odd in ["limit=1", "order=id", "offset=1", "cursor="] {
            let refused = forge
                .send(method, &rows(&format!("users?id=eq.1&{odd}")), body)
                .await;
            refused.problem(400, "invalid_request");
        }
    }
    let changed = forge
        .send("PATCH", &rows("users?all=true"), r#"{"age":1}"#)
        .await;
    assert_eq!(changed.text, r#"{"rows_affected":3}"#);
    let changed = write(
        &forge,
        "PATCH",
        "users?id=eq.2&select=id,age,orders!user_id(id)",
        "return=representation",
        r#"{"age":2}"#,
    )
    .await;
    assert_eq!(
        changed.text,
        r#"{"rows_affected":1,"data":[{"id":2,"age":2,"orders":[{"id":3}]}]}"#
    );
    let none = forge.send("PATCH", &rows("users?id=eq.2"), "{}").await;
    assert_eq!(none.text, r#"{"rows_affected":0}"#);
    let removed = write(
        &forge,
        "DELETE",
        "emp?boss_id=eq.1&select=name",
        "return=representation",
        "",
    )
    .await;
    assert_eq!(
        removed.text,
        r#"{"rows_affected":2,"data":[{"name":"Kim"},{"name":"Lee"}]}"#
    );
    let removed = forge.send("DELETE", &rows("vals?all=true"), "").await;
    assert_eq!(removed.text, r#"{"rows_affected":10}"#);
}

#[tokio::test]
async fn a_write_is_taken_back_when_it_changes_too_much_or_was_only_tried() {
    let forge = shop().await;
    let before = data(&forge, "users").await;
    let refused = write(
        &forge,
        "PATCH",
        "users?id=gt.0",
        "max-affected=2",
        r#"{"age":1}"#,
    )
    .await;
    let says = refused.problem(400, "invalid_request");
    assert!(
        says.contains("3 rows") && says.contains("allows 2"),
        "{says}"
    );
    for (method, query, body, affected) in [
        ("PATCH", "users?id=gt.0", r#"{"age":1}"#, 3),
        ("DELETE", "users?id=eq.9", "", 0),
        ("POST", "users", r#"[{"name":"x"},{"name":"y"}]"#, 2),
    ] {
        let tried = write(&forge, method, query, "tx=rollback", body).await;
        assert_eq!(tried.json()["rows_affected"], affected, "{}", tried.text);
        assert_eq!(tried.header("preference-applied"), "tx=rollback");
    }
    assert_eq!(data(&forge, "users").await, before);
    // What was tried goes on to work when it is meant.
    let kept = write(
        &forge,
        "PATCH",
        "users?id=gt.0",
        "max-affected=3",
        r#"{"age":1}"#,
    )
    .await;
    assert_eq!(kept.text, r#"{"rows_affected":3}"#);
}

#[tokio::test]
async fn a_row_is_changed_only_if_it_is_what_its_mark_says() {
    let forge = shop().await;
    let with = |method: &'static str, path: &'static str, mark: String| {
        let ask = forge.ask(method, &rows(path)).token(ROOT);
        ask.header("if-match", &mark)
    };
    for path in ["users/1", "users/1?select=name,age"] {
        let mark = get(&forge, path).await.header("etag").to_owned();
        let changed = with("PATCH", "users/1", mark.clone())
            .body(r#"{"age":50}"#)
            .await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        run(&forge, "UPDATE users SET name = name || '!' WHERE id = 1").await;
        with("PATCH", "users/1", mark.clone())
            .body(r#"{"age":50}"#)
            .await
            .problem(412, "precondition_failed");
        with("DELETE", "users/1", mark.clone())
            .empty()
            .await
            .problem(412, "precondition_failed");
        with("PATCH", "users/77", mark)
            .body(r#"{"age":50}"#)
            .await
            .problem(404, "row_not_found");
    }
    // What was not read may change.
    let mark = get(&forge, "users/1?select=name")
        .await
        .header("etag")
        .to_owned();
    run(&forge, "UPDATE users SET age = age + 9 WHERE id = 1").await;
    assert_eq!(
        with("PATCH", "users/1", mark)
            .body(r#"{"age":1}"#)
            .await
            .status,
        200
    );
    let any = with("PATCH", "users/1", "*".to_owned())
        .body(r#"{"age":2}"#)
        .await;
    assert_eq!(any.status, 200);
    let odd = with("PATCH", "users/1", "\"e5\", W/\"x\"".to_owned())
        .body(r#"{"age":2}"#)
        .await;
    odd.problem(412, "precondition_failed");
}

#[tokio::test]
async fn views_take_what_a_trigger_takes_for_them() {
    let forge = shop().await;
    let inserted = forge.post(&rows("names"), r#"{"name":"Via"}"#).await;
    assert_eq!(inserted.status, 201, "{}", inserted.text);
    assert_eq!(
        data(&forge, "users?name=eq.Via&select=name").await,
        r#"[{"name":"Via"}]"#
    );
    forge
        .send("DELETE", &rows("names?name=eq.Via"), "")
        .await
        .problem(405, "method_not_allowed");
}

#[tokio::test]
async fn a_token_reads_or_writes_as_far_as_its_scopes_go() {
    let forge = shop().await;
    let reader = forge.token("reader", r#""read""#, r#""shop""#).await;
    let other = forge.token("other", r#""read","write""#, r#""else""#).await;
    let ask = |method: &str, token: &str| forge.ask(method, &rows("users?id=eq.1")).token(token);
    assert_eq!(ask("GET", &reader).empty().await.status, 200);
    ask("PATCH", &reader)
        .body(r#"{"age":1}"#)
        .await
        .problem(403, "insufficient_scope");
    ask("POST", &reader)
        .body(r#"{"name":"x"}"#)
        .await
        .problem(403, "insufficient_scope");
    ask("DELETE", &reader)
        .empty()
        .await
        .problem(403, "insufficient_scope");
    ask("GET", &other)
        .empty()
        .await
        .problem(404, "database_not_found");
    let none = forge.ask("GET", &rows("users")).empty().await;
    none.problem(401, "unauthenticated");
}
