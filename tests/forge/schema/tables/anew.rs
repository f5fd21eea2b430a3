//! Tables that are made anew, since SQLite's ALTER TABLE cannot change them so.
use super::{alter, assert_done, rows, shop};
use serde_json::json;

const TABLES: &[&str] = &[
    "CREATE TABLE users (id INTEGER PRIMARY KEY AUTOINCREMENT, -- the key\n  email TEXT /* odd */ COLLATE nocase,\n  age TEXT, \
     older AS (age + 1), CHECK (users.age <> 'no'))",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT REFERENCES users ON DELETE CASCADE, note)",
    "CREATE INDEX by_age ON users (age DESC) WHERE email IS NOT NULL",
    "CREATE UNIQUE INDEX by_mail ON users (lower(email))",
    "CREATE TRIGGER counts AFTER INSERT ON users BEGIN INSERT INTO orders (user, note) VALUES (new.id, 'new'); END",
    "CREATE TRIGGER of_orders AFTER DELETE ON orders BEGIN UPDATE users SET age = 0 WHERE id = old.user; END",
    "CREATE VIEW adults AS SELECT id, email FROM users WHERE age >= 18",
    "CREATE VIEW of_view AS SELECT email FROM adults",
    "CREATE TRIGGER into_view INSTEAD OF INSERT ON adults BEGIN INSERT INTO users (email) VALUES (new.email); END",
    "INSERT INTO users (id, email, age) VALUES (3, 'a@b', '30'), (7, 'c@d', '5')",
    "INSERT INTO users (id, email, age) VALUES (90, 'gone', '1')",
    "DELETE FROM users WHERE id = 90",
];

#[tokio::test]
async fn everything_that_belongs_to_a_table_survives_a_changed_type() {
    let forge = shop(TABLES).await;
    let before = rows(
        &forge,
        "SELECT type, name, sql FROM sqlite_schema WHERE type <> 'table' ORDER BY name",
    )
    .await;
    let orders = rows(&forge, "SELECT * FROM orders").await;
    let change = json!({"alter_columns": [{"name": "age", "type": "INTEGER", "not_null": true, "default": "0"}]});
    assert_done(&alter(&forge, "users", change).await);

    let sql = rows(&forge, "SELECT sql FROM sqlite_schema WHERE name = 'users'").await;
    let sql = sql[0][0].as_str().unwrap();
    for kept in [
        "-- the key\n",
        "TEXT /* odd */ COLLATE nocase",
        "older AS (age + 1)",
        "age INTEGER NOT NULL DEFAULT 0",
    ] {
        assert!(sql.contains(kept), "{sql}");
    }
    let after = rows(
        &forge,
        "SELECT type, name, sql FROM sqlite_schema WHERE type <> 'table' ORDER BY name",
    )
    .await;
    assert_eq!(after, before);
    assert_eq!(
        rows(&forge, "SELECT * FROM orders").await,
        orders,
        "nothing was deleted along"
    );
    assert_eq!(
        rows(
            &forge,
            "SELECT id, age, typeof(age), older FROM users ORDER BY id"
        )
        .await,
        json!([[3, 30, "integer", 31], [7, 5, "integer", 6]])
    );
    assert_eq!(
        rows(&forge, "SELECT email FROM of_view").await,
        json!([["a@b"]])
    );
    let next = rows(
        &forge,
        "INSERT INTO users (email) VALUES ('e@f') RETURNING id",
    )
    .await;
    assert_eq!(
        next,
        json!([[91]]),
        "numbers that were given are not given again"
    );
    let refused = forge
        .post(
            "/v1/databases/shop/query",
            r#"{"sql":"INSERT INTO orders (user) VALUES (99)"}"#,
        )
        .await;
    refused.problem(409, "constraint_violation");
    assert_eq!(
        rows(&forge, "PRAGMA integrity_check").await,
        json!([["ok"]])
    );
    assert_eq!(rows(&forge, "PRAGMA foreign_key_check").await, json!([]));
}

#[tokio::test]
async fn rows_keep_numbers_that_no_column_shows() {
    let forge = shop(&[
        "CREATE TABLE t (a TEXT PRIMARY KEY, rowid INT)",
        "INSERT INTO t (_rowid_, a) VALUES (5, 'x'), (9, 'y')",
    ])
    .await;
    assert_done(
        &alter(
            &forge,
            "t",
            json!({"alter_columns": [{"name": "a", "collation": "NOCASE"}]}),
        )
        .await,
    );
    assert_eq!(
        rows(&forge, "SELECT _rowid_, a FROM t").await,
        json!([[5, "x"], [9, "y"]])
    );
}

