//! Everything about tables, columns, keys, indexes and triggers.
use super::schema;
use crate::support::http::HttpForge;
use crate::support::sql::Sql;
use dbforge::data::{Affinity, Generated, IndexOrigin, TableKind};
use serde_json::json;

const SHOP: &[&str] = &[
    "CREATE TABLE customers (id INTEGER PRIMARY KEY AUTOINCREMENT, email TEXT NOT NULL UNIQUE \
     COLLATE nocase, joined TEXT DEFAULT CURRENT_TIMESTAMP, CHECK (email LIKE '%@%'))",
    "CREATE TABLE orders (customer INT CONSTRAINT buyer REFERENCES customers ON DELETE CASCADE \
     DEFERRABLE INITIALLY DEFERRED, number INT, total REAL, tax REAL AS (total * 0.2) STORED, \
     gross REAL AS (total + tax), PRIMARY KEY (number, customer)) STRICT, WITHOUT ROWID",
    "CREATE TABLE lines (customer INT, number INT, note, FOREIGN KEY (number, customer) REFERENCES orders)",
    "CREATE INDEX by_total ON orders (total DESC, lower(tax) COLLATE nocase) WHERE total > 0",
    "CREATE TRIGGER audit AFTER UPDATE OF total ON orders BEGIN SELECT 1; END",
    "CREATE VIEW totals AS SELECT customer, sum(total) AS total FROM orders GROUP BY 1",
    "CREATE VIRTUAL TABLE search USING fts5(title, body)",
    "CREATE VIRTUAL TABLE boxes USING rtree(id, x0, x1)",
];

#[tokio::test]
async fn columns_keys_indexes_and_triggers_are_told_as_they_were_declared() {
    let sql = Sql::new();
    for statement in SHOP {
        sql.ask(statement).await.unwrap();
    }
    let schema = schema(&sql).await.unwrap();

    let customers = schema.find("CUSTOMERS").unwrap();
    assert_eq!(customers.rowid.as_deref(), Some("id"));
    assert!(customers.column("id").unwrap().is_autoincrement);
    let email = customers.column("email").unwrap();
    assert_eq!((email.collation.as_str(), email.not_null), ("nocase", true));
    assert_eq!(customers.unique_keys, [["email"]]);
    assert_eq!(customers.checks, ["email LIKE '%@%'"]);

    let orders = schema.find("orders").unwrap();
    assert_eq!(orders.primary_key, ["number", "customer"]);
    assert_eq!(orders.column("customer").unwrap().key_place, Some(1));
    assert!(orders.is_strict && orders.is_without_rowid && orders.rowid.is_none());
    assert_eq!(orders.column("total").unwrap().affinity, Affinity::Real);
    let generated = |name: &str| orders.column(name).unwrap().generated;
    assert_eq!(generated("tax"), Some(Generated::Stored));
    assert_eq!(generated("gross"), Some(Generated::Virtual));
    let key = &orders.foreign_keys[0];
    assert_eq!(
        (key.to_columns.as_slice(), key.deferred),
        (&["id".to_owned()][..], true)
    );
    assert_eq!(
        (key.name.as_deref(), key.on_delete.as_str()),
        (Some("buyer"), "CASCADE")
    );
    let index = orders
        .indexes
        .iter()
        .find(|it| it.name == "by_total")
        .unwrap();
    assert_eq!(index.origin, IndexOrigin::Created);
    assert_eq!(index.partial.as_deref(), Some("total > 0"));
    assert!(index.columns[0].descending);
    assert_eq!(
        index.columns[1].expression.as_deref(),
        Some("lower(tax) COLLATE nocase")
    );
    assert_eq!(orders.triggers[0].event, "AFTER UPDATE OF total");

    let lines = schema.find("lines").unwrap();
    assert_eq!(lines.foreign_keys[0].to_columns, ["number", "customer"]);
    assert_eq!(lines.rowid.as_deref(), Some("rowid"));

    let kind = |name: &str| schema.find(name).unwrap().kind;
    assert_eq!(kind("totals"), TableKind::View);
    assert_eq!(kind("search"), TableKind::Virtual);
    assert_eq!(kind("search_content"), TableKind::Shadow);
    assert_eq!(kind("boxes_node"), TableKind::Shadow);
    let hidden: Vec<_> = schema
        .find("search")
        .unwrap()
        .columns
        .iter()
        .map(|it| it.is_hidden)
        .collect();
    assert_eq!(hidden, [false, false, true, true]);
    assert!(schema.find("sqlite_sequence").is_none());
    assert_eq!(schema.nearest("custmers"), Some("customers"));
}

#[tokio::test]
async fn a_rows_number_has_the_first_name_that_no_column_takes() {
    let sql = Sql::new();
    for statement in [
        "CREATE TABLE a (\"ROWID\", x)",
        "CREATE TABLE b (rowid, oid, _rowid_)",
        "CREATE TABLE c (id INTEGER PRIMARY KEY DESC)",
        "CREATE TABLE d (id INT PRIMARY KEY)",
        "CREATE TABLE e (\"Odd \"\" key\" INTEGER, PRIMARY KEY (\"Odd \"\" key\"))",
    ] {
        sql.ask(statement).await.unwrap();
    }
    let schema = schema(&sql).await.unwrap();
    let name = |table: &str| schema.find(table).unwrap().rowid.clone();
    assert_eq!(name("a").as_deref(), Some("_rowid_"));
    assert_eq!(name("b"), None);
    assert_eq!(name("c").as_deref(), Some("rowid"));
    assert_eq!(name("d").as_deref(), Some("rowid"));
    assert_eq!(name("e").as_deref(), Some("Odd \" key"));
}

#[tokio::test]
async fn the_route_tells_the_schema_to_who_may_read_and_counts_rows_when_asked() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for statement in SHOP
        .iter()
        .chain(&["INSERT INTO customers (email) VALUES ('a@b'), ('c@d')"])
    {
        let body = json!({ "sql": statement }).to_string();
        let ran = forge.post("/v1/databases/shop/query", &body).await;
        assert_eq!(ran.status, 200, "{}", ran.text);
    }
    let path = "/v1/databases/shop/schema";
    let told = forge.get(path).await.json();
    let names: Vec<&str> = told["tables"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(names.is_sorted() && names.contains(&"totals"), "{names:?}");
    assert!(told["tables"][0].get("row_count").is_none());
    let counted = forge.get(&format!("{path}?row_counts=true")).await.json();
    let customers = counted["tables"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "customers");
    assert_eq!(customers.unwrap()["row_count"], 2);

    let reader = forge.token("reader", "\"read\"", "\"shop\"").await;
    assert_eq!(
        forge.ask("GET", path).token(&reader).empty().await.status,
        200
    );
    let writer = forge.token("manager", "\"manage\"", "\"shop\"").await;
    let refused = forge.ask("GET", path).token(&writer).empty().await;
    refused.problem(403, "insufficient_scope");
    forge
        .get(&format!("{path}?format=xml"))
        .await
        .problem(400, "invalid_request");
    forge
        .get("/v1/databases/none/schema")
        .await
        .problem(404, "database_not_found");
}
