//! The log of the real program: what a line is written for, and what none ever holds.
use crate::support::gateway_process::{GatewayProcess, passable_folder};
use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A text that no line may hold, wherever it was sent.
const SECRET: &str = "dbf_a_secret_of_somebody";

const ENDLESS: &str =
    "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

/// A gateway whose standard error is a file.
struct Logged {
    gateway: GatewayProcess,
    file: PathBuf,
    _folder: TempDir,
}

impl Logged {
    fn start(settings: &[(&str, &str)]) -> Self {
        let folder = passable_folder();
        let file = folder.path().join("stderr");
        let data_dir = folder.path().join("db-data");
        let mut program = Command::new("bash");
        let redirect = "exec \"$@\" 2>\"$0\"";
        program.args(["-c", redirect]).arg(&file);
        program.arg(env!("CARGO_BIN_EXE_dbforge"));
        let common = [
            ("DBFORGE_RUNTIME", "process"),
            ("DBFORGE_LOG", "info"),
            ("DBFORGE_LOG_FORMAT", "json"),
        ];
        let settings: Vec<_> = common.iter().chain(settings).copied().collect();
        let gateway = GatewayProcess::try_start(program, &data_dir, &settings);
        Self {
            gateway: gateway.expect("the gateway says where it serves"),
            file,
            _folder: folder,
        }
    }

    fn create(&self, name: &str) {
        let (status, job) = (self.gateway)
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
        assert!(status < 300, "{job}");
        self.gateway.poll("the database is ready", || {
            let shown = self.gateway.get(&format!("/v1/databases/{name}"));
            shown.is_some_and(|(_, shown)| shown["state"] == "ready")
        });
    }

    fn query(&self, body: &Value) -> u16 {
        let answer = self.gateway.post("/v1/databases/shop/query", body);
        answer.expect("an answer").0
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) {
        self.gateway
            .poll(what, || lines(&self.file, true).iter().any(&is_it));
    }

    /// Every line, after the gateway has stopped.
    fn stop(self) -> Vec<Value> {
        let secrets = [SECRET.to_owned(), self.gateway.token.clone()];
        assert!(self.gateway.stop(), "it ends well");
        let text = fs::read_to_string(&self.file).unwrap();
        for secret in secrets {
            assert!(!text.contains(&secret), "{text}");
        }
        lines(&self.file, false)
    }
}

/// The lines of a log in JSON, each of which has to parse; `while_written` the last may be cut.
fn lines(file: &Path, while_written: bool) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    assert!(while_written || whole == text.len(), "{text}");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    text[..whole].lines().map(parse).collect()
}

fn find<'l>(lines: &'l [Value], message: &str) -> Vec<&'l Value> {
    let has_message = |line: &&Value| line["message"] == message;
    lines.iter().filter(has_message).collect()
}

#[test]
fn start_ready_jobs_states_and_stop_are_lines_and_requests_are_none() {
    let logged = Logged::start(&[]);
    logged.wait_for("ready", |line| line["message"] == "ready");
    logged.create("shop");
    for number in 0..1000 {
        let sql = format!("SELECT {number}, '{SECRET}'");
        assert_eq!(logged.query(&json!({ "sql": sql })), 200);
    }
    let (status, _) = logged.gateway.delete("/v1/databases/shop").unwrap();
    assert_eq!(status, 202);
    logged.wait_for("trashed", |line| line["database.state"] == "trashed");
    let lines = logged.stop();
    let started = find(&lines, "started")[0];
    for field in ["version", "address", "data_dir", "runtime", "head.hash"] {
        assert!(started[field].is_string(), "{field}: {started}");
    }
    assert!(started["head.sequence"].is_u64(), "{started}");
    let states = lines
        .iter()
        .filter_map(|line| line["database.state"].as_str());
    let states: Vec<&str> = states.collect();
    assert_eq!(states, ["creating", "ready", "deleting", "trashed"]);
    let is_end = |line: &&Value| line["job.outcome"] == "succeeded";
    let ends: Vec<&Value> = lines.iter().filter(is_end).collect();
    assert_eq!(ends.len(), 2, "{lines:#?}");
    assert_eq!(ends[0]["job.kind"], "create_database");
    assert_eq!(ends[0]["database.name"], "shop");
    assert!(ends[0]["duration_ms"].is_f64(), "{}", ends[0]);
    assert_eq!(find(&lines, "stopping")[0]["signal"], "SIGINT");
    assert_eq!(lines.last().unwrap()["message"], "stopped");
    assert!(lines.len() < 20, "requests leave no line: {lines:#?}");
}

