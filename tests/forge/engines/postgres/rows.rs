//! Rows without SQL, in PostgREST's dialect.
use super::{rows, with_shop};
use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::{Value, json};

async fn get(forge: &HttpForge, rest: &str) -> Value {
    let answer = forge
        .get(&format!("/v1/databases/shop/tables/{rest}"))
        .await;
    assert_eq!(answer.status, 200, "{rest}: {}", answer.text);
    answer.json()
}

async fn send(forge: &HttpForge, method: &str, rest: &str, prefer: &str, body: Value) -> Answer {
    let ask = forge.ask(method, &format!("/v1/databases/shop/tables/{rest}"));
    let ask = ask.token(ROOT).header("prefer", prefer);
    ask.body(&body.to_string()).await
}

async fn with_tables() -> HttpForge {
    let forge = with_shop().await;
    for sql in [
        "create table customers (id int primary key, name text not null, seen timestamptz, \
         data jsonb, ok bool)",
        "create table orders (id int primary key, customer int references customers, \
         total numeric(10, 2))",
        "insert into customers values (1, 'Ann', '2024-01-02 03:04:05+00', '{\"a\": {\"b\": 7}}', true), \
         (2, 'Bob', null, null, false), (3, 'anna', null, '[1, 2]', null)",
        "insert into orders values (10, 1, 9.50), (11, 1, 1.00), (12, 2, 3.25)",
    ] {
        rows(&forge, sql).await;
    }
    forge
}

#[tokio::test]
async fn rows_are_read_with_filters_orders_embeds_and_cursors() {
    let forge = with_tables().await;
    let ids = |found: &Value| -> Vec<i64> {
        let rows = found
            .as_array()
            .or_else(|| found["data"].as_array())
            .unwrap();
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    for (filter, expected) in [
        ("id=eq.2", vec![2]),
        ("id=gt.1&order=id.desc", vec![3, 2]),
        ("name=like.A*&order=id", vec![1]),
        ("name=ilike.A*&order=id", vec![1, 3]),
        ("name=match.%5EB", vec![2]),
        ("id=in.(1,3)&order=id", vec![1, 3]),
        ("seen=is.null&order=id", vec![2, 3]),
        ("ok=is.true", vec![1]),
        ("ok=eq.false", vec![2]),
        ("seen=gte.2024-01-01", vec![1]),
        ("or=(id.eq.1,name.eq.Bob)&order=id", vec![1, 2]),
        ("data-%3Ea-%3E%3Eb=eq.7", vec![1]),
        ("order=seen.nullslast,id&limit=2", vec![1, 2]),
        ("order=seen.nullsfirst,id&limit=2", vec![2, 3]),
    ] {
        let found = get(&forge, &format!("customers/rows?{filter}")).await;
        assert_eq!(ids(&found), expected, "{filter}: {found}");
    }
    let one = get(&forge, "customers/rows/1").await;
    assert_eq!(
        one["data"],
        json!({"id": 1, "name": "Ann", "seen": "2024-01-02T03:04:05+00:00",
               "data": {"a": {"b": 7}}, "ok": true})
    );
    let missing = forge
        .get("/v1/databases/shop/tables/customers/rows/9")
        .await;
    missing.problem(404, "row_not_found");
    forge
        .get("/v1/databases/shop/tables/nosuch/rows")
        .await
        .problem(404, "table_not_found");

    let embedded = get(
        &forge,
        "customers/rows?select=name,orders(id,total)&order=id",
    )
    .await;
    let list = embedded
        .as_array()
        .or_else(|| embedded["data"].as_array())
        .unwrap();
    assert_eq!(
        list[0],
        json!({"name": "Ann", "orders": [{"id": 10, "total": 9.5}, {"id": 11, "total": 1.0}]})
    );
    assert_eq!(list[2]["orders"], json!([]));
    let up = get(&forge, "orders/rows?select=id,customers(name)&id=eq.12").await;
    let list = up.as_array().or_else(|| up["data"].as_array()).unwrap();
    assert_eq!(list[0], json!({"id": 12, "customers": {"name": "Bob"}}));
    let sums = get(
        &forge,
        "orders/rows?select=customer,total.sum()&order=customer",
    )
    .await;
    let list = sums.as_array().or_else(|| sums["data"].as_array()).unwrap();
    assert_eq!(list[0], json!({"customer": 1, "sum": 10.5}));

    let first = get(&forge, "customers/rows?limit=2&order=name.desc").await;
    let cursor = first["next_cursor"].as_str();
    if let Some(cursor) = cursor {
        let next = get(
            &forge,
            &format!("customers/rows?limit=2&order=name.desc&cursor={cursor}"),
        )
        .await;
        assert_eq!(ids(&next).len(), 1, "{next}");
    }
}

#[tokio::test]
async fn rows_are_inserted_changed_upserted_and_removed() {
    let forge = with_tables().await;
    let inserted = send(
        &forge,
        "POST",
        "customers/rows",
        "return=representation",
        json!([{"id": 4, "name": "Dan"}, {"id": 5, "name": "Eve", "ok": true}]),
    )
    .await;
    assert_eq!(inserted.status, 201, "{}", inserted.text);
    let again = json!({"id": 4, "name": "again"});
    let refused = send(&forge, "POST", "customers/rows", "", again.clone()).await;
    refused.problem(409, "constraint_violation");
    let merge = "resolution=merge-duplicates";
    let merged = send(&forge, "POST", "customers/rows", merge, again).await;
    assert!(merged.status.is_success(), "{}", merged.text);
    let changed = send(
        &forge,
        "PATCH",
        "customers/rows?id=gt.3",
        "return=representation",
        json!({"ok": false}),
    )
    .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(
        rows(
            &forge,
            "select id, name, ok from customers where id > 3 order by id"
        )
        .await,
        json!([[4, "again", false], [5, "Eve", false]])
    );
    let one = forge
        .get("/v1/databases/shop/tables/customers/rows/5")
        .await;
    let mark = one.header("etag").to_owned();
    let patch = |mark: &str| {
        let ask = forge.ask("PATCH", "/v1/databases/shop/tables/customers/rows/5");
        let ask = ask.token(ROOT).header("if-match", mark);
        async move { ask.body(r#"{"name":"Eva"}"#).await }
    };
    assert!(patch(&mark).await.status.is_success());
    patch(&mark).await.problem(412, "precondition_failed");
    let removed = send(
        &forge,
        "DELETE",
        "customers/rows?id=in.(4,5)",
        "",
        json!({}),
    )
    .await;
    assert!(removed.status.is_success(), "{}", removed.text);
    assert_eq!(
        rows(&forge, "select count(*) from customers").await,
        json!([[3]])
    );
}
