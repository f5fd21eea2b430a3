//! One value may have 64 MiB: it is kept, read back in pieces, changed, and no crowd that asks for
//! many of them at once takes the gateway's memory.
use crate::support::gateway_process::GatewayProcess;
use crate::support::stream_client::Served;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const LONGEST: usize = 64 << 20;
/// A row has some bytes beside its values.
const LONG: usize = LONGEST - 100;
const NDJSON: &str = "/v1/databases/d/query?format=ndjson";
const CSV: &str = "/v1/databases/d/query?format=csv";

#[tokio::test]
async fn a_value_that_is_written_in_parts_reads_as_one() {
    let served = Served::new().await;
    served.run("CREATE TABLE t (a, b, c)").await;
    // Characters of every length lie across the borders of parts; quotes and commas are there.
    served
        .run(
            "INSERT INTO t SELECT replace(hex(zeroblob(30011)), '0', 'ä\"€😀\n,\\'), \
             randomblob(200001), CAST(x'80' || randomblob(100000) AS TEXT)",
        )
        .await;
    let plain = "SELECT hex(a), hex(b), hex(c) FROM t";
    let plain = json!({ "sql": plain });
    let said = served.query("?stream=true", "", &plain).await;
    let said: Value = serde_json::from_str(&said.text().await).unwrap();
    let bytes: Vec<Vec<u8>> = (said["rows"][0].as_array().unwrap().iter())
        .map(|it| from_hex(it.as_str().unwrap()))
        .collect();

    let all = json!({"sql": "SELECT a, b, c FROM t"});
    for parameters in ["?stream=true", "?stream=false", "?format=ndjson"] {
        let said = served.query(parameters, "", &all).await.text().await;
        let row: Value = match said.lines().nth(1) {
            Some(row) => serde_json::from_str(row).unwrap(),
            None => serde_json::from_str::<Value>(&said).unwrap()["rows"][0].take(),
        };
        let base64 = |value: &Value, mark: &str| STANDARD.decode(value[mark].as_str().unwrap());
        assert_eq!(
            row[0].as_str().unwrap().as_bytes(),
            bytes[0],
            "{parameters}"
        );
        assert_eq!(base64(&row[1], "$base64").unwrap(), bytes[1]);
        assert_eq!(base64(&row[2], "$text_base64").unwrap(), bytes[2]);
    }
    let said = served.query("?format=csv", "", &all).await.text().await;
    let text = std::str::from_utf8(&bytes[0]).unwrap().replace('"', "\"\"");
    let [blob, broken] = [&bytes[1], &bytes[2]].map(|it| STANDARD.encode(it));
    assert!(said == format!("a,b,c\r\n\"{text}\",{blob},{broken}\r\n"));
}

fn from_hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// A gateway with the database `d` and a table for long values.
fn gateway(folder: &TempDir) -> GatewayProcess {
    let patient = [
        ("DBFORGE_RUNTIME", "process"),
        ("DBFORGE_SQL_MAX_TIMEOUT", "10m"),
    ];
    let gateway = GatewayProcess::start_with(folder.path(), &patient);
    gateway.post("/v1/databases", &json!({"name": "d"}));
    gateway.poll("the database is ready", || {
        let database = gateway.get("/v1/databases/d");
        database.is_some_and(|(_, it)| it["state"] == "ready")
    });
    let sql = "CREATE TABLE t (id INTEGER PRIMARY KEY, a)";
    assert_eq!(ask(&gateway, sql).0, 200);
    gateway
}

fn ask(gateway: &GatewayProcess, sql: &str) -> (u16, Value) {
    let body = json!({"sql": sql, "timeout_ms": 60_000});
    gateway.post("/v1/databases/d/query", &body).unwrap()
}

fn rows(gateway: &GatewayProcess, sql: &str) -> Value {
    let (status, mut answer) = ask(gateway, sql);
    assert_eq!(status, 200, "{sql}: {answer:.300}");
    answer["rows"].take()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|it| format!("{it:02X}")).collect()
}

