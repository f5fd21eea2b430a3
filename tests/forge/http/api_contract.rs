//! The API keeps to its own description: Schemathesis asks the running gateway everything that
//! `/openapi.json` allows, and what it does not.
//!
//! `docker/setup.sh schemathesis` brings what is needed. `DBFORGE_CONTRACT_EXAMPLES=100` asks more
//! of each operation than the usual run.
use crate::support::gateway_process::GatewayProcess;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Requests of the usual run for each operation and phase, beside those at the edges of what the
/// description allows: all that fit in a minute.
const EXAMPLES: u32 = 3;

/// A place in the list of made-up requests: every run sends the same ones.
const SEED: &str = "1";

/// One thread of requests. With two, Python 3.11 fails by luck with "AST constructor recursion
/// depth mismatch" (an interpreter fault in programs with threads), and the run is no faster.
const WORKERS: &str = "1";

/// What is installed lies in the target folder, somewhere above the program.
fn schemathesis() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dbforge"))
        .ancestors()
        .map(|it| it.join("schemathesis/bin/schemathesis"))
        .find(|it| it.exists())
        .expect("Schemathesis is installed: docker/setup.sh schemathesis")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a setting of this test, not of the program"
)]
fn examples() -> String {
    std::env::var("DBFORGE_CONTRACT_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_string())
}

#[test]
fn every_answer_is_as_the_description_says() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    // SQL is asked of a database that nobody can take away meanwhile.
    let made = gateway.post("/v1/databases", &json!({"name": "till", "protect": true}));
    assert_eq!(made.unwrap().0, 202);
    for sql in [
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT)",
        "CREATE TABLE users (name TEXT, age INTEGER)",
        "INSERT INTO customers VALUES (7, 'Ann')",
        "INSERT INTO users VALUES ('Ann', 30)",
    ] {
        let answer = gateway.post("/v1/databases/till/query", &json!({ "sql": sql }));
        assert_eq!(answer.unwrap().0, 200, "{sql}");
    }
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/contract");
    let run = Command::new(schemathesis())
        .arg("--config-file")
        .arg(fixtures.join("schemathesis.toml"))
        .args(["run", "--no-color", "--workers", WORKERS, "--seed", SEED])
        .args(["--max-examples", &examples()])
        // In both ways: two that differ are refused, and one would be made up.
        .args([
            "--header",
            &format!("Authorization: Bearer {}", gateway.token),
        ])
        .args(["--header", &format!("X-API-Key: {}", gateway.token)])
        .arg(format!("{}/openapi.json", gateway.url))
        .current_dir(folder.path())
        .output()
        .unwrap();
    let report = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{report}\n{errors}");
    assert!(gateway.stop(), "the gateway ends well after all that");
}
