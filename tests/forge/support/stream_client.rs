//! A forge on a socket, and answers that are read piece by piece.
use super::http::{HttpForge, ROOT};
use dbforge::clock::Deadline;
use dbforge::http::{HttpConfig, serve};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Nothing here takes longer unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Numbers from 1 on, `{LIMIT}` of them.
pub(crate) const NUMBERS: &str =
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?1) ";
/// Numbers from 1 on, without an end.
pub(crate) const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";

/// A forge with the database `shop`, served on a socket.
pub(crate) struct Served {
    pub(crate) forge: HttpForge,
    pub(crate) address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl Served {
    pub(crate) async fn new() -> Self {
        Self::with(HttpConfig::default()).await
    }

    pub(crate) async fn with(config: HttpConfig) -> Self {
        let forge = HttpForge::with(config).await;
        forge.ready("shop").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, forge.gateway.clone(), stop).unwrap());
        Self {
            forge,
            address,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Sends a query with the parameters `?…` and headers, and reads the head of its answer.
    pub(crate) async fn query(&self, parameters: &str, headers: &str, body: &Value) -> Reply {
        let path = format!("/v1/databases/shop/query{parameters}");
        self.send("POST", &path, headers, &body.to_string()).await
    }

    /// The same as another token.
    pub(crate) async fn query_as(&self, token: &str, parameters: &str, body: &Value) -> Reply {
        let path = format!("/v1/databases/shop/query{parameters}");
        self.send_as(token, "POST", &path, "", &body.to_string())
            .await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        self.send_as(ROOT, method, path, headers, body).await
    }

    async fn send_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Reply {
        let socket = TcpStream::connect(self.address).await.unwrap();
        let mut socket = BufReader::new(socket);
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut status = String::new();
        read(socket.read_line(&mut status)).await;
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            read(socket.read_line(&mut line)).await;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.insert(name.to_owned(), value.to_owned());
        }
        Reply {
            status: status.split(' ').nth(1).unwrap().parse().unwrap(),
            headers,
            socket,
        }
    }

    pub(crate) async fn run(&self, sql: &str) {
        let body = json!({ "sql": sql }).to_string();
        let answer = self.forge.post("/v1/databases/shop/query", &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// The streams that are open, as the metrics tell it.
    pub(crate) async fn open_streams(&self) -> usize {
        let metrics = self.forge.get("/metrics").await.text;
        let line = metrics
            .lines()
            .find_map(|it| it.strip_prefix("dbforge_sql_streams "));
        line.unwrap().parse().unwrap()
    }

    pub(crate) async fn poll_streams(&self, wanted: usize) {
        let deadline = Deadline::after(PATIENCE);
        while self.open_streams().await != wanted {
            assert!(!deadline.has_passed(), "not {wanted} streams in time");
            tokio::task::yield_now().await;
        }
    }
}

pub(crate) async fn read<T>(reading: impl Future<Output = std::io::Result<T>>) -> T {
    tokio::time::timeout(PATIENCE, reading)
        .await
        .expect("something arrives in time")
        .unwrap()
}

/// An answer whose head was read.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) socket: BufReader<TcpStream>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The next chunk of a body in chunks; `None` behind the last.
    ///
    /// # Errors
    /// When the connection ends before the last chunk.
    pub(crate) async fn chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let reading = async {
            let mut length = String::new();
            self.socket.read_line(&mut length).await?;
            let length = usize::from_str_radix(length.trim_end(), 16)
                .map_err(|_| std::io::ErrorKind::UnexpectedEof)?;
            let mut chunk = vec![0; length + 2];
            self.socket.read_exact(&mut chunk).await?;
            chunk.truncate(length);
            Ok((length > 0).then_some(chunk))
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .expect("something arrives in time")
    }

    /// All that comes of the body, and whether it came to its end.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        if let Some(length) = self.headers.get("content-length") {
            bytes.resize(length.parse().unwrap(), 0);
            read(self.socket.read_exact(&mut bytes)).await;
            return (bytes, true);
        }
        assert_eq!(self.header("transfer-encoding"), "chunked");
        loop {
            match self.chunk().await {
                Ok(Some(chunk)) => bytes.extend(chunk),
                Ok(None) => return (bytes, true),
                Err(_) => return (bytes, false),
            }
        }
    }

    pub(crate) async fn text(mut self) -> String {
        let (bytes, is_whole) = self.rest().await;
        let text = String::from_utf8(bytes).unwrap();
        assert!(is_whole && self.status == 200, "{}: {text}", self.status);
        text
    }

    pub(crate) async fn problem(mut self) -> (u16, String) {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.rest().await.0).unwrap();
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }
}

/// The same text whatever time it took.
pub(crate) fn without_times(text: &str) -> String {
    let Some((before, after)) = text.split_once("\"elapsed_ms\":") else {
        return text.to_owned();
    };
    let rest = after.trim_start_matches(|it: char| it.is_ascii_digit() || it == '.');
    format!("{before}\"elapsed_ms\":0{rest}")
}

/// The problem in the last line of NDJSON.
pub(crate) fn last_error(lines: &[u8]) -> Value {
    let text = std::str::from_utf8(lines).unwrap();
    assert!(text.ends_with('\n'));
    let mut line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    line["error"].take()
}