#[test]
fn a_database_expires_in_a_line_though_no_event_says_so() {
    let logged = Logged::start(&[]);
    let body = json!({"name": "shop", "ttl": "1s", "protect": true});
    let (status, answer) = logged.gateway.post("/v1/databases", &body).unwrap();
    assert_eq!(status, 202, "{answer}");
    logged.wait_for("expired", |line| line["database.state"] == "expired");
    let lines = logged.stop();
    let told = find(&lines, "database `shop` is expired");
    assert_eq!(told.len(), 1, "{lines:#?}");
}

#[test]
fn a_slow_statement_is_a_line_without_its_values() {
    let logged = Logged::start(&[("DBFORGE_SLOW_STATEMENT", "0ms")]);
    logged.create("shop");
    let sql = format!("SELECT 'dbf_' || ?1, 42, '{SECRET}' -- {SECRET}");
    assert_eq!(logged.query(&json!({"sql": sql, "params": [SECRET]})), 200);
    assert_eq!(
        logged.query(&json!({"sql": ENDLESS, "timeout_ms": 50})),
        422
    );
    assert_eq!(logged.query(&json!({"sql": "CREATE TABLE t (a)"})), 200);
    let lines = logged.stop();
    let slow = find(&lines, "slow statement");
    assert_eq!(slow[0]["sql"], "SELECT ? || ??, ?, ?");
    assert_eq!(slow[0]["database.name"], "shop");
    assert_eq!(slow[0]["outcome"], "ok");
    assert!(slow[0]["duration_ms"].is_f64(), "{}", slow[0]);
    let timeouts = slow.iter().filter(|line| line["outcome"] == "timeout");
    assert_eq!(timeouts.count(), 1, "{slow:#?}");
    assert!(slow.iter().any(|line| line["sql"] == "CREATE TABLE t (a)"));
}

#[test]
fn refused_sign_ins_are_lines_and_a_guesser_does_not_fill_the_disk() {
    let logged = Logged::start(&[]);
    logged.create("shop");
    let refused = || {
        let url = format!("{}/v1/databases?_token={SECRET}", logged.gateway.url);
        let answer = ureq::get(url).header("X-API-Key", SECRET).call();
        matches!(answer, Err(ureq::Error::StatusCode(401)))
    };
    for _ in 0..100 {
        assert!(refused());
    }
    let lines = logged.stop();
    let told = find(&lines, "sign-in refused");
    // More than one window may have passed.
    assert!((1..100).contains(&told.len()), "{}", told.len());
    assert_eq!(told[0]["reason"], "unknown");
    assert_eq!(told[0]["client.address"], "127.0.0.1");
    assert_eq!(told[0]["http.path"], "/v1/databases");
}

#[test]
fn the_access_log_has_the_path_of_a_request_on_a_host_as_it_was_sent_and_the_database() {
    let logged = Logged::start(&[("DBFORGE_ACCESS_LOG", "on"), ("DBFORGE_LOG", "error")]);
    logged.create("shop");
    let mut client = TcpStream::connect(&logged.gateway.url["http://".len()..]).unwrap();
    let root = &logged.gateway.token;
    write!(
        client,
        "GET /?at=1 HTTP/1.1\r\nHost: shop.db.localhost\r\nX-API-Key: {root}\r\n\
         Connection: close\r\n\r\n"
    )
    .unwrap();
    std::io::read_to_string(&mut client).unwrap();
    let lines = logged.stop();
    let requests = find(&lines, "request");
    let shown = requests.iter().find(|line| line["http.path"] == "/");
    let shown = shown.unwrap_or_else(|| panic!("{requests:#?}"));
    assert_eq!(shown["database.name"], "host:shop");
    assert_eq!(shown["token.name"], "root");
}

