//! Watching: events as they happen, cut and resumed, for those who may see them.
mod progress;

use crate::support::gateway_process::{GatewayProcess, PATIENCE};
use crate::support::http::{Answer, HttpForge};
use dbforge::domain::command::Command;
use dbforge::domain::token::Scope;
use dbforge::http::{HttpConfig, serve};
use serde_json::{Value, json};
use std::io::Read;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// The events of a stream's text: those that came whole.
fn events_in(text: &str) -> Vec<(u64, String, Value)> {
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let blocks = whole.split("\n\n").filter(|it| it.starts_with("id: "));
    blocks
        .map(|block| {
            let mut lines = block.lines();
            let mut field = |name: &str| {
                let line = lines.next().unwrap();
                line.strip_prefix(name).unwrap().to_owned()
            };
            let id = field("id: ").parse().unwrap();
            let kind = field("event: ");
            (id, kind, serde_json::from_str(&field("data: ")).unwrap())
        })
        .collect()
}

fn kinds_in(answer: &Answer) -> Vec<String> {
    let events = events_in(&answer.text);
    events.into_iter().map(|(_, kind, _)| kind).collect()
}

fn streaming_agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().timeout_global(Some(PATIENCE));
    config.build().into()
}

/// Numbers that follow from a seed (an LCG of Knuth's).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

#[test]
fn a_stream_that_is_cut_at_random_and_resumed_has_each_event_once_and_in_order() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let agent = streaming_agent();
    let mut numbers = Numbers(20_261_124);
    let mut seen: Vec<(u64, Value)> = Vec::new();
    let mut cuts = 0;
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            for n in 0..40 {
                let created = gateway.post("/v1/databases", &json!({"name": format!("d{n}")}));
                assert_eq!(created.unwrap().0, 202);
            }
        });
        let is_done = |seen: &[(u64, Value)]| {
            load.is_finished() && {
                let (_, jobs) = gateway
                    .get("/v1/jobs?state=queued,running,retry_wait")
                    .unwrap();
                let (_, head) = gateway.get("/v1/audit/head").unwrap();
                let last = seen.last().map(|it| it.0);
                jobs["data"] == json!([]) && head["sequence"].as_u64() == last
            }
        };
        while !is_done(&seen) {
            let mut request = agent
                .get(format!("{}/v1/events?after=0", gateway.url))
                .header("X-API-Key", &gateway.token)
                .header("Accept", "text/event-stream");
            if let Some((last, _)) = seen.last() {
                request = request.header("Last-Event-ID", last.to_string());
            }
            let mut body = request.call().unwrap().into_body().into_reader();
            let mut bytes = vec![0; 1 + usize::try_from(numbers.below(9000)).unwrap()];
            let mut filled = 0;
            // At most the opening and what is there: a stream that has nothing to say is cut too.
            while filled < bytes.len() {
                let piece = &mut bytes[filled..];
                let count = body.read(piece).unwrap();
                let says_nothing = filled > 0 && piece.starts_with(b":");
                filled += count;
                if count == 0 || says_nothing || numbers.below(4) == 0 {
                    break;
                }
            }
            cuts += 1;
            let text = String::from_utf8_lossy(&bytes[..filled]).into_owned();
            seen.extend(
                events_in(&text)
                    .into_iter()
                    .map(|(id, _, event)| (id, event)),
            );
        }
        load.join().unwrap();
    });
    let ids: Vec<u64> = seen.iter().map(|it| it.0).collect();
    let whole: Vec<u64> = (1..=ids.len() as u64).collect();
    assert_eq!(ids, whole);
    assert!(seen.iter().all(|(id, event)| event["sequence"] == *id));
    assert!(
        cuts > 10 && ids.len() > 400,
        "{cuts} cuts, {} events",
        ids.len()
    );
}

