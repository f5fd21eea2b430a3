//! A token that is no longer accepted ends what it has open.
use super::crowd::{Crowd, QUERY, ask, get, post, until_used};
use crate::support::http::ROOT;
use crate::support::stream_client::{ENDLESS, PATIENCE, Reply, Served, last_error, read};
use serde_json::json;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a token has open, and how it is told of its end.
struct Open {
    transaction: String,
    waiting: Vec<TcpStream>,
    rows: Reply,
    events: TcpStream,
}

async fn gateway() -> Served {
    let served = Served::new().await;
    served.run("CREATE TABLE t (a)").await;
    served
}

async fn make_token(served: &Served, expires_in: Option<&str>) -> (String, String) {
    let mut body = json!({"name": "ci", "scopes": ["write", "audit"], "databases": ["*"]});
    if let Some(expires_in) = expires_in {
        body["expires_in"] = expires_in.into();
    }
    let made = served.forge.post("/v1/tokens", &body.to_string()).await;
    let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

impl Open {
    /// Opens one of everything.
    async fn under(served: &Served, token: &str) -> Self {
        let begin = served.forge.ask("POST", "/v1/databases/shop/transactions");
        let begun = begin.token(token).body("{}").await;
        assert_eq!(begun.status, 201, "{}", begun.text);
        let transaction = begun.json()["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/databases/shop/transactions/{transaction}/query");
        let insert = r#"{"sql":"INSERT INTO t VALUES ('of a token that ended')"}"#;
        let inserted = served.forge.ask("POST", &path).token(token).body(insert);
        assert_eq!(inserted.await.status, 200);

        // A job that nobody runs: the test forge runs them when it is told to.
        let created = served.forge.post("/v1/databases", "{}").await.json();
        let job = created["id"].as_str().unwrap();
        let endless = format!("{ENDLESS} SELECT count(*) FROM n");
        let mut waiting = Vec::new();
        for request in [
            post(
                token,
                QUERY,
                "",
                &json!({"sql": endless, "timeout_ms": 60_000}),
            ),
            post(
                token,
                QUERY,
                "",
                &json!({"sql": "DELETE FROM t", "timeout_ms": 60_000}),
            ),
            get(token, "/v1/events?after=9&kind=database_purged&wait=60", ""),
            get(token, &format!("/v1/jobs/{job}?wait=60"), ""),
            post(token, QUERY, "", &json!({"sql": "SELECT 1"}))
                .trim_end_matches('}')
                .to_owned(),
        ] {
            waiting.extend(Crowd::of(1, served, &request).await.0);
        }
        let watch = get(token, "/v1/events?after=0", "accept: text/event-stream\r\n");
        let events = Crowd::of(1, served, &watch).await.0.remove(0);
        let rows = json!({"sql": format!("{ENDLESS} SELECT i FROM n"), "timeout_ms": 60_000});
        let mut rows = served.query_as(token, "?format=ndjson", &rows).await;
        assert_eq!(rows.status, 200);
        rows.chunk().await.unwrap();
        // All that wait do: the read that runs has its own place.
        until_used(&served.forge, token, "waiting", |used| used >= 4).await;
        until_used(&served.forge, token, "working", |used| used >= 1).await;
        Self {
            transaction,
            waiting,
            rows,
            events,
        }
    }

    /// Everything ends, and says why where it can.
    async fn ends(mut self, served: &Served) {
        for mut connection in self.waiting {
            let mut head = [0; 12];
            read(connection.read_exact(&mut head)).await;
            assert_eq!(&head, b"HTTP/1.1 401");
        }
        let mut events = Vec::new();
        let reading = self.events.read_to_end(&mut events);
        let _ = tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("the event stream ends");
        let (rows, _) = self.rows.rest().await;
        assert_eq!(last_error(&rows)["code"], "unauthenticated");

        // The writer is free, and nothing of the transaction was kept.
        let write = ask(&served.forge, ROOT, "INSERT INTO t VALUES ('of another')").await;
        assert_eq!(write.status, 200, "{}", write.text);
        let rows = ask(&served.forge, ROOT, "SELECT a FROM t").await.json();
        assert_eq!(rows["rows"], json!([["of another"]]));
        let metrics = served.forge.get("/metrics").await.text;
        let ended = "dbforge_sql_transactions_total{end=\"token_ended\"} 1";
        assert!(metrics.contains(ended), "{}", self.transaction);
    }
}

#[tokio::test]
async fn a_revoked_token_ends_all_that_it_has_open() {
    let served = gateway().await;
    let (id, token) = make_token(&served, None).await;
    let open = Open::under(&served, &token).await;
    let revoked = served
        .forge
        .send("DELETE", &format!("/v1/tokens/{id}"), "")
        .await;
    assert_eq!(revoked.status, 204, "{}", revoked.text);
    open.ends(&served).await;
}

#[tokio::test]
async fn a_token_that_expires_ends_all_that_it_has_open() {
    let served = gateway().await;
    let (_, token) = make_token(&served, Some("5s")).await;
    let open = Open::under(&served, &token).await;
    served.forge.kept.clock.advance(Duration::from_secs(5));
    open.ends(&served).await;
}

#[tokio::test]
async fn a_token_that_revokes_itself_is_answered() {
    let served = gateway().await;
    let body = json!({"name": "last", "scopes": ["admin"], "databases": ["*"]});
    let made = served
        .forge
        .post("/v1/tokens", &body.to_string())
        .await
        .json();
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    let token = made["token"].as_str().unwrap();
    let revoked = served.forge.ask("DELETE", &path).token(token).empty().await;
    assert_eq!(revoked.status, 204, "{}", revoked.text);
}
