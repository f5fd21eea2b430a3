//! A schema in other languages, read by what reads these languages.
use crate::support::http::HttpForge;
use crate::support::sqlite;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

const TABLES: &[&str] = &[
    "CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, age INT, photo BLOB, extra, \
     shout TEXT AS (upper(email)), joined TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP) STRICT",
    "CREATE TABLE \"od\"\"d ü/~\n%%;`]\" (\"sel\"\"ect\" VARCHAR(20), \"1st\" INT, \"a b\" REFERENCES users, \"__proto__\", \"\u{2028}\")",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, user INT NOT NULL REFERENCES users, one INT UNIQUE REFERENCES users, \
     total REAL -- the end\n)",
    "CREATE TABLE \"select\" (\"class\" INT, \"entity\" TEXT, PRIMARY KEY (\"class\", \"entity\")) WITHOUT ROWID",
    "CREATE VIEW names AS SELECT email, age FROM users",
    "CREATE VIEW \"of \"\" gone\" AS SELECT 1 AS a",
    "CREATE VIRTUAL TABLE search USING fts5(title)",
    "CREATE INDEX by_age ON users (age DESC) WHERE age > 1 -- x",
    "CREATE TRIGGER joins AFTER INSERT ON users BEGIN UPDATE users SET age = 1 WHERE id = new.id; END",
];

async fn shop() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for statement in TABLES {
        let statement = statement.replace("extra,", "extra ANY,");
        let body = json!({ "sql": statement }).to_string();
        let made = forge.post("/v1/databases/shop/query", &body).await;
        assert_eq!(made.status, 200, "{statement}: {}", made.text);
    }
    forge
}

async fn told(forge: &HttpForge, format: &str) -> String {
    let told = forge
        .get(&format!("/v1/databases/shop/schema?format={format}"))
        .await;
    assert_eq!(told.status, 200, "{}", told.text);
    told.text
}

/// What is installed lies in the target folder: `docker/setup.sh generators`.
fn node_modules() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dbforge"))
        .ancestors()
        .map(|it| it.join("generators-npm/node_modules"))
        .find(|it| it.join("mermaid").exists())
        .expect("mermaid is installed: docker/setup.sh generators")
}

/// A folder with a script of the fixtures, where Node finds what is installed.
fn node_folder(file: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generated");
    std::fs::copy(fixtures.join(file), folder.path().join(file)).unwrap();
    std::os::unix::fs::symlink(node_modules(), folder.path().join("node_modules")).unwrap();
    folder
}

