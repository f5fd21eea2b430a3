//! Pages by cursor, and counts.
use super::{get, rows, run, shop};
use crate::support::http::{HttpForge, ROOT};
use serde_json::Value;

/// The ids of all pages.
async fn pages(forge: &HttpForge, query: &str) -> Vec<i64> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    for _ in 0..100 {
        let page = get(forge, &format!("{query}&cursor={cursor}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.text);
        let page = page.json();
        let rows = page["data"].as_array().unwrap();
        ids.extend(rows.iter().map(|row| row["id"].as_i64().unwrap()));
        match &page["next_cursor"] {
            Value::String(next) => cursor.clone_from(next),
            _ => return ids,
        }
    }
    panic!("{query} does not end");
}

#[tokio::test]
async fn a_cursor_passes_every_row_once_in_any_order() {
    let forge = shop().await;
    run(
        &forge,
        "CREATE TABLE many (id INTEGER PRIMARY KEY, a INTEGER, b TEXT COLLATE NOCASE, c)",
    )
    .await;
    run(
        &forge,
        "INSERT INTO many SELECT value, nullif(value % 4, 0), \
         CASE value % 3 WHEN 0 THEN NULL WHEN 1 THEN 'x' ELSE 'X' END, \
         CASE value % 5 WHEN 0 THEN x'00' WHEN 1 THEN 9e999 WHEN 2 THEN CAST(x'80' AS TEXT) \
         WHEN 3 THEN 1.5 ELSE NULL END FROM generate_series(1, 23)",
    )
    .await;
    for order in [
        "id",
        "id.desc",
        "a",
        "a.desc",
        "a.nullsfirst",
        "a.desc.nullslast",
        "b,a.desc",
        "b.desc,a",
        "c",
        "c.desc,b.nullsfirst",
        "a,b,c",
        "a.desc,b.desc.nullslast,id.desc",
    ] {
        let whole = get(&forge, &format!("many?select=id&order={order}"))
            .await
            .json();
        let whole = whole["data"].as_array().unwrap().clone();
        let whole: Vec<_> = whole
            .iter()
            .map(|row| row["id"].as_i64().unwrap())
            .collect();
        for limit in [1, 4, 23] {
            let query = format!("many?select=id&order={order}&limit={limit}");
            assert_eq!(pages(&forge, &query).await, whole, "{query}");
        }
    }
}

#[tokio::test]
async fn a_cursor_goes_on_where_it_was_whatever_changed_in_between() {
    let forge = shop().await;
    let first = get(&forge, "users?select=id&order=age.desc.nullslast&limit=1")
        .await
        .json();
    let cursor = first["next_cursor"].as_str().unwrap().to_owned();
    run(&forge, "DELETE FROM user_tags WHERE user_id = 1").await;
    run(&forge, "UPDATE orders SET user_id = 3 WHERE user_id = 1").await;
    run(&forge, "DELETE FROM users WHERE id = 1").await;
    run(
        &forge,
        "INSERT INTO users (id, name, age) VALUES (9, 'Old', 90), (8, 'Mid', 20)",
    )
    .await;
    let rest = get(
        &forge,
        &format!("users?select=id&order=age.desc.nullslast&cursor={cursor}"),
    )
    .await;
    assert_eq!(
        rest.json()["data"].to_string(),
        r#"[{"id":8},{"id":2},{"id":3}]"#
    );
    for wrong in [
        format!("users?order=age&cursor={cursor}"),
        format!("orders?order=id&cursor={cursor}"),
        "users?cursor=nonsense".to_owned(),
        "users?cursor=WzFd".to_owned(),
        "names?cursor=".to_owned(),
        "users?select=count()&cursor=".to_owned(),
    ] {
        let refused = get(&forge, &wrong).await;
        refused.problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn rows_are_counted_when_that_is_asked() {
    let forge = shop().await;
    for (query, count) in [
        ("users?limit=1", 3),
        ("users?age=gt.1&limit=0", 2),
        ("users?select=active,count()", 1),
        ("users?select=id,orders!user_id!inner(id)", 2),
    ] {
        let answer = forge.ask("GET", &rows(query)).token(ROOT);
        let answer = answer.header("prefer", "count=exact").empty().await;
        assert_eq!(answer.json()["count"], count, "{query}: {}", answer.text);
        assert_eq!(answer.header("preference-applied"), "count=exact");
    }
}

#[tokio::test]
async fn a_page_without_a_limit_ends_before_it_is_too_large_and_goes_on() {
    let forge = shop().await;
    run(&forge, "CREATE TABLE wide (id INTEGER PRIMARY KEY, t TEXT)").await;
    run(
        &forge,
        "INSERT INTO wide SELECT value, printf('%.*c', 1000000, 'x') FROM generate_series(1, 9)",
    )
    .await;
    assert_eq!(
        pages(&forge, "wide?limit=100").await,
        (1..=9).collect::<Vec<_>>()
    );
    let csv = forge.ask("GET", &rows("users?select=id,name")).token(ROOT);
    let csv = csv.header("accept", "text/csv").empty().await;
    assert_eq!(csv.text, "id,name\r\n1,Ann\r\n2,Bob\r\n3,cyd\r\n");
}

#[tokio::test]
async fn long_values_do_not_end_pages_early() {
    let forge = shop().await;
    run(&forge, "CREATE TABLE long (id INTEGER PRIMARY KEY, a TEXT)").await;
    run(
        &forge,
        "INSERT INTO long (a) SELECT 'a' || value || printf('%.*c', 5000, 'x') FROM generate_series(1, 3)",
    )
    .await;
    assert_eq!(pages(&forge, "long?order=a&limit=1").await, [1, 2, 3]);
    run(
        &forge,
        "UPDATE long SET a = a || printf('%.*c', 50000, 'x')",
    )
    .await;
    get(&forge, "long?order=a&limit=1")
        .await
        .problem(400, "invalid_request");
    let all = get(&forge, "long?order=a").await.json();
    assert_eq!(all["data"].as_array().unwrap().len(), 3);
    let first = get(&forge, "long?order=id&limit=1").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let both = get(&forge, &format!("long?order=id&offset=1&cursor={cursor}")).await;
    both.problem(400, "invalid_request");
}
