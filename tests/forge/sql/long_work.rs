//! Long statements, reads and writes, run on threads that yield to short ones.
use crate::support::gateway_process::GatewayProcess;
use serde_json::json;
use tempfile::TempDir;

const QUERY: &str = "/v1/databases/shop/query";

/// As `nice` shows it, of threads for long work.
const YIELDS: i64 = 10;

/// A thread's processor time in ticks of 10 ms, and its niceness; see proc(5), stat.
fn thread(stat: &str) -> (u64, i64) {
    let behind_name: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks = |at: usize| behind_name[at].parse::<u64>().unwrap();
    (ticks(11) + ticks(12), behind_name[16].parse().unwrap())
}

/// The processor time that threads which yield have had.
fn yielding_time(gateway: &GatewayProcess) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.process_id())).unwrap();
    // One that has just ended cannot be read.
    let stats =
        tasks.filter_map(|it| std::fs::read_to_string(it.unwrap().path().join("stat")).ok());
    stats
        .map(|it| thread(&it))
        .filter_map(|(ticks, nice)| (nice == YIELDS).then_some(ticks))
        .sum()
}

fn gateway(folder: &TempDir) -> GatewayProcess {
    let gateway = GatewayProcess::start(folder.path());
    gateway
        .post("/v1/databases", &json!({"name": "shop"}))
        .unwrap();
    gateway.poll("the database takes SQL", || {
        run(&gateway, "CREATE TABLE IF NOT EXISTS t (a)", 20_000)
    });
    gateway
}

fn run(gateway: &GatewayProcess, sql: &str, timeout_ms: u32) -> bool {
    let (status, _) = gateway
        .post(QUERY, &json!({"sql": sql, "timeout_ms": timeout_ms}))
        .unwrap();
    status == 200
}

#[test]
fn a_long_read_runs_on_a_thread_that_yields() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder);
    let before = yielding_time(&gateway);
    let endless =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    gateway.poll("such a thread has worked for half a second", || {
        assert!(!run(&gateway, endless, 1000), "it has no end");
        yielding_time(&gateway) > before + 50
    });
}

#[test]
fn a_write_that_is_known_to_be_long_runs_on_a_thread_that_yields() {
    let folder = TempDir::new().unwrap();
    let gateway = gateway(&folder);
    let before = yielding_time(&gateway);
    let long = "INSERT INTO t WITH RECURSIVE n(i) AS \
                (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 50000) SELECT i FROM n";
    gateway.poll("such a thread has worked for half a second", || {
        assert!(run(&gateway, long, 20_000));
        yielding_time(&gateway) > before + 50
    });
}