#[tokio::test]
async fn keys_constraints_and_options_are_changed() {
    let forge = shop(&[
        "CREATE TABLE users (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (a INT, b INT UNIQUE, c INT REFERENCES users(id), d TEXT CHECK (d <> ''), UNIQUE (a, b), CHECK (a > 0) )",
        "INSERT INTO users VALUES (1)",
        "INSERT INTO t VALUES (1, 2, 1, 'x')",
    ])
    .await;
    for (change, expected) in [
        (
            json!({"primary_key": ["b", "a"]}),
            "PRIMARY KEY (\"b\", \"a\")",
        ),
        (
            json!({"without_rowid": true, "strict": true}),
            ") STRICT, WITHOUT ROWID",
        ),
        (
            json!({"drop_unique": [["b"], ["a", "b"]], "drop_checks": ["d  <> ''"]}),
            "b INT, c INT REFERENCES",
        ),
        (
            json!({"drop_foreign_keys": [["c"]], "drop_checks": ["a > 0"]}),
            "c INT, d TEXT",
        ),
        (
            json!({"add_foreign_keys": [{"columns": ["c"], "to_table": "users", "on_delete": "cascade"}], "add_unique": [["d"]], "add_checks": [{"name": "few", "expression": "a < 9"}]}),
            "UNIQUE (\"d\"), FOREIGN KEY (\"c\") REFERENCES \"users\" ON DELETE CASCADE, CONSTRAINT \"few\" CHECK (a < 9)",
        ),
        (
            json!({"add_columns": [{"name": "e", "type": "TEXT", "default": "datetime('now')"}]}),
            "\"e\" TEXT DEFAULT (datetime('now'))",
        ),
        (
            json!({"drop_checks": ["few"], "alter_columns": [{"name": "d", "default": "'y'"}]}),
            "d TEXT DEFAULT 'y'",
        ),
        (
            json!({"alter_columns": [{"name": "d", "default": null}]}),
            "d TEXT,",
        ),
    ] {
        let changed = alter(&forge, "t", change.clone()).await;
        assert_done(&changed);
        let sql = rows(&forge, "SELECT sql FROM sqlite_schema WHERE name = 't'").await;
        assert!(
            sql[0][0].as_str().unwrap().contains(expected),
            "{change}: {sql}"
        );
        assert_eq!(
            rows(&forge, "SELECT a, b, c, d FROM t").await,
            json!([[1, 2, 1, "x"]]),
            "{change}"
        );
    }
}

#[tokio::test]
async fn values_that_do_not_fit_are_named_and_nothing_is_changed() {
    let forge = shop(&[
        "CREATE TABLE t (a TEXT, b TEXT)",
        "INSERT INTO t VALUES ('1', NULL), ('it''s', 'x')",
    ])
    .await;
    let unfit = alter(
        &forge,
        "t",
        json!({"alter_columns": [{"name": "a", "type": "INTEGER"}]}),
    )
    .await;
    unfit.problem(409, "constraint_violation");
    let detail = unfit.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail.contains("ow 2 of the column `a` holds 'it''s'"),
        "{detail}"
    );
    let null = alter(
        &forge,
        "t",
        json!({"alter_columns": [{"name": "b", "not_null": true}]}),
    )
    .await;
    null.problem(409, "constraint_violation");
    assert!(
        null.text.contains("t.b") && !null.text.contains("dbforge_new"),
        "{}",
        null.text
    );
    let filled = json!({"alter_columns": [{"name": "b", "not_null": true, "default": "'none'"}]});
    assert_done(&alter(&forge, "t", filled).await);
    assert_eq!(
        rows(&forge, "SELECT * FROM t").await,
        json!([["1", "none"], ["it's", "x"]])
    );
    let keys = alter(&forge, "t", json!({"add_foreign_keys": [{"columns": ["a"], "to_table": "t", "to_columns": ["b"]}], "add_unique": [["b"]]})).await;
    keys.problem(409, "constraint_violation");
    assert!(keys.text.contains("ow 1 of `t`"), "{}", keys.text);
}

#[tokio::test]
async fn what_uses_a_column_keeps_it() {
    let forge = shop(TABLES).await;
    for (column, by) in [("age", "the index `by_age`"), ("email", "`")] {
        let refused = alter(&forge, "users", json!({"drop_columns": [column]})).await;
        assert!(refused.status.is_client_error(), "{}", refused.text);
        assert!(refused.text.contains(by), "{}", refused.text);
    }
    rows(&forge, "DROP INDEX by_mail").await;
    rows(&forge, "DROP INDEX by_age").await;
    let refused = alter(&forge, "users", json!({"drop_columns": ["email"]})).await;
    refused.problem(409, "table_in_use");
    assert!(
        refused.text.contains("the view `adults`"),
        "{}",
        refused.text
    );
    alter(&forge, "users", json!({"drop_columns": ["agee"]}))
        .await
        .problem(400, "invalid_request");
    alter(&forge, "adults", json!({"drop_columns": ["id"]}))
        .await
        .problem(400, "invalid_request");
}

#[tokio::test]
async fn odd_names_and_odd_texts_are_changed_as_well() {
    let forge = shop(&[
        "CREATE TABLE [se\"lect; --] (`a``b` \"odd type\"(3) DEFAULT 'x, )' /* , */ , 'c' CONSTRAINT \"n, n\" NOT NULL ON CONFLICT FAIL,\"d\"\n)",
        "INSERT INTO \"se\"\"lect; --\" VALUES ('1', 2, 3)",
        "CREATE TRIGGER \"t;\" AFTER UPDATE ON [se\"lect; --] BEGIN SELECT ';'; END",
    ])
    .await;
    let table = "se%22lect%3B%20--";
    let change = json!({"alter_columns": [{"name": "a`b", "type": "INTEGER"}, {"name": "C", "not_null": false}], "drop_columns": ["d"], "add_columns": [{"name": "ü\"", "unique": true}]});
    assert_done(&alter(&forge, table, change).await);
    let sql = rows(&forge, "SELECT sql FROM sqlite_schema WHERE type = 'table'").await;
    assert!(
        sql[0][0]
            .as_str()
            .unwrap()
            .contains("`a``b` INTEGER DEFAULT 'x, )' /* , */ , 'c'"),
        "{sql}"
    );
    assert_eq!(
        rows(&forge, "SELECT * FROM \"se\"\"lect; --\"").await,
        json!([[1, 2, null]])
    );
    assert_done(
        &alter(
            &forge,
            table,
            json!({"rename": "pl\"ain", "rename_columns": {"c": "e\""}}),
        )
        .await,
    );
    assert_eq!(
        rows(&forge, "SELECT \"e\"\"\" FROM \"pl\"\"ain\"").await,
        json!([[2]])
    );
}
