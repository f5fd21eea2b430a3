//! A client that may send anything: HTTP/1.1 by hand over a real socket.
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// So long is an answer waited for. Whoever waits in vain has found a fault, not a slow machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One caller of a gateway.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: String,
    token: Option<String>,
}

/// What came back.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Client {
    pub(crate) fn new(url: &str, token: Option<&str>) -> Self {
        Self {
            address: url.trim_start_matches("http://").to_owned(),
            token: token.map(str::to_owned),
        }
    }

    /// The same gateway, as somebody else.
    pub(crate) fn with(&self, token: Option<&str>) -> Self {
        Self {
            address: self.address.clone(),
            token: token.map(str::to_owned),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        let json = [("Content-Type", "application/json")];
        self.send("POST", path, &json, body.to_string().as_bytes())
    }

    /// A well-formed request.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let head = self.head(method, path, headers, body.len());
        let request = [head.as_bytes(), body].concat();
        self.raw(&request)
            .unwrap_or_else(|| panic!("no answer to {method} {path:.100}"))
    }

    /// The beginning of a request.
    pub(crate) fn head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: usize,
    ) -> String {
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        if let Some(token) = &self.token {
            head.push_str(&format!("X-API-Key: {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
        head
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends these bytes. `None` when the gateway closed the connection without an answer.
    pub(crate) fn raw(&self, request: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        // It may answer and close before it has read all.
        let _ = stream.write_all(request);
        read_answer(&mut stream)
    }
}

/// Reads until the other side closes.
pub(crate) fn read_answer(stream: &mut TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        use std::io::ErrorKind::{ConnectionReset, TimedOut, WouldBlock};
        assert!(
            !matches!(error.kind(), TimedOut | WouldBlock),
            "neither an answer nor an end within {PATIENCE:?}"
        );
        // What arrived before the reset counts.
        assert_eq!(error.kind(), ConnectionReset, "{error}");
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// `sql_error` and the like; empty where it went well.
    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }
}