#[test]
fn a_blob_and_a_text_of_64_mebibytes_are_kept_read_changed_and_compared() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder);
    let text = format!("printf('%.*c%s', {}, 'x', 'changed!')", LONG - 8);
    for sql in [
        &format!("INSERT INTO t VALUES (1, randomblob({LONG}))"),
        &format!("INSERT INTO t VALUES (2, printf('%.*c', {LONG}, 'x'))"),
        &format!("UPDATE t SET a = {text} WHERE id = 2"),
        &format!("UPDATE t SET a = randomblob({LONG}) WHERE id = 1 AND length(a) = {LONG}"),
    ] {
        let (status, answer) = ask(&gateway, sql);
        let changed = &answer["rows_affected"];
        assert_eq!((status, changed), (200, &json!(1)), "{sql}: {answer:.300}");
    }
    let (status, answer) = ask(&gateway, &format!("SELECT zeroblob({LONGEST} + 1)"));
    assert_eq!(status, 413, "{answer:.300}");
    assert_eq!(
        rows(
            &gateway,
            "SELECT x.a = y.a, x.a < y.a FROM t x, t y WHERE x.id = 1 AND y.id = 1"
        ),
        json!([[1, 0]])
    );
    let end = format!(
        "SELECT length(a), substr(a, {}) FROM t WHERE id = 2",
        LONG - 9
    );
    assert_eq!(rows(&gateway, &end), json!([[LONG, "xxchanged!"]]));

    // Places in base64 are looked up instead of reading 64 MiB of it.
    for path in [NDJSON, CSV] {
        let said = gateway.body_of(path, "SELECT a FROM t WHERE id = 1");
        let start = match path {
            NDJSON => said.iter().rposition(|it| *it == b'[').unwrap() + br#"[{"$base64":""#.len(),
            _ => "a\r\n".len(),
        };
        let base64 = &said[start..start + LONG.div_ceil(3) * 4];
        for third in [0, 5_000_000, 16_384, LONG / 3 - 4] {
            let sql = format!(
                "SELECT hex(substr(a, {}, 12)) FROM t WHERE id = 1",
                third * 3 + 1
            );
            let read = STANDARD.decode(&base64[third * 4..third * 4 + 16]).unwrap();
            assert_eq!(
                rows(&gateway, &sql),
                json!([[hex(&read)]]),
                "{path} {third}"
            );
        }
        let said = gateway.body_of(path, "SELECT a FROM t WHERE id = 2");
        let shown = said.iter().filter(|it| **it == b'x').count();
        assert_eq!(shown, LONG - 8, "{path}");
        assert!(
            memchr::memmem::find(&said, b"xchanged!").is_some(),
            "{path}"
        );
    }
}

#[test]
fn many_steps_over_a_long_value_end_and_their_database_is_there_again() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder);
    let insert = format!("INSERT INTO t VALUES (1, printf('%.*c', {LONG}, '1'))");
    assert_eq!(ask(&gateway, &insert).0, 200);
    for step in ["length(a)", "length(substr(a, -1))", "a", "CAST(a AS REAL)"] {
        for sql in [
            format!("SELECT 0{} FROM t", format!("+{step}").repeat(900)),
            format!(
                "UPDATE t SET id = 1{} WHERE id = 1",
                format!("+{step}").repeat(900)
            ),
        ] {
            let body = json!({"sql": sql, "timeout_ms": 100});
            let (status, answer) = gateway.post("/v1/databases/d/query", &body).unwrap();
            let code = &answer["code"];
            assert_eq!(
                (status, code),
                (422, &json!("statement_timeout")),
                "{answer:.300}"
            );
            gateway.poll("the database takes requests again", || {
                ask(&gateway, "SELECT 1").0 == 200
            });
            let length = rows(&gateway, "SELECT length(a) FROM t");
            assert_eq!(length, json!([[LONG]]), "{step}");
        }
    }
}

#[test]
fn a_statement_that_wants_more_memory_than_its_caller_has_left_is_told_and_gives_all_back() {
    let folder = TempDir::new().unwrap();
    let settings = [("DBFORGE_MAX_BUFFERED_BYTES", "67108864")];
    let gateway = GatewayProcess::start_with(folder.path(), &settings);
    gateway.post("/v1/databases", &json!({"name": "d"}));
    gateway.poll("the database is ready", || {
        let database = gateway.get("/v1/databases/d");
        database.is_some_and(|(_, it)| it["state"] == "ready")
    });
    let sort = |rows: usize| {
        format!(
            "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {rows}) \
             SELECT max(x) FROM (SELECT x FROM (SELECT x, randomblob(1000) AS r FROM c) \
             ORDER BY r LIMIT -1 OFFSET 1)"
        )
    };
    for _ in 0..3 {
        let (status, answer) = ask(&gateway, &sort(100_000));
        assert_eq!(
            (status, &answer["code"]),
            (503, &json!("overloaded")),
            "{answer}"
        );
        let hint = answer["hint"].as_str().unwrap();
        assert!(hint.starts_with("sort, join or select less"), "{hint}");
        gateway.poll("what it had is given back", || {
            let (_, usage) = gateway.get("/v1/usage").unwrap();
            usage["buffered_bytes"]["used"] == 0
        });
        assert_eq!(ask(&gateway, &sort(2_000)).0, 200);
    }
}

