//! Webhooks: receivers that fail are told again, in order, and nothing is lost.
use crate::support::gateway_process::{GatewayProcess, PATIENCE};
use crate::support::http::HttpForge;
use dbforge::clock::Stopwatch;
use dbforge::clock::timestamp::Timestamp;
use dbforge::config::Targets;
use dbforge::http::HttpConfig;
use dbforge::jobs::webhooks::WebhookConfig;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

const KEY: &str = "0123456789abcdef";

/// What a receiver does with a message.
#[derive(Clone, Copy)]
enum Does {
    Takes,
    Answers(u16),
    Redirects,
    /// Answers 503, and when to come back.
    AsksFor(&'static str),
    Closes,
    /// Answers nothing, and keeps the connection.
    Hangs,
}

/// A message that came in.
#[derive(Clone)]
struct Received {
    headers: BTreeMap<String, String>,
    body: String,
    taken: bool,
}

impl Received {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver on a port of its own, in threads.
struct Receiver {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Receiver {
    /// `does` is asked with the number of the message, from 0.
    fn start(does: impl Fn(usize) -> Does + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let all = received.clone();
        std::thread::spawn(move || {
            let mut hanging = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                let mut stream = stream;
                let Some((headers, body)) = read_request(&stream) else {
                    continue;
                };
                let what = does(all.lock().unwrap().len());
                let taken = matches!(what, Does::Takes);
                all.lock().unwrap().push(Received {
                    headers,
                    body,
                    taken,
                });
                let status = match what {
                    Does::Takes => "204 No Content\r\n".to_owned(),
                    Does::Answers(status) => format!("{status} No\r\n"),
                    Does::Redirects => "302 Found\r\nlocation: /elsewhere\r\n".to_owned(),
                    Does::AsksFor(pause) => {
                        format!("503 Later\r\nretry-after: {pause}\r\n")
                    }
                    Does::Closes => continue,
                    Does::Hangs => {
                        hanging.push(stream);
                        continue;
                    }
                };
                let answer =
                    format!("HTTP/1.1 {status}connection: close\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, received }
    }

    fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// The sequences of the messages that it took, in the order they came.
    fn taken(&self) -> Vec<u64> {
        let all = self.all().into_iter().filter(|it| it.taken);
        all.map(|it| it.json()["id"].as_str().unwrap().parse().unwrap())
            .collect()
    }
}

fn read_request(stream: &TcpStream) -> Option<(BTreeMap<String, String>, String)> {
    let mut reader = BufReader::new(stream);
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => {
                headers.insert(name.to_ascii_lowercase(), value.to_owned());
            }
            None if line.trim_end().is_empty() => break,
            None => {}
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some((headers, String::from_utf8(body).ok()?))
}

fn quick(max_failures: u32) -> HttpConfig {
    HttpConfig {
        webhooks: WebhookConfig {
            timeout: Duration::from_millis(300),
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(5),
            max_failures,
            ..WebhookConfig::default()
        },
        ..HttpConfig::default()
    }
}

async fn webhook(forge: &HttpForge, body: Value) -> String {
    let answer = forge.post("/v1/webhooks", &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Stopwatch::start();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "not within a minute: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_receiver_that_fails_in_every_way_is_told_of_everything_in_order() {
    let forge = HttpForge::with(quick(1000)).await;
    let receiver = Receiver::start(|n| match n % 7 {
        1 => Does::Answers(500),
        2 => Does::Redirects,
        3 => Does::Closes,
        4 if n < 12 => Does::Hangs,
        5 => Does::Answers(404),
        _ => Does::Takes,
    });
    let stop = CancellationToken::new();
    let telling = tokio::spawn(forge.gateway.service.webhooks.clone().run(stop.clone()));
    let id = webhook(&forge, json!({"url": receiver.url, "secret": KEY})).await;
    let first = forge.control.current().head.sequence.0 + 1;
    for n in 0..12 {
        forge.token(&format!("t{n}"), r#""read""#, r#""*""#).await;
    }
    until("twelve are taken", || receiver.taken().len() == 12).await;
    assert_eq!(receiver.taken(), (first..first + 12).collect::<Vec<_>>());

    let all = receiver.all();
    assert!(all.len() > 20, "failures were tried again: {}", all.len());
    for message in &all {
        assert_eq!(message.headers["dbforge-signature"], signature(message));
        let event = message.json();
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], "dbforge.token_issued");
        assert_eq!(event["data"]["sequence"].to_string(), event["id"]);
        let delivery = format!("{id}.{}", event["id"].as_str().unwrap());
        assert_eq!(message.headers["dbforge-delivery"], delivery);
    }
    // A try is listed once its answer has come back.
    let known = forge.control.current();
    let known = known.state.webhook(id.parse().unwrap()).unwrap().clone();
    let tries = || forge.gateway.service.webhooks.deliveries(&known).len();
    until("every try is listed", || tries() == all.len()).await;
    let listed = forge
        .get(&format!("/v1/webhooks/{id}/deliveries"))
        .await
        .json();
    let listed = listed["data"].as_array().unwrap();
    assert!(listed.iter().any(|it| {
        it["error"]
            .as_str()
            .is_some_and(|it| it.contains("redirect"))
    }));
    stop.cancel();
    telling.await.unwrap();
}

/// The signature that this message must have, from the time that it says.
fn signature(message: &Received) -> String {
    let time = message.headers["dbforge-signature"]
        .split(',')
        .next()
        .unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(format!("{time}.{}", message.body).as_bytes());
    format!("t={time},v1={}", hex::encode(mac.finalize().into_bytes()))
}

#[tokio::test]
async fn a_webhook_that_fails_too_often_is_disabled_and_goes_on_where_it_was_once_enabled() {
    let forge = HttpForge::with(quick(3)).await;
    let receiver = Receiver::start(|n| match n {
        1..=3 => Does::Answers(503),
        _ => Does::Takes,
    });
    let stop = CancellationToken::new();
    let telling = tokio::spawn(forge.gateway.service.webhooks.clone().run(stop.clone()));
    let kinds = json!(["token_issued"]);
    let id = webhook(&forge, json!({"url": receiver.url, "kinds": kinds})).await;
    for n in 0..5 {
        forge.token(&format!("t{n}"), r#""read""#, r#""*""#).await;
    }
    let is_disabled = || {
        let current = forge.control.current();
        let webhook = current.state.webhook(id.parse().unwrap()).unwrap();
        webhook.disabled.is_some()
    };
    until("it is disabled", is_disabled).await;
    let shown = forge.get(&format!("/v1/webhooks/{id}")).await.json();
    let reason = shown["disabled_reason"].as_str().unwrap();
    assert!(
        reason.starts_with("3 failures in a row") && reason.contains("503"),
        "{reason}"
    );
    assert_eq!(receiver.taken().len(), 1);
    let enabled = forge.post(&format!("/v1/webhooks/{id}/enable"), "").await;
    assert_eq!(enabled.json()["enabled"], true);
    until("the rest is taken", || receiver.taken().len() == 5).await;
    let taken = receiver.taken();
    assert!(taken.is_sorted_by(|a, b| a < b), "{taken:?}");
    stop.cancel();
    telling.await.unwrap();
}

#[tokio::test]
async fn a_webhook_is_told_of_what_it_names_and_a_test_says_what_came_of_it() {
    let forge = HttpForge::with(quick(3)).await;
    let receiver = Receiver::start(|_| Does::Takes);
    let stop = CancellationToken::new();
    let telling = tokio::spawn(forge.gateway.service.webhooks.clone().run(stop.clone()));
    let named = json!({"url": receiver.url, "kinds": ["database_ready"], "databases": ["pr-*"]});
    let id = webhook(&forge, named).await;
    forge.ready("shop").await;
    forge.ready("pr-7").await;
    until("it is told", || receiver.all().len() == 1).await;
    assert_eq!(receiver.all()[0].json()["subject"], "pr-7");
    let tested = forge
        .post(&format!("/v1/webhooks/{id}/test"), "")
        .await
        .json();
    assert_eq!(
        (&tested["status"], &tested["delivered"]),
        (&json!(204), &json!(true))
    );
    assert_eq!(receiver.all()[1].json()["type"], "dbforge.test");
    let gone = forge
        .send("DELETE", &format!("/v1/webhooks/{id}"), "")
        .await;
    assert_eq!(gone.status.as_u16(), 204);
    let folder = forge.kept.folder.path().join(".forge/webhooks");
    until("no file of it is left", || {
        folder.read_dir().unwrap().count() == 0
    })
    .await;
    stop.cancel();
    telling.await.unwrap();
}

#[tokio::test]
async fn a_webhook_goes_only_where_the_settings_let_it_and_its_secret_is_shown_once() {
    let receiver = Receiver::start(|_| Does::Takes);
    let mut config = quick(3);
    config.webhooks.targets = "public".parse::<Targets>().unwrap();
    let forge = HttpForge::with(config).await;
    let refused = |url: &str| json!({ "url": url }).to_string();
    for url in [
        &receiver.url,
        "http://169.254.169.254/latest",
        "http://[::1]/",
    ] {
        let answer = forge.post("/v1/webhooks", &refused(url)).await;
        answer.problem(400, "invalid_request");
    }
    for url in [
        "ftp://example.org",
        "http://me:secret@example.org/",
        "not a valid URL",
    ] {
        let answer = forge.post("/v1/webhooks", &refused(url)).await;
        answer.problem(400, "invalid_request");
    }
    // A name is looked up when it is told.
    let url = receiver.url.replace("127.0.0.1", "localhost");
    let made = forge.post("/v1/webhooks", &refused(&url)).await.json();
    assert!(made["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/v1/webhooks/{}", made["id"].as_str().unwrap());
    assert_eq!(forge.get(&path).await.json().get("secret"), None);
    let tested = forge.post(&format!("{path}/test"), "").await.json();
    let error = tested["error"].as_str().unwrap();
    assert!(error.contains("DBFORGE_WEBHOOK_TARGETS"), "{error}");
    assert!(receiver.all().is_empty());
    let manage = forge.token("ops", r#""manage","audit""#, r#""*""#).await;
    let listed = forge
        .ask("GET", "/v1/webhooks")
        .token(&manage)
        .empty()
        .await;
    listed.problem(403, "insufficient_scope");
    let exported = forge.get("/v1/audit/export").await.text;
    assert!(!exported.contains(made["secret"].as_str().unwrap()));
}

#[test]
fn kills_and_restarts_in_the_middle_lose_nothing() {
    let folder = TempDir::new().unwrap();
    let receiver = Receiver::start(|n| {
        if n % 50 == 4 {
            Does::Closes
        } else {
            Does::Takes
        }
    });
    let gateway = GatewayProcess::start(folder.path());
    let hook = json!({"url": receiver.url, "secret": KEY});
    let (status, made) = gateway.post("/v1/webhooks", &hook).unwrap();
    assert_eq!(status, 201, "{made}");
    let since = made["sequence"].as_u64().unwrap();
    let mut running = Some(gateway);
    for round in 0..4 {
        let gateway = running.take().unwrap();
        for n in 0..5 {
            let name = json!({"name": format!("r{round}-{n}")});
            assert_eq!(gateway.post("/v1/databases", &name).unwrap().0, 202);
        }
        match round % 2 {
            0 => gateway.kill(),
            _ => assert!(gateway.stop()),
        }
        running = Some(GatewayProcess::start(folder.path()));
    }
    let gateway = running.unwrap();
    gateway.poll("every job ends", || {
        let jobs = gateway
            .get("/v1/jobs?state=queued,running,retry_wait")
            .unwrap()
            .1;
        jobs["data"] == json!([])
    });
    let head = gateway.get("/v1/audit/head").unwrap().1["sequence"]
        .as_u64()
        .unwrap();
    gateway.poll("the last event is taken", || {
        receiver.taken().contains(&head)
    });
    let mut taken = receiver.taken();
    let tries = taken.len();
    taken.sort_unstable();
    taken.dedup();
    assert_eq!(
        taken,
        (since + 1..=head).collect::<Vec<_>>(),
        "{tries} in all"
    );
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_gets_it_and_its_event_can_be_skipped() {
    let forge = HttpForge::with(quick(1000)).await;
    let receiver = Receiver::start(|n| match n {
        0 => Does::AsksFor("3600"),
        _ => Does::Takes,
    });
    let stop = CancellationToken::new();
    let telling = tokio::spawn(forge.gateway.service.webhooks.clone().run(stop.clone()));
    let kinds = json!(["token_issued"]);
    let id = webhook(&forge, json!({"url": receiver.url, "kinds": kinds})).await;
    forge.token("t0", r#""read""#, r#""*""#).await;
    let first = forge.control.current().head.sequence.0;
    forge.token("t1", r#""read""#, r#""*""#).await;
    let deliveries = format!("/v1/webhooks/{id}/deliveries");
    let start = Stopwatch::start();
    let retry_at = loop {
        let shown = forge.get(&format!("/v1/webhooks/{id}")).await.json();
        if let Some(retry_at) = shown["retry_at"].as_str() {
            break time(retry_at);
        }
        assert!(start.elapsed() < PATIENCE, "the first try fails");
    };
    let listed = forge.get(&deliveries).await.json();
    let first_try = time(listed["data"][0]["at"].as_str().unwrap());
    let pause = retry_at.since(first_try);
    assert!(
        pause >= Duration::from_secs(3600),
        "not within 5 ms: {pause:?}"
    );

    let skip = |through: u64| json!({ "through": through }).to_string();
    let path = format!("/v1/webhooks/{id}/skip");
    let beyond = forge.post(&path, &skip(first + 1000)).await;
    beyond.problem(404, "event_not_found");
    let skipped = forge.post(&path, &skip(first)).await.json();
    assert_eq!(skipped["delivered_through"], first, "{skipped}");
    until("the next is told", || receiver.taken().len() == 1).await;
    assert_eq!(receiver.taken(), [first + 1]);

    let replay = format!("/v1/webhooks/{id}/replay");
    let again = json!({ "sequence": first }).to_string();
    let again = forge.post(&replay, &again).await.json();
    assert_eq!(
        (&again["delivered"], &again["sequence"]),
        (&json!(true), &json!(first))
    );
    assert_eq!(receiver.taken(), [first + 1, first]);
    let none = json!({"sequence": 1_000_000}).to_string();
    forge
        .post(&replay, &none)
        .await
        .problem(404, "event_not_found");
    stop.cancel();
    telling.await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_gone_disables_its_webhook_which_may_go_on_from_now() {
    let forge = HttpForge::with(quick(1000)).await;
    let receiver = Receiver::start(|n| match n {
        0 => Does::Answers(410),
        _ => Does::Takes,
    });
    let stop = CancellationToken::new();
    let telling = tokio::spawn(forge.gateway.service.webhooks.clone().run(stop.clone()));
    let kinds = json!(["token_issued"]);
    let id = webhook(&forge, json!({"url": receiver.url, "kinds": kinds})).await;
    let path = format!("/v1/webhooks/{id}");
    forge.token("t0", r#""read""#, r#""*""#).await;
    let start = Stopwatch::start();
    while forge.get(&path).await.json()["enabled"] == true {
        assert!(start.elapsed() < PATIENCE, "410 disables at once");
    }
    let shown = forge.get(&path).await.json();
    assert_eq!(shown["disabled_reason"], "the receiver answered 410 Gone");
    let enable = async |body: Value| {
        let path = format!("{path}/enable");
        forge.post(&path, &body.to_string()).await.json()
    };
    assert_eq!(enable(json!({"from_now": true})).await["enabled"], true);
    forge.token("t1", r#""read""#, r#""*""#).await;
    let second = forge.control.current().head.sequence.0;
    until("what comes from now on is told", || {
        !receiver.taken().is_empty()
    })
    .await;
    assert_eq!(receiver.taken(), [second]);

    let paused = forge.post(&format!("{path}/pause"), "").await.json();
    assert_eq!(
        (&paused["enabled"], &paused["disabled_reason"]),
        (&json!(false), &json!("paused by root"))
    );
    forge.token("t2", r#""read""#, r#""*""#).await;
    let third = forge.control.current().head.sequence.0;
    assert_eq!(enable(json!({})).await["enabled"], true);
    until("what came meanwhile is told", || {
        receiver.taken().len() == 2
    })
    .await;
    assert_eq!(receiver.taken(), [second, third]);
    stop.cancel();
    telling.await.unwrap();
}

#[tokio::test]
async fn a_webhook_sends_its_own_headers_and_signs_with_both_secrets_for_a_while() {
    let forge = HttpForge::with(quick(3)).await;
    let receiver = Receiver::start(|_| Does::Takes);
    let headers = json!({"Authorization": "Bearer dbf_hidden_away"});
    let body = json!({"url": receiver.url, "secret": KEY, "headers": headers});
    let id = webhook(&forge, body).await;
    let path = format!("/v1/webhooks/{id}");
    let replaced = json!({"overlap": "1h"}).to_string();
    let replaced = forge
        .post(&format!("{path}/secret"), &replaced)
        .await
        .json();
    assert!(replaced["secret"].as_str().unwrap().starts_with("whsec_"));
    forge.post(&format!("{path}/test"), "").await;
    let message = receiver.all().remove(0);
    assert_eq!(message.headers["authorization"], "Bearer dbf_hidden_away");
    let signed = &message.headers["dbforge-signature"];
    assert_eq!(signed.matches("v1=").count(), 2, "{signed}");
    let with_the_old_one = signature(&message);
    let old = with_the_old_one.split_once(',').unwrap().1;
    assert!(signed.ends_with(old), "{signed}");

    let replaced = json!({"secret": "another-secret-of-mine"}).to_string();
    forge.post(&format!("{path}/secret"), &replaced).await;
    forge.post(&format!("{path}/test"), "").await;
    let message = receiver.all().remove(1);
    let signed = &message.headers["dbforge-signature"];
    assert_eq!(
        signed.matches("v1=").count(),
        2,
        "the second ended at once: {signed}"
    );
    let with_the_first = signature(&message);
    let first = with_the_first.split_once(',').unwrap().1;
    assert!(
        signed.ends_with(first),
        "the first was promised an hour: {signed}"
    );

    let shown = forge.get(&path).await.json();
    assert_eq!(shown["headers"], json!(["Authorization"]));
    let exported = forge.get("/v1/audit/export").await.text;
    assert!(!exported.contains("hidden_away"), "the log holds no secret");
    for (name, value) in [
        ("Host", "x"),
        ("dbforge-signature", "x"),
        ("X-A", "line\nbreak"),
    ] {
        let mut headers = serde_json::Map::new();
        headers.insert(name.to_owned(), json!(value));
        let body = json!({ "headers": headers }).to_string();
        forge
            .send("PATCH", &path, &body)
            .await
            .problem(400, "invalid_request");
    }
}