#[test]
fn the_access_log_has_a_line_for_each_request_and_for_those_that_are_abandoned() {
    let logged = Logged::start(&[("DBFORGE_ACCESS_LOG", "on"), ("DBFORGE_LOG", "error")]);
    logged.create("shop");
    let token = json!({"name": "ci", "scopes": ["read"], "databases": ["*"]});
    let (status, token) = logged.gateway.post("/v1/tokens", &token).unwrap();
    assert_eq!(status, 201, "{token}");
    let secret = token["token"].as_str().unwrap();
    let url = format!("{}/v1/databases/shop?_token={SECRET}", logged.gateway.url);
    let answer = ureq::get(url).header("X-API-Key", secret).call();
    let status = answer.map_or_else(
        |error| error.to_string(),
        |answer| answer.status().to_string(),
    );
    // It waits for an event that does not come.
    let mut client = TcpStream::connect(&logged.gateway.url["http://".len()..]).unwrap();
    let root = &logged.gateway.token;
    write!(
        client,
        "GET /v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nX-API-Key: {root}\r\n\r\n"
    )
    .unwrap();
    let mut first = [0];
    std::io::Read::read_exact(&mut client, &mut first).unwrap();
    drop(client);
    logged.wait_for("the abandoned stream", |line| line["abandoned"] == true);
    // Its statement would take until its deadline.
    let mut client = TcpStream::connect(&logged.gateway.url["http://".len()..]).unwrap();
    let body = json!({"sql": ENDLESS, "timeout_ms": 30_000}).to_string();
    write!(
        client,
        "POST /v1/databases/shop/query HTTP/1.1\r\nHost: x\r\nX-API-Key: {root}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    logged.gateway.poll("the statement runs", || {
        let metrics = logged.gateway.get_text("/metrics").unwrap();
        metrics.contains("dbforge_sql_threads 1\n")
    });
    drop(client);
    logged.wait_for("the abandoned request", |line| line["http.status"] == 499);
    let lines = logged.stop();
    let requests = find(&lines, "request");
    let shown = requests.iter().find(|line| line["token.name"] == "ci");
    let shown = shown.unwrap_or_else(|| panic!("{status}: {requests:#?}"));
    assert_eq!(shown["http.path"], "/v1/databases/shop");
    assert_eq!(shown["http.method"], "GET");
    assert_eq!(shown["database.name"], "shop");
    assert_eq!(shown["client.address"], "127.0.0.1");
    assert!(shown["request.id"].is_string() && shown["duration_ms"].is_f64());
    let created = requests
        .iter()
        .find(|line| line["http.method"] == "POST")
        .unwrap();
    assert_eq!(created["token.name"], "root");
    assert!(
        created["bytes"].as_u64() > Some(10) && created["abandoned"] == false,
        "{created}"
    );
    let abandoned = requests.iter().filter(|line| line["abandoned"] == true);
    let abandoned: Vec<_> = abandoned
        .map(|line| (&line["http.path"], &line["http.status"]))
        .collect();
    let [stream, query] = ["/v1/events", "/v1/databases/shop/query"].map(Value::from);
    let [ok, gone] = [200, 499].map(Value::from);
    assert_eq!(abandoned, [(&stream, &ok), (&query, &gone)]);
}

#[test]
fn a_start_that_fails_is_a_line_of_json() {
    let folder = TempDir::new().unwrap();
    for (variable, value) in [
        ("DBFORGE_LISTEN", "nowhere"),
        ("DBFORGE_DATA_DIR", "/dev/null/x"),
    ] {
        let ended = Command::new(env!("CARGO_BIN_EXE_dbforge"))
            .arg("serve")
            .env("DBFORGE_LISTEN", "127.0.0.1:0")
            .env("DBFORGE_DATA_DIR", folder.path())
            .env("DBFORGE_LOG_FORMAT", "json")
            .env(variable, value)
            .output()
            .unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
        assert_eq!(last["level"], "ERROR", "{said}");
        assert!(
            said.lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "{said}"
        );
    }
}

#[test]
fn a_setting_that_cannot_be_used_is_named_and_nothing_is_served() {
    let folder = TempDir::new().unwrap();
    for (variable, value) in [
        ("DBFORGE_LOG", "loud"),
        ("DBFORGE_LOG", "info,dbforge=loud"),
        ("DBFORGE_LOG_FORMAT", "xml"),
        ("DBFORGE_ACCESS_LOG", "yes"),
        ("DBFORGE_SLOW_STATEMENT", "soon"),
    ] {
        for format in ["text", "json"] {
            let ended = Command::new(env!("CARGO_BIN_EXE_dbforge"))
                .arg("serve")
                .env("DBFORGE_LISTEN", "127.0.0.1:0")
                .env("DBFORGE_DATA_DIR", folder.path())
                .env("DBFORGE_LOG", "off")
                .env("DBFORGE_LOG_FORMAT", format)
                .env(variable, value)
                .output()
                .unwrap();
            let said = String::from_utf8(ended.stderr).unwrap();
            assert_eq!(ended.status.code(), Some(2), "{said}");
            assert_eq!(ended.stdout, b"", "it does not serve");
            assert!(said.contains(variable), "{variable}={value}: {said}");
            if format == "json" && variable != "DBFORGE_LOG_FORMAT" {
                let line: Value = serde_json::from_str(&said).unwrap();
                assert_eq!(line["level"], "ERROR", "{said}");
            }
        }
    }
}

#[test]
fn at_debug_the_crates_below_are_silent_until_they_are_named() {
    let logged = Logged::start(&[("DBFORGE_LOG", "debug"), ("DBFORGE_LOG_FORMAT", "text")]);
    logged.gateway.poll("an answer", || {
        logged.gateway.get("/v1/databases").is_some()
    });
    let file = logged.file.clone();
    assert!(logged.gateway.stop());
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("GET /v1/databases answered 200"), "{text}");
    for word in ["tokio_cron", "hyper", "bollard", "opening tree", "sled"] {
        assert!(!text.contains(word), "{word}: {text}");
    }
}