#[test]
fn a_crowd_that_works_on_long_values_leaves_the_gateway_its_memory_and_others_their_answers() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder);
    gateway.post("/v1/databases", &json!({"name": "other"}));
    let insert = format!("INSERT OR REPLACE INTO t VALUES (1, randomblob({LONG}))");
    assert_eq!(ask(&gateway, &insert).0, 200);
    gateway.poll("the other database answers", || {
        let body = json!({"sql": "CREATE TABLE IF NOT EXISTS t (a)"});
        let answer = gateway.post("/v1/databases/other/query", &body);
        answer.is_some_and(|(status, _)| status == 200)
    });
    let token = |name: &str, database: &str| {
        let wanted = json!({"name": name, "scopes": ["read", "write"], "databases": [database]});
        let (status, answer) = gateway.post("/v1/tokens", &wanted).unwrap();
        assert_eq!(status, 201, "{answer}");
        answer["token"].as_str().unwrap().to_owned()
    };
    let (one, other) = (token("one", "d"), token("other", "other"));
    let update = format!("UPDATE t SET a = zeroblob({LONG}) WHERE id = 1");
    let work = [
        (NDJSON, "SELECT a FROM t"),
        (CSV, "SELECT a FROM t"),
        ("/v1/databases/d/query", insert.as_str()),
        ("/v1/databases/d/query", &update),
        ("/v1/databases/d/query", "SELECT x.a = y.a FROM t x, t y"),
        (
            "/v1/databases/d/query",
            "SELECT hex(substr(a, 9000000, 9)) FROM t",
        ),
    ];
    let (answered, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..16)
            .map(|client| {
                let (gateway, answered, one) = (&gateway, &answered, &one);
                scope.spawn(move || {
                    for turn in 0..4 {
                        let (path, sql) = work[(client + turn) % work.len()];
                        let body = json!({"sql": sql, "timeout_ms": 20_000});
                        let (status, said) = gateway.body_as(one, path, &body);
                        let said = said[..said.len().min(200)].to_vec();
                        answered.lock().unwrap().push((status, said));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let body = json!({"sql": "SELECT count(*) FROM t", "timeout_ms": 60_000});
                let (status, said) = gateway.body_as(&other, "/v1/databases/other/query", &body);
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&said));
            }
        });
        let ended: Vec<_> = crowd.into_iter().map(|it| it.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok));
    });
    let answered = answered.into_inner().unwrap();
    for (status, said) in &answered {
        let said = String::from_utf8_lossy(said);
        assert!([200, 429, 503, 507].contains(status), "{status} {said}");
    }
    assert!(answered.iter().any(|(status, _)| *status == 200));
    let peak = gateway.peak_bytes();
    assert!(peak < 512 << 20, "the gateway had {} MiB", peak >> 20);
}

impl GatewayProcess {
    fn body_of(&self, path: &str, sql: &str) -> Vec<u8> {
        // A busy machine takes more than a minute for the 86 MiB.
        let body = json!({"sql": sql, "timeout_ms": 600_000});
        let (status, said) = self.body_as(&self.token, path, &body);
        assert_eq!(status, 200);
        said
    }

    /// The whole body as it is; what broke off, as far as it came.
    fn body_as(&self, token: &str, path: &str, body: &Value) -> (u16, Vec<u8>) {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent: ureq::Agent = config.build().into();
        let request = agent.post(format!("{}{path}", self.url));
        let mut answer = (request.header("X-API-Key", token))
            .send_json(body)
            .unwrap();
        let mut said = Vec::new();
        let mut read = answer.body_mut().with_config().limit(1 << 30).reader();
        let _ = read.read_to_end(&mut said);
        (answer.status().as_u16(), said)
    }

    /// Most memory that it has had.
    fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process_id()));
        let status = status.unwrap();
        let line = status.lines().find(|it| it.starts_with("VmHWM:")).unwrap();
        let kib = line.split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1024
    }
}
