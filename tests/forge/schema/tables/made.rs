//! Tables and indexes that are made, and removed.
use super::{alter, assert_done, create, rows, shop};
use serde_json::json;

#[tokio::test]
async fn a_table_is_made_with_everything_that_is_asked_for() {
    let forge = shop(&["CREATE TABLE users (id INTEGER PRIMARY KEY)"]).await;
    let made = create(
        &forge,
        json!({
            "name": "or\"der / s", "strict": true,
            "columns": [
                {"name": "id", "type": "INTEGER", "primary_key": true, "autoincrement": true},
                {"name": "select", "type": "TEXT", "not_null": true, "unique": true, "default": "'it''s'", "collation": "NOCASE"},
                {"name": "user", "type": "INTEGER", "references": {"table": "users", "on_delete": "set_null"}},
                {"name": "total", "type": "REAL", "default": "1 + 1", "check": "total > 0"},
                {"name": "tax", "type": "REAL", "generated": {"expression": "total * 0.2", "stored": true}},
            ],
            "unique": [["user", "total"]],
            "checks": [{"name": "few", "expression": "total < 100"}],
        }),
    )
    .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let shown = forge.get(made.header("location")).await;
    assert_eq!(shown.json()["name"], "or\"der / s");
    assert_eq!(shown.json()["columns"][4]["generated"], "stored");
    rows(&forge, "INSERT INTO \"or\"\"der / s\" DEFAULT VALUES").await;
    let row = rows(&forge, "SELECT * FROM \"or\"\"der / s\"").await;
    assert_eq!(row, json!([[1, "it's", null, 2.0, 0.4]]));

    let composite = json!({"name": "c", "without_rowid": true, "primary_key": ["b", "a"], "columns": [{"name": "a", "type": "INT"}, {"name": "b"}]});
    assert_done(&create(&forge, composite.clone()).await);
    create(&forge, composite).await.problem(409, "table_exists");
}

#[tokio::test]
async fn pieces_that_do_not_stay_in_their_place_are_refused() {
    let forge = shop(&[]).await;
    for column in [
        json!({"name": "a", "type": "INT); DROP TABLE t; --"}),
        json!({"name": "a", "type": "INT PRIMARY KEY"}),
        json!({"name": "a", "default": "1, b INT"}),
        json!({"name": "a", "check": "1) CHECK (0"}),
        json!({"name": "a", "generated": {"expression": "1 -- x"}}),
        json!({"name": ""}),
        json!({"name": "a", "autoincrement": true}),
    ] {
        let refused = create(&forge, json!({"name": "t", "columns": [column]})).await;
        refused.problem(400, "invalid_request");
    }
    create(&forge, json!({"name": "t", "columns": []}))
        .await
        .problem(400, "invalid_request");
    let nowhere =
        json!({"name": "t", "columns": [{"name": "a", "references": {"table": "nowhere"}}]});
    create(&forge, nowhere)
        .await
        .problem(404, "table_not_found");
}

#[tokio::test]
async fn a_table_that_others_use_is_not_dropped() {
    let forge = shop(&[
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name)",
        "CREATE TABLE orders (user REFERENCES users)",
        "CREATE TABLE alone (a)",
        "CREATE TABLE watched (a)",
        "CREATE VIEW names AS SELECT name FROM users",
        "CREATE TRIGGER copies AFTER INSERT ON orders BEGIN INSERT INTO watched VALUES (1); END",
    ])
    .await;
    let drop = async |name: &str| {
        let path = format!("/v1/databases/shop/tables/{name}");
        forge.send("DELETE", &path, "").await
    };
    let by_key = drop("users").await;
    by_key.problem(409, "table_in_use");
    assert!(by_key.text.contains("`orders`"), "{}", by_key.text);
    assert!(drop("watched").await.text.contains("trigger `copies`"));
    rows(&forge, "DROP TABLE orders").await;
    let by_view = drop("users").await;
    assert!(
        by_view.text.contains("the view `names`"),
        "{}",
        by_view.text
    );
    assert_done(&drop("names").await);
    for name in ["users", "alone", "watched"] {
        assert_done(&drop(name).await);
    }
    let hint = drop("alon").await.problem(404, "table_not_found");
    assert!(hint.contains("lists tables"), "{hint}");
}

#[tokio::test]
async fn an_index_is_made_and_dropped_unless_something_needs_it() {
    let forge = shop(&[
        "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT, name TEXT UNIQUE)",
        "CREATE TABLE orders (email REFERENCES users(email))",
    ])
    .await;
    let path = "/v1/databases/shop/tables/users/indexes";
    let made = forge
        .post(path, r#"{"columns":["email"],"unique":true}"#)
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["index"], "users_email");
    let odd = r#"{"name":"o\"dd","columns":[{"expression":"lower(name)","descending":true},{"column":"email","collation":"NOCASE"}],"where":"name <> ''"}"#;
    assert_done(&forge.post(path, odd).await);
    forge.post(path, odd).await.problem(409, "table_exists");
    forge
        .post(path, r#"{"columns":["emial"]}"#)
        .await
        .problem(400, "invalid_request");
    let needed = forge
        .send("DELETE", &format!("{path}/users_email"), "")
        .await;
    needed.problem(409, "table_in_use");
    assert_done(&forge.send("DELETE", &format!("{path}/o%22dd"), "").await);
    let constraint = forge
        .send("DELETE", &format!("{path}/sqlite_autoindex_users_1"), "")
        .await;
    constraint.problem(409, "table_in_use");
    forge
        .send("DELETE", &format!("{path}/none"), "")
        .await
        .problem(404, "index_not_found");
}

#[tokio::test]
async fn a_dry_run_tells_the_statements_and_changes_nothing() {
    let forge = shop(&["CREATE TABLE t (a INT, b INT)"]).await;
    let path = "/v1/databases/shop/tables/t?dry_run=true";
    let told = forge
        .send(
            "PATCH",
            path,
            r#"{"alter_columns":[{"name":"a","type":"TEXT"}]}"#,
        )
        .await;
    assert_done(&told);
    assert!(told.text.contains("dbforge_new_t"), "{}", told.text);
    let kept = rows(&forge, "SELECT sql FROM sqlite_schema").await;
    assert_eq!(kept, json!([["CREATE TABLE t (a INT, b INT)"]]));
    assert_done(&alter(&forge, "t", json!({"rename": "u", "rename_columns": {"a": "c"}, "add_columns": [{"name": "d"}], "drop_columns": ["b"]})).await);
    let kept = rows(&forge, "SELECT name FROM pragma_table_info('u')").await;
    assert_eq!(kept, json!([["c"], ["d"]]));
}
