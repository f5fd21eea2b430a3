//! Tables that clients of the original describe: with pieces of SQL, which stay in their place.
use super::{sql, with_users};
use crate::support::http::{Answer, HttpForge};
use proptest::prelude::*;
use serde_json::{Value, json};

async fn create(forge: &HttpForge, table: &Value) -> Answer {
    forge.post("/api/db/shop/tables", &table.to_string()).await
}

/// What SQLite has kept of a table or an index.
async fn kept(forge: &HttpForge, name: &str) -> Value {
    let question = format!("SELECT sql FROM sqlite_schema WHERE name = '{name}'");
    sql(forge, "shop", &question).await.json()["data"][0]["sql"].clone()
}

#[tokio::test]
async fn defaults_are_sql_as_the_original_spliced_them() {
    let forge = with_users().await;
    let columns = json!([
        {"name": "id", "type": "INTEGER", "primary_key": true},
        {"name": "quoted", "type": "TEXT", "default": "'pending'"},
        {"name": "bare", "type": "TEXT", "default": "general"},
        {"name": "nothing", "type": "TEXT", "default": "NULL"},
        {"name": "made", "type": "TEXT", "default": "(date('now') > '2000')"},
        {"name": "text_number", "type": "INTEGER", "default": "1"},
        {"name": "number", "type": "REAL", "default": -2.5},
        {"name": "yes", "type": "BOOLEAN", "default": true},
        {"name": "none", "type": "TEXT", "default": null, "not_null": null},
        {"name": "moment", "type": "DATETIME", "default": "CURRENT_TIMESTAMP"},
    ]);
    let table = json!({"table_name": "tasks", "columns": columns});
    let answer = create(&forge, &table).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let added = forge
        .post("/api/db/shop/tables/tasks/rows", r#"{"rows":[{}]}"#)
        .await;
    assert_eq!(added.status, 201, "{}", added.text);
    let rows = forge.get("/api/db/shop/tables/tasks/rows").await.json();
    let mut row = rows["data"][0].clone();
    assert!(row["moment"].take().as_str().unwrap().starts_with("20"));
    let expected = json!({
        "id": 1, "quoted": "pending", "bare": "general", "nothing": null, "made": "1",
        "text_number": 1, "number": -2.5, "yes": 1, "none": null, "moment": null,
    });
    assert_eq!(row, expected);
}

#[tokio::test]
async fn types_constraints_and_indexes_of_the_originals_documents_work() {
    let forge = with_users().await;
    let table = json!({
        "table_name": "products",
        "columns": [
            {"name": "id", "type": "INTEGER", "constraints": ["PRIMARY KEY", "AUTOINCREMENT"]},
            {"name": "name", "type": "TEXT", "constraints": ["NOT NULL"]},
            {"name": "price", "type": "DECIMAL(10,2)",
                "constraints": ["NOT NULL", "CHECK(price > 0)"]},
            {"name": "created_at", "type": "DATETIME",
                "constraints": ["DEFAULT CURRENT_TIMESTAMP"]},
        ],
        "indexes": [{"name": "idx_products_name", "columns": ["name"], "unique": true}],
    });
    let answer = create(&forge, &table).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(
        answer.json(),
        json!({"message": "Table 'products' created successfully."})
    );
    assert_eq!(
        kept(&forge, "idx_products_name").await,
        "CREATE UNIQUE INDEX \"idx_products_name\" ON \"products\" (\"name\")"
    );
    let rows = "/api/db/shop/tables/products/rows";
    let insert = |name: &str, price: f64| {
        let body = json!({"rows": [{"name": name, "price": price}]}).to_string();
        let forge = &forge;
        async move { forge.post(rows, &body).await }
    };
    assert_eq!(insert("a", 1.0).await.status, 201);
    insert("b", -1.0).await.problem(400, "sql_error");
    insert("a", 2.0).await.problem(400, "sql_error");
    let said = sql(&forge, "shop", "SELECT seq FROM sqlite_sequence").await;
    assert_eq!(said.json()["data"], json!([{"seq": 1}]));

    let in_types = json!({"table_name": "t", "columns": [
        {"name": "id", "type": "INTEGER PRIMARY KEY AUTOINCREMENT"},
        {"name": "v", "type": "DECIMAL(10,2) CHECK(v>0)"},
        {"name": "of", "type": "INTEGER REFERENCES products(id)"},
    ]});
    let answer = create(&forge, &in_types).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

#[tokio::test]
async fn a_table_whose_index_fails_is_not_made() {
    let forge = with_users().await;
    let table = json!({"table_name": "t", "columns": [{"name": "a", "type": "INT"}],
        "indexes": [{"name": "i", "columns": ["nope"]}]});
    let said = create(&forge, &table).await.problem(400, "sql_error");
    assert!(said.contains("no such column"), "{said}");
    assert_eq!(kept(&forge, "t").await, Value::Null);
}

#[tokio::test]
async fn sql_in_a_description_makes_one_table_or_nothing() {
    let forge = with_users().await;
    let before = sql(&forge, "shop", "SELECT * FROM sqlite_schema")
        .await
        .text;
    let column = |fields: Value| json!({"table_name": "t", "columns": [fields]});
    let index = |fields: Value| json!({"table_name": "t", "columns": [{"name": "a", "type": "INT"}], "indexes": [fields]});
    for table in [
        column(json!({"name": "a", "type": "INT); DROP TABLE users; --"})),
        column(json!({"name": "a", "type": "INT) AS SELECT * FROM users --"})),
        column(json!({"name": "a", "type": "AS SELECT 1"})),
        column(json!({"name": "a", "type": "INT, b INT"})),
        column(json!({"name": "a", "type": "INT) STRICT; SELECT (1"})),
        column(json!({"name": "a", "type": "INT /*"})),
        column(json!({"name": "a", "type": "INT", "default": "1); DELETE FROM users; --"})),
        column(json!({"name": "a", "type": "INT", "default": "(SELECT count(*) FROM users)"})),
        column(json!({"name": "a", "type": "INT", "default": "it's"})),
        column(json!({"name": "a", "type": "INT", "default": ""})),
        column(json!({"name": "a", "type": "INT", "default": "?"})),
        column(json!({"name": "a", "type": "INT", "default": "($a(()), evil INT)"})),
        column(json!({"name": "a", "type": "INT", "constraints": ["NOT NULL, b INT"]})),
        column(json!({"name": "a", "type": "INT", "constraints": ["CHECK(1)) AS SELECT 1 --"]})),
        column(json!({"name": "a", "type": "INT", "constraints": ["CHECK((SELECT 1))"]})),
        column(json!({"name": "a\" INT); DROP TABLE users; --", "type": "INT) --"})),
        column(json!({"name": "a\u{0}", "type": "INT"})),
        json!({"table_name": "sqlite_t", "columns": [{"name": "a", "type": "INT"}]}),
        index(json!({"name": "i", "columns": []})),
        index(json!({"name": "i", "columns": ["a) WHERE 1; DROP TABLE users; --"]})),
        index(json!({"name": "i\" ON users (name); --", "columns": ["b"]})),
    ] {
        let answer = create(&forge, &table).await;
        assert_eq!(answer.status, 400, "{table}: {}", answer.text);
        let after = sql(&forge, "shop", "SELECT * FROM sqlite_schema")
            .await
            .text;
        assert_eq!(after, before, "{table}");
    }
    for unread in [
        column(json!({"name": "a", "type": "INT", "default": ["NULL"]})),
        column(json!({"name": "a", "type": "INT", "constraints": "NOT NULL"})),
        column(json!({"name": "a"})),
    ] {
        create(&forge, &unread)
            .await
            .problem(400, "invalid_request");
    }
}

/// Words, numbers and marks, of which pieces are put together.
fn pieces() -> impl Strategy<Value = String> {
    let tokens = prop::sample::select(vec![
        "INT",
        "PRIMARY KEY",
        "NOT NULL",
        "DEFAULT",
        "CHECK",
        "AS",
        "SELECT 1",
        "COLLATE",
        "NOCASE",
        "REFERENCES users",
        "UNIQUE",
        "CONSTRAINT x",
        "STRICT",
        "WITHOUT ROWID",
        "b",
        "1",
        "-",
        "+",
        "(",
        ")",
        "(",
        ")",
        ",",
        ";",
        "'",
        "\"",
        "`",
        "[",
        "]",
        "''",
        "'a'",
        "\"b\"",
        "--",
        "/*",
        "*/",
        "\n",
        "$a",
        "$a(",
        "?",
        ":",
        "x'00'",
        "(1)",
        "(a)",
        ", c INT",
        "ON DELETE CASCADE",
        ".",
    ]);
    prop::collection::vec(tokens, 0..7).prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What was made has the columns that were described, whatever was in them.
    #[test]
    fn a_table_that_is_made_has_the_columns_that_were_described(
        kinds in prop::collection::vec((pieces(), pieces(), pieces()), 24),
    ) {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio.block_on(async {
            let forge = with_users().await;
            for (place, (kind, default, constraint)) in kinds.into_iter().enumerate() {
                let name = format!("t{place}");
                let table = json!({"table_name": name, "columns": [
                    {"name": "a", "type": kind},
                    {"name": "z", "type": "", "default": default, "constraints": [constraint]},
                ]});
                let answer = create(&forge, &table).await;
                let described = forge.get(&format!("/api/db/shop/schema?table={name}")).await;
                if answer.status == 201 {
                    let columns = described.json()["tables"][0]["columns"].clone();
                    let columns = columns.as_array().unwrap();
                    let names: Vec<_> = columns.iter().map(|it| it["name"].as_str().unwrap()).collect();
                    assert_eq!(names, ["a", "z"], "{table}");
                } else {
                    assert_eq!(answer.status, 400, "{table}: {}", answer.text);
                    described.problem(400, "sql_error");
                }
            }
        });
    }
}
