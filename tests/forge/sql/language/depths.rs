//! The deepest statements that are accepted take at most half of the stack of any thread that they
//! run on; what would take more is refused.
use crate::support::gateway_process::GatewayProcess;
use dbforge::engine::SQL_THREAD_STACK;
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// As deep as an expression may be, together with the SELECT around it.
const EXPRESSION: usize = 990;
/// As many parts as UNION and its like may have.
const PARTS: usize = 500;
/// As far as triggers and foreign keys may go.
const CHAIN: usize = 990;

fn expression() -> String {
    "(".repeat(EXPRESSION) + "1" + &"+1)".repeat(EXPRESSION)
}

/// Compounds of so many parts, each in the first part of the next.
fn compounds(levels: usize, operator: &str) -> String {
    let rest = format!(" {operator} SELECT 1").repeat(PARTS - 1);
    (0..levels).fold(format!("SELECT {}", expression()), |inner, _| {
        format!("SELECT * FROM ({inner}){rest}")
    })
}

/// Reads that are accepted, each the deepest of its kind.
fn deepest_reads() -> Vec<(&'static str, String)> {
    let nested = |before: &str, times, after: &str| {
        format!("SELECT {}1{}", before.repeat(times), after.repeat(times))
    };
    vec![
        ("an expression", format!("SELECT {}", expression())),
        ("a row of them", nested("1+", EXPRESSION, "")),
        ("NOT", nested("NOT ", EXPRESSION, "")),
        ("functions", nested("abs(", 600, ")")),
        ("CASE", nested("CASE WHEN 1 THEN ", 400, " END")),
        ("questions in an expression", nested("(SELECT ", 28, ")")),
        ("EXISTS", nested("EXISTS (SELECT ", 20, ")")),
        (
            "tables made on the way",
            format!(
                "{}SELECT 1{}",
                "SELECT * FROM (".repeat(300),
                ")".repeat(300)
            ),
        ),
        ("EXCEPT", compounds(1, "EXCEPT")),
        ("UNION", compounds(2, "UNION")),
        ("UNION ALL", compounds(4, "UNION ALL")),
        ("UNION ALL in views", "SELECT * FROM u3".to_owned()),
        ("views", "SELECT * FROM v150".to_owned()),
        (
            "many arguments",
            format!("SELECT max({}1)", "1,".repeat(999)),
        ),
    ]
}

/// Writes that are accepted; each undoes itself where it can be run again.
fn deepest_writes() -> Vec<(&'static str, String)> {
    vec![
        (
            "triggers",
            format!("INSERT INTO c0 VALUES ({})", expression()),
        ),
        ("foreign keys", "DELETE FROM f0".to_owned()),
        ("a tree of one table", "DELETE FROM tree".to_owned()),
    ]
}

/// What would need more of the stack than there is.
fn too_deep() -> Vec<(&'static str, String)> {
    vec![
        ("compounds", compounds(60, "UNION ALL")),
        ("compounds in views", "SELECT * FROM u11".to_owned()),
    ]
}

fn schema() -> Vec<String> {
    let mut schema = vec![
        "CREATE TABLE t (a)".to_owned(),
        "CREATE VIEW v0 AS SELECT a FROM t".to_owned(),
        "CREATE VIEW u0 AS SELECT a FROM t".to_owned(),
        "CREATE TABLE tree (a INTEGER PRIMARY KEY, p REFERENCES tree ON DELETE CASCADE)".to_owned(),
        "CREATE INDEX i ON tree (p)".to_owned(),
        format!("CREATE TABLE f{CHAIN} (a)"),
    ];
    let rest = " UNION ALL SELECT 1".repeat(PARTS - 1);
    for n in 1..=150 {
        schema.push(format!("CREATE VIEW v{n} AS SELECT a FROM v{}", n - 1));
    }
    for n in 1..12 {
        schema.push(format!(
            "CREATE VIEW u{n} AS SELECT a FROM u{}{rest}",
            n - 1
        ));
    }
    for n in 0..=CHAIN {
        schema.push(format!("CREATE TABLE c{n} (a)"));
    }
    for n in 0..CHAIN {
        let next = n + 1;
        schema.push(format!(
            "CREATE TRIGGER r{n} AFTER INSERT ON c{n} BEGIN INSERT INTO c{next} VALUES (new.a); END"
        ));
    }
    for n in 0..CHAIN {
        let parent = match n {
            0 => String::new(),
            _ => format!(" REFERENCES f{} ON DELETE CASCADE", n - 1),
        };
        schema.push(format!("CREATE TABLE f{n} (a INTEGER PRIMARY KEY{parent})"));
    }
    for n in 0..CHAIN {
        schema.push(format!("INSERT INTO f{n} VALUES (1)"));
    }
    schema.push(format!(
        "INSERT INTO tree SELECT value, nullif(value - 1, 0) FROM generate_series(1, {CHAIN})"
    ));
    schema
}

