//! What is in a database, and migrations of it.
use super::{rows, send, with_shop};
use serde_json::json;

#[tokio::test]
async fn the_schema_is_told_and_follows_every_change() {
    let forge = with_shop().await;
    let empty = forge.get("/v1/databases/shop/schema").await.json();
    assert_eq!(empty["tables"], json!([]), "{empty}");
    let table = "create table customers (id bigint generated always as identity primary key, \
                 name text not null unique, born date default current_date, \
                 upper_name text generated always as (upper(name)) stored, check (length(name) > 1))";
    rows(&forge, table).await;
    let orders = "create table orders (id int primary key, customer bigint not null \
                  references customers on delete cascade, note text)";
    rows(&forge, orders).await;
    rows(
        &forge,
        "create index orders_note on orders (lower(note), id desc) where note is not null",
    )
    .await;
    rows(&forge, "create view named as select name from customers").await;
    let schema = forge.get("/v1/databases/shop/schema").await;
    assert_eq!(schema.status, 200, "{}", schema.text);
    let schema = schema.json();
    let tables = schema["tables"].as_array().unwrap();
    let names: Vec<&str> = tables
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["customers", "named", "orders"]);
    let customers = &tables[0];
    assert_eq!(customers["primary_key"], json!(["id"]), "{customers}");
    assert_eq!(customers["columns"][1]["name"], "name");
    assert_eq!(customers["columns"][1]["type"], "text");
    assert_eq!(customers["columns"][3]["generated"], "stored");
    let key = &tables[2]["foreign_keys"][0];
    assert_eq!(key["to_table"], "customers", "{key}");
    assert_eq!(key["to_columns"], json!(["id"]));
    assert_eq!(key["on_delete"], "CASCADE");
    let index = tables[2]["indexes"].as_array().unwrap();
    assert!(
        index
            .iter()
            .any(|it| it["name"] == "orders_note" && it["unique"] == false)
    );
    let sql = forge.get("/v1/databases/shop/schema?format=sql").await.text;
    assert!(sql.contains("CREATE TABLE \"customers\""), "{sql}");
    let explain = json!({"sql": "select * from orders where note = 'x'"});
    let explained = send(&forge, "explain", explain).await;
    assert_eq!(explained.status, 200, "{}", explained.text);
    assert!(
        explained.text.contains("Seq Scan on orders"),
        "{}",
        explained.text
    );
    rows(&forge, "drop view named").await;
    rows(&forge, "alter table customers drop column born").await;
    let schema = forge.get("/v1/databases/shop/schema").await.json();
    assert_eq!(schema["tables"].as_array().unwrap().len(), 2);
    assert_eq!(schema["tables"][0]["columns"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn migrations_are_applied_once_in_order_and_whole_or_not_at_all() {
    let forge = with_shop().await;
    let first = json!({"name": "0001_init", "sql": "BEGIN; CREATE TABLE t (a int); \
                       INSERT INTO t VALUES (1); COMMIT;"});
    let applied = send(&forge, "migrations", first.clone()).await;
    assert!(
        matches!(applied.status.as_u16(), 200 | 201),
        "{}",
        applied.text
    );
    assert_eq!(
        send(&forge, "migrations", first).await.status,
        200,
        "it was applied before"
    );
    assert_eq!(rows(&forge, "select count(*) from t").await, json!([[1]]));
    let failing = json!({"name": "0002_more", "sql": "INSERT INTO t VALUES (2);\nINSERT INTO nosuch VALUES (1);"});
    let failed = send(&forge, "migrations", failing).await;
    failed.problem(400, "sql_error");
    assert_eq!(failed.json()["offset"], 26);
    assert_eq!(rows(&forge, "select count(*) from t").await, json!([[1]]));
    let changed = json!({"name": "0001_init", "sql": "SELECT 1"});
    send(&forge, "migrations", changed)
        .await
        .problem(409, "migration_changed");
    let late = json!({"name": "0000_late", "sql": "SELECT 1"});
    send(&forge, "migrations", late)
        .await
        .problem(409, "migration_out_of_order");
    let listed = forge.get("/v1/databases/shop/migrations").await.json();
    let names = listed["data"]
        .as_array()
        .unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["name"], "0001_init");
}

#[tokio::test]
async fn tables_and_indexes_are_made_changed_and_dropped_without_sql() {
    let forge = with_shop().await;
    let table = json!({"name": "t", "columns": [
        {"name": "id", "type": "bigint", "autoincrement": true},
        {"name": "name", "type": "text", "not_null": true},
    ], "primary_key": ["id"], "unique": [["name"]]});
    let made = send(&forge, "tables", table.clone()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    send(&forge, "tables", table)
        .await
        .problem(409, "table_exists");
    rows(&forge, "insert into t (name) values ('a')").await;
    let change = json!({
        "add_columns": [{"name": "more", "type": "int", "default": "7"}],
        "rename_columns": {"name": "title"}, "drop_unique": [["title"]],
    });
    let changed = forge
        .send("PATCH", "/v1/databases/shop/tables/t", &change.to_string())
        .await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(
        rows(&forge, "select id, title, more from t").await,
        json!([[1, "a", 7]])
    );
    let index = json!({"columns": ["title"]});
    let index = send(&forge, "tables/t/indexes", index).await;
    assert_eq!(index.status, 201, "{}", index.text);
    rows(&forge, "create view v as select title from t").await;
    let used = forge
        .send("DELETE", "/v1/databases/shop/tables/t", "")
        .await;
    used.problem(409, "table_in_use");
    rows(&forge, "drop view v").await;
    let dropped = forge
        .send("DELETE", "/v1/databases/shop/tables/t", "")
        .await;
    assert!(dropped.status.is_success(), "{}", dropped.text);
}

#[tokio::test]
async fn a_table_is_exported_in_every_form() {
    let forge = with_shop().await;
    rows(
        &forge,
        "create table t (id int primary key, name text, at timestamptz)",
    )
    .await;
    rows(
        &forge,
        "insert into t values (1, 'it''s', '2024-01-01 00:00:00+00'), (2, null, null)",
    )
    .await;
    for (format, expected) in [
        (
            "csv",
            "id,name,at\r\n1,it's,2024-01-01T00:00:00+00:00\r\n2,,\r\n",
        ),
        (
            "ndjson",
            "{\"id\":1,\"name\":\"it's\",\"at\":\"2024-01-01T00:00:00+00:00\"}\n\
             {\"id\":2,\"name\":null,\"at\":null}\n",
        ),
    ] {
        let path = format!("/v1/databases/shop/tables/t/export?format={format}");
        let answer = forge.get(&path).await;
        assert_eq!(answer.status, 200, "{format}: {}", answer.text);
        assert_eq!(answer.text, expected, "{format}");
    }
    let sql = forge
        .get("/v1/databases/shop/tables/t/export?format=sql")
        .await
        .text;
    assert!(sql.contains("INSERT INTO \"t\""), "{sql}");
}
