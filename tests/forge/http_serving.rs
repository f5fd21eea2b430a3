//! Connections on a real socket: kept, bounded, drained.
use crate::http_support::HttpForge;
use dbforge::http::{HttpConfig, serve};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Nothing in these tests takes longer unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

struct Served {
    forge: HttpForge,
    address: SocketAddr,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Served {
    async fn with(config: HttpConfig) -> Self {
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

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn ended(self) {
        let ended = tokio::time::timeout(PATIENCE, self.serving).await;
        ended.unwrap().unwrap();
        assert!(TcpStream::connect(self.address).await.is_err());
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// What arrives until the other side closes.
async fn rest(stream: &mut TcpStream) -> String {
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
async fn more_connections_than_the_bound_wait_for_room() {
    let config = HttpConfig {
        connection_limit: 1,
        ..HttpConfig::default()
    };
    let served = Served::with(config).await;
    let mut first = served.connect().await;
    send(&mut first, LIVE).await;
    until(&mut first, "alive\"}").await;
    let mut second = served.connect().await;
    send(&mut second, LIVE).await;
    let waits = tokio::time::timeout(Duration::from_millis(100), second.readable()).await;
    assert!(
        waits.is_err(),
        "the second is not answered while the first is open"
    );
    drop(first);
    until(&mut second, "alive\"}").await;
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
