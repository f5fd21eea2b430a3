//! Connections on a real socket: kept, bounded, drained.
use crate::support::http::{HttpForge, ROOT};
use dbforge::http::{HttpConfig, serve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Served {
    pub(crate) forge: HttpForge,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    pub(crate) async fn with(config: HttpConfig) -> Self {
        let forge = HttpForge::with(config).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, forge.gateway.clone(), stop.clone()).unwrap());
        Self {
            forge,
            address,
            stop,
            serving,
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.serving).await;
        ended.unwrap().unwrap();
        assert!(TcpStream::connect(self.address).await.is_err());
    }
}

pub(crate) async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// What arrives until the other side closes.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    // A connection that is given up may be reset; what arrived before counts.
    let _ = read.expect("the connection ends in time");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What arrives until `end` does.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let read = async {
        let mut piece = [0; 4096];
        while !text.contains(end) {
            let count = stream.read(&mut piece).await.unwrap();
            assert_ne!(count, 0, "closed after: {text}");
            text.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap();
    text
}

const LIVE: &str = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let served = Served::with(HttpConfig::default()).await;
    let mut stream = served.connect().await;
    for _ in 0..3 {
        send(&mut stream, LIVE).await;
        assert!(
            until(&mut stream, "alive\"}")
                .await
                .starts_with("HTTP/1.1 200 OK")
        );
    }
    served.stop.cancel();
    served.ended().await;
}

#[tokio::test]
async fn a_head_that_trickles_in_is_not_waited_for() {
    let config = HttpConfig {
        header_timeout: Duration::from_millis(100),
        ..HttpConfig::default()
    };
    let served = Served::with(config).await;
    let mut slow = served.connect().await;
    send(&mut slow, "GET /healthz HTTP/1.1\r\nhost:").await;
    let answer = rest(&mut slow).await;
    assert!(!answer.contains(" 200 "), "{answer}");
    let mut idle = served.connect().await;
    assert_eq!(rest(&mut idle).await, "");
}

