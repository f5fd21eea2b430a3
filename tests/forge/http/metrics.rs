//! `/metrics` of the real program, read by Prometheus' own parser; the dashboard in docs/ against it.
//!
//! `docker/setup.sh schemathesis` brings the parser.
use crate::support::gateway_process::GatewayProcess;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Reads metrics with a parser of the package `prometheus_client`, and writes its families as JSON.
const PARSE: &str = "
import importlib, json, sys
parser = importlib.import_module(sys.argv[1])
families = list(parser.text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), sorted(names)
print(json.dumps([
    [family.name, family.type, family.documentation,
     [[sample.name, sample.labels, repr(sample.value)] for sample in family.samples]]
    for family in families
]))
";

/// A family as [`PARSE`] writes it: its name, kind and help, and its samples.
type Family = (String, String, String, Vec<Sample>);
/// A sample's name, labels and value.
type Sample = (String, BTreeMap<String, String>, String);

/// What a parser read: the kind of each family, and the value of each sample by name and labels.
struct Parsed {
    kinds: BTreeMap<String, String>,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Parsed {
    fn of(parser: &str, text: &str) -> Self {
        let mut program = Command::new(python())
            .args(["-c", PARSE, parser])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = program.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let ended = program.wait_with_output().unwrap();
        assert!(ended.status.success(), "{parser} refuses {text}");
        let families: Vec<Family> = serde_json::from_slice(&ended.stdout).unwrap();
        let mut parsed = Self {
            kinds: BTreeMap::new(),
            samples: Vec::new(),
        };
        for (name, kind, help, samples) in families {
            assert!(!help.is_empty(), "{name} says what it is");
            assert_ne!(kind, "unknown", "{name}");
            parsed.kinds.insert(name, kind);
            let samples = samples.into_iter();
            let samples =
                samples.map(|(name, labels, value)| (name, labels, value.parse().unwrap()));
            parsed.samples.extend(samples);
        }
        parsed
    }

    fn names(&self) -> BTreeSet<&str> {
        self.samples
            .iter()
            .map(|(name, _, _)| name.as_str())
            .collect()
    }

    /// The sum of the samples of this name that have all of these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has_all = |of: &BTreeMap<String, String>| {
            labels
                .iter()
                .all(|(label, value)| of.get(*label).is_some_and(|it| it == value))
        };
        let samples = self.samples.iter();
        let samples = samples.filter(|(it, of, _)| it == name && has_all(of));
        samples.map(|(_, _, value)| value).sum()
    }
}

/// What is installed lies in the target folder, somewhere above the program.
fn python() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dbforge"))
        .ancestors()
        .map(|it| it.join("schemathesis/bin/python"))
        .find(|it| it.exists())
        .expect("Prometheus' parser is installed: docker/setup.sh schemathesis")
}

/// A gateway that has done a little of everything.
fn busy_gateway(folder: &TempDir) -> GatewayProcess {
    let gateway = GatewayProcess::start(folder.path());
    let made = gateway.post("/v1/databases", &json!({"name": "till"}));
    assert_eq!(made.unwrap().0, 202);
    for (sql, status) in [
        ("CREATE TABLE t (a)", 200),
        ("INSERT INTO t VALUES (1), (2)", 200),
        ("SELECT * FROM t", 200),
        ("SELECT * FROM nowhere", 400),
    ] {
        let answer = gateway.post("/v1/databases/till/query", &json!({ "sql": sql }));
        assert_eq!(answer.unwrap().0, status, "{sql}");
    }
    let refused = ureq::get(format!("{}/v1/databases", gateway.url)).call();
    assert!(matches!(refused, Err(ureq::Error::StatusCode(401))));
    gateway.poll("the job's end is counted", || {
        let text = gateway.get_text("/metrics").unwrap();
        text.contains("dbforge_jobs_total{kind=\"create_database\",outcome=\"succeeded\"} 1")
    });
    gateway
}

fn open_metrics(gateway: &GatewayProcess) -> String {
    let request = ureq::get(format!("{}/metrics", gateway.url));
    let request = request.header("Accept", "application/openmetrics-text;version=1.0.0");
    let mut answer = request.header("X-API-Key", &gateway.token).call().unwrap();
    let content_type = answer.headers()["content-type"].to_str().unwrap();
    assert!(content_type.starts_with("application/openmetrics-text; version=1.0.0"));
    answer.body_mut().read_to_string().unwrap()
}

