//! A client in Rust: a database is made, filled, asked and deleted.
//!
//! ```text
//! DBFORGE_TOKEN=dbf_… cargo run --example client
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what it was answered")]
#![expect(
    clippy::disallowed_methods,
    reason = "a client of its own, not a room of the gateway"
)]

use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::env;
use ureq::http::Request;

struct Client {
    agent: ureq::Agent,
    url: String,
    token: String,
}

impl Client {
    fn from_environment() -> anyhow::Result<Self> {
        let url = env::var("DBFORGE_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned());
        let token = env::var("DBFORGE_TOKEN").context("set DBFORGE_TOKEN to a token")?;
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.build().into();
        Ok(Self { agent, url, token })
    }

    /// Asks the gateway; a problem is an error with its text.
    fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json")
            // Holds the answer until the job of a lifecycle call has ended.
            .header("Prefer", "wait=20")
            .body(body.to_string())?;
        let mut response = self.agent.run(request)?;
        let answer: Value = response.body_mut().read_json()?;
        if !response.status().is_success() {
            bail!("{}: {}", answer["code"], answer["detail"]);
        }
        Ok(answer)
    }

    /// Runs one statement and returns its rows.
    fn query(&self, sql: &str, params: &Value) -> anyhow::Result<Vec<Value>> {
        let body = json!({"sql": sql, "params": params, "shape": "objects"});
        let answer = self.call("POST", "/v1/databases/example-rust/query", &body)?;
        Ok(answer["rows"].as_array().cloned().unwrap_or_default())
    }
}

fn main() -> anyhow::Result<()> {
    let client = Client::from_environment()?;
    let create = json!({"name": "example-rust", "ttl": "1h"});
    client.call("POST", "/v1/databases", &create)?;
    client.query(
        "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
        &json!([]),
    )?;
    client.query(
        "INSERT INTO items(name) VALUES (?1), (?2)",
        &json!(["lamp", "chair"]),
    )?;
    for row in client.query("SELECT id, name FROM items ORDER BY id", &json!([]))? {
        println!("{} {}", row["id"], row["name"]);
    }
    client.call("DELETE", "/v1/databases/example-rust", &json!({}))?;
    Ok(())
}