#[tokio::test]
async fn a_body_that_trickles_in_is_not_waited_for() {
    let config = HttpConfig {
        body_timeout: Duration::from_millis(100),
        ..HttpConfig::default()
    };
    let served = Served::with(config).await;
    let mut slow = served.connect().await;
    let head = "POST /v1/databases HTTP/1.1\r\nhost: x\r\nx-api-key: dbf_root\r\n\
                content-length: 10\r\n\r\n{";
    send(&mut slow, head).await;
    let answer = rest(&mut slow).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("request_timeout"), "{answer}");
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_waits_answer_at_once() {
    let served = Served::with(HttpConfig::default()).await;
    let mut waiting = served.connect().await;
    let body = "{\"name\":\"shop\"}";
    let request = format!(
        "POST /v1/databases HTTP/1.1\r\nhost: x\r\nx-api-key: dbf_root\r\nprefer: wait=60\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    send(&mut waiting, &request).await;
    let mut changes = served.forge.control.changes();
    let requested = changes.wait_for(|it| it.state.find_database("shop").is_some());
    let requested = tokio::time::timeout(PATIENCE, async { requested.await.is_ok() });
    assert!(requested.await.unwrap());
    let mut idle = served.connect().await;
    send(&mut idle, LIVE).await;
    until(&mut idle, "alive\"}").await;

    served.stop.cancel();
    let answer = rest(&mut waiting).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert_eq!(rest(&mut idle).await, "", "an idle connection is closed");
    served.ended().await;
}

#[tokio::test]
async fn a_request_that_outlives_the_drain_is_given_up() {
    let config = HttpConfig {
        drain_timeout: Duration::from_millis(100),
        ..HttpConfig::default()
    };
    let served = Served::with(config).await;
    let mut slow = served.connect().await;
    let head = "POST /v1/databases HTTP/1.1\r\nhost: x\r\nx-api-key: dbf_root\r\n\
                content-length: 10\r\nexpect: 100-continue\r\n\r\n";
    send(&mut slow, head).await;
    until(&mut slow, "100 Continue").await;
    served.stop.cancel();
    assert!(!rest(&mut slow).await.contains("HTTP/1.1 2"));
    served.ended().await;
}

/// A request that creates nothing and needs its body: only the name is wrong.
const BODY: &str = r#"{"name":"-"}"#;

fn head(version: &str, path: &str, more: &str) -> String {
    format!("POST {path} HTTP/{version}\r\nhost: x\r\nx-api-key: {ROOT}\r\n{more}\r\n")
}

#[tokio::test]
async fn a_request_may_come_in_every_form_that_http_allows() {
    let served = Served::with(HttpConfig::default()).await;
    let path = "/v1/databases";
    let whole = format!("content-length: {}\r\n", BODY.len());
    let chunked = "transfer-encoding: chunked\r\n";
    let by_byte: String = BODY.chars().map(|it| format!("1\r\n{it}\r\n")).collect();
    let marked = format!(
        "{:x};why=not\r\n{BODY}\r\n0\r\nx-sum: 1\r\n\r\n",
        BODY.len()
    );
    let forms = [
        head("1.1", path, &whole) + BODY,
        head("1.0", path, &whole) + BODY,
        head("1.1", "http://elsewhere.example/v1/databases", &whole) + BODY,
        format!("\r\n{}{BODY}", head("1.1", path, &whole)),
        head("1.1", path, &whole).replace("\r\n", "\n") + BODY,
        head("1.1", path, chunked) + &by_byte + "0\r\n\r\n",
        head("1.1", path, chunked) + &marked,
        head("1.1", path, &format!("{whole}expect: 100-continue\r\n")) + BODY,
        head(
            "1.1",
            path,
            &format!("{whole}content-encoding: identity\r\n"),
        ) + BODY,
    ];
    for form in forms {
        let mut stream = served.connect().await;
        send(&mut stream, &form).await;
        let answer = until(&mut stream, "invalid_request").await;
        assert!(answer.contains(" 400 "), "{form}: {answer}");
        assert!(answer.contains("name"), "the body was read: {answer}");
    }
    let mut stream = served.connect().await;
    send(&mut stream, &LIVE.repeat(5)).await;
    let mut answers = String::new();
    while answers.matches("alive\"}").count() < 5 {
        answers += &until(&mut stream, "alive\"}").await;
    }
}

#[tokio::test]
async fn a_request_that_could_be_read_in_two_ways_is_refused_and_the_connection_closed() {
    let served = Served::with(HttpConfig::default()).await;
    for doubtful in [
        "content-length: 12\r\ncontent-length: 5\r\n",
        "content-length: -12\r\n",
        "content-length: +12\r\n",
        "content-length: 99999999999999999999999\r\n",
        "transfer-encoding: xchunked\r\n",
        "x-folded: a\r\n b\r\n",
        "content-length : 12\r\n",
        "x-nul: a\0b\r\n",
    ] {
        let mut stream = served.connect().await;
        send(
            &mut stream,
            &(head("1.1", "/v1/databases", doubtful) + BODY),
        )
        .await;
        let answer = rest(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{doubtful}: {answer}");
    }
}

/// Hyper leaves the length out and tells no handler of it, so it cannot be refused (RFC 9112, 6.3,
/// allows both).
#[tokio::test]
async fn a_request_with_a_length_and_chunks_is_read_by_its_chunks_and_is_the_last_one() {
    let served = Served::with(HttpConfig::default()).await;
    let behind = head("1.1", "/v1/databases", "");
    for both in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        let mut stream = served.connect().await;
        let chunks = format!("{:x}\r\n{BODY}\r\n0\r\n\r\n{behind}", BODY.len());
        send(&mut stream, &(head("1.1", "/v1/databases", both) + &chunks)).await;
        let answer = rest(&mut stream).await.to_ascii_lowercase();
        assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("http/1.1 ").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn who_asks_first_is_told_that_a_body_is_too_large_before_it_is_sent() {
    let served = Served::with(HttpConfig::default()).await;
    let mut stream = served.connect().await;
    let more = "content-length: 50000000\r\nexpect: 100-continue\r\n";
    send(&mut stream, &head("1.1", "/v1/databases", more)).await;
    let answer = until(&mut stream, "payload_too_large").await;
    assert!(
        answer.starts_with("HTTP/1.1 413 "),
        "not `100 Continue`: {answer}"
    );
}