#[test]
fn no_statement_takes_more_than_half_of_a_threads_stack() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let answer = gateway.post("/v1/databases", &json!({"name": "d"}));
    assert!(matches!(answer, Some((200..=202, _))), "{answer:?}");
    gateway.poll("the database is ready", || {
        let database = gateway.get("/v1/databases/d");
        database.is_some_and(|(_, it)| it["state"] == "ready")
    });
    for part in schema().chunks(400) {
        let statements: Vec<_> = part.iter().map(|sql| json!({ "sql": sql })).collect();
        let batch = json!({"statements": statements, "timeout_ms": 60_000});
        let (status, answer) = gateway.post("/v1/databases/d/batch", &batch).unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    // A write stays in a transaction that is rolled back, so that the next one finds the same.
    for (what, sql) in deepest_writes() {
        let (_, begun) = gateway
            .post("/v1/databases/d/transactions", &json!({}))
            .unwrap();
        let id = begun["id"].as_str().unwrap().to_owned();
        let inside = format!("/v1/databases/d/transactions/{id}");
        let body = json!({"sql": sql, "timeout_ms": 60_000});
        let answer = gateway.post(&format!("{inside}/query"), &body).unwrap();
        assert_eq!(answer.0, 200, "{what}: {}", answer.1);
        gateway.post(&format!("{inside}/rollback"), &json!({}));
        let (status, answer) = gateway.post("/v1/databases/d/query", &body).unwrap();
        assert_eq!(status, 200, "{what}: {answer}");
        stacks_are_half_empty(&gateway, what);
    }
    let reads = deepest_reads().into_iter().map(|it| (it, 200));
    let refused = too_deep().into_iter().map(|it| (it, 400));
    for ((what, sql), expected) in reads.chain(refused) {
        let alone = json!({"sql": sql, "timeout_ms": 60_000});
        let batch = json!({"statements": [{ "sql": sql }], "timeout_ms": 60_000});
        let write = json!({"sql": format!("INSERT INTO t {sql}"), "timeout_ms": 60_000});
        let mut asks = vec![
            ("/v1/databases/d/query", &alone),
            ("/v1/databases/d/query", &alone),
            ("/v1/databases/d/query?format=ndjson", &alone),
            ("/v1/databases/d/batch", &batch),
        ];
        if what != "many arguments" {
            asks.push(("/v1/databases/d/query", &write));
        }
        if !sql.contains(" u") && !sql.contains(" v") {
            asks.push(("/v1/audit/query", &alone));
        }
        for (path, body) in asks {
            let (status, answer) = gateway.post(path, body).unwrap();
            assert_eq!(status, expected, "{what} at {path}: {answer:.300}");
            if expected == 400 {
                let detail = answer["detail"].to_string();
                assert!(detail.contains("nested too deeply"), "{what}: {detail}");
            }
        }
        stacks_are_half_empty(&gateway, what);
    }
    assert!(gateway.stop());
}

/// Looks at what every thread of the gateway has ever touched of its stack.
fn stacks_are_half_empty(gateway: &GatewayProcess, what: &str) {
    let process = gateway.process_id();
    let mappings = mappings(process);
    let mut looked_at = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
        let folder = thread.unwrap().path();
        let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
        // A thread that waits in a system call tells where its stack is; one that runs, another time.
        let Some(place) = read("syscall").split_whitespace().rev().nth(1).map(hex) else {
            continue;
        };
        let name = read("comm").trim().to_owned();
        let Some((stack, touched)) = mappings
            .iter()
            .find(|(range, ..)| range.contains(&place))
            .map(|(range, touched)| (range.end - range.start, *touched))
        else {
            continue;
        };
        let stack = if name == "serving" || name.starts_with("tokio-rt") {
            assert!(
                stack >= SQL_THREAD_STACK,
                "{name} has {stack} bytes of stack"
            );
            looked_at += 1;
            SQL_THREAD_STACK
        } else {
            stack.max(1 << 20)
        };
        assert!(
            touched <= stack / 2,
            "{what}: {name} has touched {touched} bytes of {stack}"
        );
    }
    assert!(looked_at > 0, "no thread tells where its stack is");
}

/// Each mapping of a process with the bytes of it that were touched.
fn mappings(process: u32) -> Vec<(std::ops::Range<usize>, usize)> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let mut mappings: Vec<(std::ops::Range<usize>, usize)> = Vec::new();
    for line in text.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if let Some((start, end)) = first.split_once('-') {
            mappings.push((hex(start)..hex(end), 0));
        } else if let Some(rss) = line.strip_prefix("Rss:") {
            let kilobytes: usize = rss.trim().trim_end_matches(" kB").parse().unwrap();
            mappings.last_mut().unwrap().1 = kilobytes << 10;
        }
    }
    mappings
}

fn hex(text: &str) -> usize {
    usize::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
}

#[test]
fn what_a_body_may_hold_a_statement_may_have() {
    let folder = TempDir::new().unwrap();
    let settings = [("DBFORGE_MAX_BODY_BYTES", "4194304")];
    let gateway = GatewayProcess::start_with(folder.path(), &settings);
    gateway.post("/v1/databases", &json!({"name": "d"}));
    gateway.poll("the database is ready", || {
        let database = gateway.get("/v1/databases/d");
        database.is_some_and(|(_, it)| it["state"] == "ready")
    });
    let ask = |sql: &str, params: Value| {
        let body = json!({"sql": sql, "params": params, "timeout_ms": 60_000});
        gateway.post("/v1/databases/d/query", &body).unwrap()
    };
    assert_eq!(ask("CREATE TABLE t (a, b)", json!([])).0, 200);
    let rows = 16_383;
    let places = vec!["(?,?)"; rows].join(",");
    let values: Vec<_> = (0..rows * 2).collect();
    let (status, answer) = ask(&format!("INSERT INTO t VALUES {places}"), json!(values));
    assert_eq!(
        (status, &answer["rows_affected"]),
        (200, &json!(rows)),
        "{answer:.300}"
    );
    let literals = vec!["(1,2)"; 170_000].join(",");
    let (status, answer) = ask(&format!("INSERT INTO t VALUES {literals}"), json!([]));
    assert_eq!(
        (status, &answer["rows_affected"]),
        (200, &json!(170_000)),
        "{answer:.300}"
    );
    let (status, _) = ask(&" ".repeat((1 << 20) + 1), json!([]));
    assert_eq!(status, 413);
    let (status, _) = ask("SELECT 1", json!(vec![0; 32_767]));
    assert_eq!(status, 400);
}