#[test]
fn prometheus_reads_both_formats_and_finds_what_happened() {
    let folder = TempDir::new().unwrap();
    let gateway = busy_gateway(&folder);
    let text = gateway.get_text("/metrics").unwrap();
    let plain = Parsed::of("prometheus_client.parser", &text);
    let open = Parsed::of(
        "prometheus_client.openmetrics.parser",
        &open_metrics(&gateway),
    );
    for parsed in [&plain, &open] {
        for (name, labels, wanted) in [
            (
                "dbforge_sql_statements_total",
                &[("kind", "read"), ("outcome", "ok")][..],
                1.0,
            ),
            (
                "dbforge_sql_statements_total",
                &[("kind", "write"), ("outcome", "ok")],
                2.0,
            ),
            ("dbforge_sql_statements_total", &[("outcome", "error")], 1.0),
            ("dbforge_sql_statement_duration_seconds_count", &[], 4.0),
            ("dbforge_sql_write_wait_seconds_count", &[], 2.0),
            ("dbforge_sql_thread_wait_seconds_count", &[], 0.0),
            ("dbforge_sql_rows_returned_total", &[], 2.0),
            ("dbforge_sql_rows_changed_total", &[], 2.0),
            (
                "dbforge_database_statements_total",
                &[("database", "till")],
                4.0,
            ),
            (
                "dbforge_sign_ins_refused_total",
                &[("reason", "missing")],
                1.0,
            ),
            ("dbforge_jobs_total", &[("outcome", "succeeded")], 1.0),
            (
                "dbforge_job_duration_seconds_count",
                &[("kind", "create_database")],
                1.0,
            ),
            ("dbforge_http_requests_total", &[("status", "400")], 1.0),
            (
                "dbforge_problems_total",
                &[("code", "unauthenticated")],
                1.0,
            ),
            ("dbforge_runtime_up", &[("runtime", "process")], 1.0),
            ("dbforge_databases", &[("state", "ready")], 1.0),
            (
                "dbforge_build_info",
                &[("version", env!("CARGO_PKG_VERSION"))],
                1.0,
            ),
        ] {
            assert_eq!(parsed.sum(name, labels), wanted, "{name}{labels:?}\n{text}");
        }
        for name in [
            "dbforge_http_received_bytes_total",
            "dbforge_http_sent_bytes_total",
            "dbforge_sql_wal_bytes",
            "dbforge_disk_free_bytes",
            "dbforge_http_in_flight_limit",
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_start_time_seconds",
        ] {
            assert!(parsed.sum(name, &[]) > 0.0, "{name}\n{text}");
        }
        let shortest = [("kind", "read"), ("le", "5e-05")];
        let shortest_plain = [("kind", "read"), ("le", "0.00005")];
        let name = "dbforge_sql_statement_duration_seconds_bucket";
        let has = |labels: &[(&str, &str)]| {
            let samples = parsed.samples.iter();
            samples
                .clone()
                .any(|(it, of, _)| it == name && of.get("le").is_some_and(|le| le == labels[1].1))
        };
        assert!(has(&shortest) || has(&shortest_plain), "{text}");
    }
    let bare =
        |kinds: &BTreeMap<String, String>| -> BTreeSet<String> { kinds.keys().cloned().collect() };
    assert_eq!(
        bare(&plain.kinds),
        bare(&open.kinds),
        "both formats have the same families"
    );
}

#[test]
fn every_metric_of_the_dashboard_is_served_and_every_served_one_is_shown() {
    let folder = TempDir::new().unwrap();
    let gateway = busy_gateway(&folder);
    let parsed = Parsed::of(
        "prometheus_client.openmetrics.parser",
        &open_metrics(&gateway),
    );
    let served = parsed.names();
    let text = include_str!("../../../docs/grafana-dashboard.json");
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let mut expressions = Vec::new();
    collect_expressions(&dashboard, &mut expressions);
    assert!(expressions.len() > 50, "{expressions:?}");
    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let words = expressions
        .iter()
        .flat_map(|it| it.split(|it| !is_name(it)));
    let named: BTreeSet<&str> = words
        .filter(|word| word.starts_with("dbforge_") || word.starts_with("process_"))
        .collect();
    let unknown: Vec<_> = named.difference(&served).collect();
    assert!(unknown.is_empty(), "the gateway does not serve {unknown:?}");
    let family = |name: &&str| {
        let ends = ["_bucket", "_sum", "_count"];
        let bare = ends
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        bare.to_owned()
    };
    let shown: BTreeSet<String> = named.iter().map(family).collect();
    let families: BTreeSet<String> = served.iter().map(family).collect();
    let left_out: Vec<_> = families.difference(&shown).collect();
    assert!(
        left_out.is_empty(),
        "the dashboard does not show {left_out:?}"
    );
}

/// Every text under `expr` or `query`.
fn collect_expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" || name == "query" => {
                        found.push(text.clone());
                    }
                    value => collect_expressions(value, found),
                }
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect_expressions(item, found)),
        _ => {}
    }
}

#[test]
fn a_token_sees_the_names_of_its_own_databases_alone() {
    let folder = TempDir::new().unwrap();
    let gateway = busy_gateway(&folder);
    let token = json!({"name": "ci", "scopes": ["read"], "databases": ["other"]});
    let (_, token) = gateway.post("/v1/tokens", &token).unwrap();
    let request = ureq::get(format!("{}/metrics", gateway.url));
    let request = request.header("X-API-Key", token["token"].as_str().unwrap());
    let text = request.call().unwrap().body_mut().read_to_string().unwrap();
    assert!(
        text.contains("dbforge_databases{") && !text.contains("\"till\""),
        "{text}"
    );
    assert!(
        gateway
            .get_text("/metrics")
            .unwrap()
            .contains("database=\"till\"")
    );
}