#[test]
fn a_gateway_that_stops_ends_its_streams_at_once() {
    let folder = TempDir::new().unwrap();
    // Requests would be let run for longer than anybody waits for this test.
    let settings = [("DBFORGE_RUNTIME", "process"), ("DBFORGE_STOP_GRACE", "1h")];
    let gateway = GatewayProcess::start_with(folder.path(), &settings);
    let request = streaming_agent()
        .get(format!("{}/v1/events", gateway.url))
        .header("X-API-Key", &gateway.token)
        .header("Accept", "text/event-stream");
    let mut body = request.call().unwrap().into_body().into_reader();
    assert!(gateway.stop());
    let mut text = String::new();
    body.read_to_string(&mut text).unwrap();
    assert_eq!(text, "retry: 1000\n\n");
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_dropped() {
    let config = HttpConfig {
        write_timeout: Duration::from_millis(50),
        ..HttpConfig::default()
    };
    let forge = HttpForge::with(config).await;
    // More than the buffers of both sides of a connection hold.
    for n in 0..3000 {
        let token = Command::IssueToken {
            name: format!("t{n}"),
            hash: format!("{n:064}"),
            scopes: vec![Scope::Read],
            databases: vec!["x".repeat(63); 64],
            expires_in: None,
        };
        forge.submit(token).await.unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(listener, forge.gateway.clone(), stop.clone()).unwrap());
    let mut reader = TcpStream::connect(address).await.unwrap();
    let request = "GET /v1/events?after=0 HTTP/1.1\r\nhost: x\r\nx-api-key: dbf_root\r\n\
                   accept: text/event-stream\r\n\r\n";
    reader.write_all(request.as_bytes()).await.unwrap();
    wait_for_streams(&forge, 1).await;
    wait_for_streams(&forge, 0).await;
    stop.cancel();
    served.await.unwrap();
}

async fn wait_for_streams(forge: &HttpForge, count: usize) {
    let line = format!("\ndbforge_event_streams {count}\n");
    let is_so = async {
        while !forge.get("/metrics").await.text.contains(&line) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, is_so).await.unwrap();
}

async fn stream(forge: &HttpForge, token: &str, path: &str) -> Answer {
    let ask = forge.ask("GET", path).token(token);
    let whole = ask.header("accept", "text/event-stream").empty();
    tokio::time::timeout(PATIENCE, whole).await.unwrap()
}

#[tokio::test]
async fn a_token_for_some_databases_sees_their_events_also_of_those_that_are_gone() {
    let forge = HttpForge::new().await;
    let audit = forge.token("ci", r#""audit""#, r#""pr-*""#).await;
    forge.ready("shop").await;
    forge.ready("pr-1").await;
    forge
        .send("DELETE", "/v1/databases/pr-1?purge=true", "")
        .await;
    forge.settle().await;
    forge.kept.clock.advance(Duration::from_secs(7200));
    forge.token("later", r#""read""#, r#""*""#).await;
    let until = "/v1/events?after=0&until=2026-03-01T13:00:00Z";
    let all = stream(&forge, crate::support::http::ROOT, until).await;
    let some = stream(&forge, &audit, until).await;
    let of_all = kinds_in(&all);
    assert_eq!(of_all.first().unwrap(), "forge_founded");
    let kinds = kinds_in(&some);
    assert_eq!(kinds.first().unwrap(), "database_requested", "{kinds:?}");
    assert!(kinds.contains(&"database_purged".to_owned()), "{kinds:?}");
    let names: Vec<Value> = events_in(&some.text)
        .into_iter()
        .filter(|(_, kind, _)| kind == "database_requested")
        .map(|(_, _, event)| event["data"]["name"].clone())
        .collect();
    assert_eq!(names, [json!("pr-1")]);
    forge
        .ask("GET", "/v1/events?after=0")
        .token(&audit)
        .empty()
        .await
        .problem(403, "insufficient_scope");
}

#[tokio::test]
async fn a_stream_ends_when_its_token_is_revoked() {
    let forge = HttpForge::new().await;
    let made = r#"{"name":"ci","scopes":["audit"],"databases":["*"]}"#;
    let made = forge.post("/v1/tokens", made).await.json();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["token"].as_str().unwrap(),
    );
    let revoke = async {
        wait_for_streams(&forge, 1).await;
        let path = format!("/v1/tokens/{id}");
        forge.send("DELETE", &path, "").await
    };
    let (watched, revoked) = tokio::join!(stream(&forge, secret, "/v1/events"), revoke);
    assert_eq!(revoked.status.as_u16(), 204);
    assert_eq!(watched.text, "retry: 1000\n\n");
}

#[tokio::test]
async fn a_job_is_watched_from_its_first_event_to_its_last() {
    let forge = HttpForge::new().await;
    let (_, job) = forge.request("shop").await;
    let path = format!("/v1/jobs/{job}/events");
    let (watched, ()) = tokio::join!(
        stream(&forge, crate::support::http::ROOT, &path),
        forge.settle()
    );
    let kinds = kinds_in(&watched);
    assert_eq!(kinds.first().unwrap(), "job_enqueued");
    assert_eq!(kinds.last().unwrap(), "job_succeeded");
    assert_eq!(watched.header("content-type"), "text/event-stream");
    let last = events_in(&watched.text).last().unwrap().0.to_string();
    let again = forge.ask("GET", &path).token(crate::support::http::ROOT);
    let again = again.header("last-event-id", &last).empty().await;
    assert_eq!((again.status.as_u16(), again.text.as_str()), (204, ""));
}

#[tokio::test]
async fn what_a_stream_cannot_do_is_said() {
    let forge = HttpForge::with(HttpConfig {
        stream_limit: 0,
        ..HttpConfig::default()
    })
    .await;
    let root = crate::support::http::ROOT;
    let full = stream(&forge, root, "/v1/events").await;
    full.problem(503, "overloaded");
    assert_eq!(full.header("retry-after"), "1");
    let forge = HttpForge::new().await;
    for path in [
        "/v1/events?limit=5",
        "/v1/events?order=desc",
        "/v1/events?after=99999",
    ] {
        stream(&forge, root, path)
            .await
            .problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_question_for_events_may_wait_for_the_next() {
    let forge = HttpForge::new().await;
    let ask = async {
        forge
            .get("/v1/events?after=2&kind=token_issued&wait=60")
            .await
    };
    let make = async { forge.token("ci", r#""read""#, r#""*""#).await };
    let (answer, _) = tokio::join!(ask, make);
    assert_eq!(answer.json()["data"][0]["data"]["name"], "ci");
}