#[tokio::test]
async fn the_script_makes_the_same_schema() {
    let forge = shop().await;
    let script = told(&forge, "sql").await;
    let copy = sqlite::in_memory();
    copy.execute_batch(&script).unwrap();
    let mut made = copy.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'search_%' ORDER BY name").unwrap();
    let made: Vec<String> = made
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        // A comment at the end has its line end now.
        .map(|sql| sql.unwrap().trim_end().to_owned())
        .collect();
    let body = json!({ "sql": "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'search_%' ORDER BY name" });
    let own = forge
        .post("/v1/databases/shop/query", &body.to_string())
        .await
        .json();
    let own: Vec<&str> = own["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row[0].as_str().unwrap())
        .collect();
    assert_eq!(made, own);
}

#[tokio::test]
async fn mermaid_reads_the_diagram_and_a_validator_finds_that_rows_fit_the_json_schema() {
    let forge = shop().await;
    let diagram = told(&forge, "mermaid").await;
    let place = |name: &str| {
        let line = diagram
            .lines()
            .find(|line| line.contains(&format!("[\"{name}\"]")))
            .unwrap();
        line.split_whitespace()
            .next()
            .unwrap()
            .split('[')
            .next()
            .unwrap()
            .to_owned()
    };
    let (users, orders) = (place("users"), place("orders"));
    for edge in [
        format!("{users} ||--o{{ {orders} : \"user\""),
        format!("{users} |o--o| {orders} : \"one\""),
    ] {
        assert!(diagram.contains(&edge), "{edge}\n{diagram}");
    }
    let schema: Value = serde_json::from_str(&told(&forge, "jsonschema").await).unwrap();
    for insert in [
        "INSERT INTO users (id, email, photo, extra) VALUES (1, 'a@b', x'00ff', 1e999), (2, CAST(x'ff' AS TEXT), NULL, 'x')",
        "INSERT INTO \"select\" VALUES (1, 'x')",
        "INSERT INTO orders VALUES (1, 1, NULL, 'no number')",
    ] {
        let body = json!({ "sql": insert }).to_string();
        let made = forge.post("/v1/databases/shop/query", &body).await;
        assert_eq!(made.status, 200, "{}", made.text);
    }
    let mut rows = Vec::new();
    for table in ["users", "select", "orders", "names"] {
        let body = json!({ "sql": format!("SELECT * FROM \"{table}\""), "shape": "objects" });
        let read = forge
            .post("/v1/databases/shop/query", &body.to_string())
            .await
            .json();
        for row in read["rows"].as_array().unwrap() {
            rows.push(json!({ "shape": format!("{table}.row"), "row": row, "fits": true }));
        }
    }
    assert_eq!(rows.len(), 6);
    for (shape, row, fits) in [
        ("users.insert", json!({"email": "x"}), true),
        ("users.insert", json!({"age": 1}), false),
        ("users.insert", json!({"email": "x", "shout": "X"}), false),
        ("users.insert", json!({"email": 1}), false),
        ("users.update", json!({"age": null}), true),
        ("users.update", json!({"nothing": 1}), false),
        ("select.insert", json!({"class": 1}), false),
        (
            "od\"d ü/~\n%%;`].insert",
            json!({"sel\"ect": "x", "1st": 1}),
            true,
        ),
    ] {
        rows.push(json!({ "shape": shape, "row": row, "fits": fits }));
    }
    let folder = node_folder("schema.mjs");
    let mut node = Command::new("node")
        .arg("schema.mjs")
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({ "diagrams": [diagram, "erDiagram\n"], "schema": schema, "rows": rows });
    node.stdin
        .take()
        .unwrap()
        .write_all(asked.to_string().as_bytes())
        .unwrap();
    let said = node.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success(),
        "{errors}\n{}",
        asked["diagrams"][0].as_str().unwrap()
    );
}

#[tokio::test]
async fn typescript_compiles_the_types_and_holds_rows_to_them() {
    let forge = shop().await;
    let types = told(&forge, "typescript").await;
    let folder = node_folder("package.json");
    std::fs::write(folder.path().join("shop.ts"), types).unwrap();
    let used = "import type { Database } from './shop.js';\n\
        export const made: Database['users']['Insert'] = { email: 'a@b', photo: { $base64: 'AA==' } };\n\
        export const read: Database['names']['Row'] = { email: 'a', age: null };\n\
        // @ts-expect-error a needed column is missing\n\
        export const missing: Database['users']['Insert'] = { age: 1 };\n\
        // @ts-expect-error a generated column cannot be given\n\
        export const given: Database['users']['Insert'] = { email: 'x', shout: 'X' };\n\
        // @ts-expect-error a key of a table without row numbers is never null\n\
        export const key: Database['select']['Row'] = { class: null, entity: 'x' };\n\
        // @ts-expect-error views are read only\n\
        export type None = Database['names']['Insert'];\n";
    std::fs::write(folder.path().join("use.ts"), used).unwrap();
    let compiled = Command::new(node_modules().join(".bin/tsc"))
        .args([
            "--strict", "--noEmit", "--target", "es2022", "--module", "nodenext", "--types",
            "node", "use.ts",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&compiled.stdout);
    assert!(compiled.status.success(), "{said}");
}
