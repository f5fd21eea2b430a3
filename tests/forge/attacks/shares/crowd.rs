//! Many connections of one token, each with one request, and what others see meanwhile.
use crate::support::http::{Answer, HttpForge};
use crate::support::stream_client::{PATIENCE, Served};
use dbforge::clock::Deadline;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

/// The path of SQL on the one database.
pub(super) const QUERY: &str = "/v1/databases/shop/query";

/// Connections that are open, on which nothing is read.
pub(super) struct Crowd(pub(super) Vec<TcpStream>);

impl Crowd {
    /// Opens connections and sends the same request on each.
    pub(crate) async fn of(count: usize, served: &Served, request: &str) -> Self {
        let mut connections = Vec::new();
        for _ in 0..count {
            let socket = TcpSocket::new_v4().unwrap();
            // What the kernel would keep for a client, the gateway has to keep.
            socket.set_recv_buffer_size(4 << 10).unwrap();
            let mut connection = socket.connect(served.address).await.unwrap();
            connection.write_all(request.as_bytes()).await.unwrap();
            connections.push(connection);
        }
        Self(connections)
    }

    /// Waits until each of them waits or is answered, and takes out those that are: their statuses.
    pub(crate) async fn come_to_rest(&mut self, forge: &HttpForge, token: &str) -> Vec<String> {
        let (deadline, all) = (Deadline::after(PATIENCE), self.0.len());
        let mut answered = Vec::new();
        loop {
            let [waiting, ..] = usage(forge, token, "waiting").await;
            if answered.len() + waiting as usize >= all {
                return answered;
            }
            assert!(!deadline.has_passed(), "{waiting} wait, {answered:?}");
            answered.extend(self.take_answered());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until `count` of them are answered, or more, and takes those out: their statuses.
    pub(crate) async fn answered(&mut self, count: usize) -> Vec<String> {
        let deadline = Deadline::after(PATIENCE);
        let mut answered = Vec::new();
        while answered.len() < count {
            assert!(!deadline.has_passed(), "{answered:?}");
            answered.extend(self.take_answered());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        answered
    }

    fn take_answered(&mut self) -> Vec<String> {
        let mut statuses = Vec::new();
        self.0.retain(|connection| {
            let mut head = [0; 12];
            let is_answered = connection
                .try_read(&mut head)
                .is_ok_and(|it| it == head.len());
            if is_answered {
                statuses.push(String::from_utf8_lossy(&head[9..]).into_owned());
            }
            !is_answered
        });
        statuses
    }
}

/// A request as it is sent, with its body.
pub(super) fn post(token: &str, path: &str, more: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The same without a body.
pub(super) fn get(token: &str, path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n{more}\r\n")
}

/// What a token sees of its own share: `[used, share, limit]`.
pub(super) async fn usage(forge: &HttpForge, token: &str, of: &str) -> [u64; 3] {
    let answer = forge.ask("GET", "/v1/usage").token(token).empty().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let usage = &answer.json()[of];
    ["used", "share", "limit"].map(|it| usage[it].as_u64().unwrap())
}

/// Waits until a token uses so much.
pub(super) async fn until_used(
    forge: &HttpForge,
    token: &str,
    of: &str,
    is_enough: impl Fn(u64) -> bool,
) {
    let deadline = Deadline::after(PATIENCE);
    loop {
        let [used, ..] = usage(forge, token, of).await;
        if is_enough(used) {
            return;
        }
        assert!(!deadline.has_passed(), "{of}: {used} in the end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Runs one statement as a token.
pub(super) async fn ask(forge: &HttpForge, token: &str, sql: &str) -> Answer {
    let body = json!({ "sql": sql, "timeout_ms": 30_000 }).to_string();
    forge.ask("POST", QUERY).token(token).body(&body).await
}
