//! The real program from its start to its end: what goes wrong there, and what is said.
use crate::support::gateway_process::{GatewayProcess, PATIENCE};
use dbforge::clock::Deadline;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use tempfile::TempDir;

#[test]
fn a_gateway_whose_address_is_taken_makes_nothing_and_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = TempDir::new().unwrap();
    let data_dir = folder.path().join("db-data");
    let ended = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .arg("serve")
        .env("DBFORGE_LISTEN", taken.local_addr().unwrap().to_string())
        .env("DBFORGE_DATA_DIR", &data_dir)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(
        !ended.status.success() && said.contains("DBFORGE_LISTEN"),
        "{said}"
    );
    assert!(
        !data_dir.exists(),
        "so the first real start still shows the token"
    );
}

#[test]
fn a_client_that_sends_far_too_much_gets_its_answer() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    gateway
        .post("/v1/databases", &json!({"name": "shop"}))
        .unwrap();
    for megabytes in [2, 5, 30] {
        let sql = "x".repeat(megabytes << 20);
        let answered = gateway.post("/v1/databases/shop/query", &json!({ "sql": sql }));
        let (status, problem) = answered.expect("an answer, and no broken pipe");
        assert_eq!(status, 413, "{megabytes} MB: {problem}");
        assert_eq!(problem["code"], "payload_too_large");
    }
}

#[test]
fn a_number_past_every_event_is_no_fault() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let after = |number: u64| gateway.get(&format!("/v1/events?after={number}")).unwrap();
    let (status, page) = after(i64::MAX as u64);
    assert_eq!((status, &page["data"]), (200, &json!([])), "{page}");
    for number in [u64::MAX, u64::MAX - 1, i64::MAX as u64 + 1] {
        let (status, problem) = after(number);
        assert_eq!(status, 400, "no sequence is so large: {problem}");
    }
    let (status, _) = gateway.get("/v1/databases?min_sequence=1000000").unwrap();
    assert_eq!(status, 400, "a user's mistake is no 5xx");
}

#[test]
fn a_second_gateway_on_one_folder_exits() {
    let folder = TempDir::new().unwrap();
    let first = GatewayProcess::start(folder.path());
    let second = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .arg("serve")
        .env("DBFORGE_LISTEN", "127.0.0.1:0")
        .env("DBFORGE_DATA_DIR", folder.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    assert_eq!(first.get("/healthz").unwrap().0, 200);
    assert!(first.stop());
}

#[test]
fn a_folder_that_is_a_link_is_refused_at_the_start_and_by_doctor() {
    let elsewhere = TempDir::new().unwrap();
    for name in ["databases", "trash", "backups", "uploads", ".forge"] {
        let folder = TempDir::new().unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join(name)).unwrap();
        for subcommand in ["serve", "doctor"] {
            let ended = Command::new(env!("CARGO_BIN_EXE_dbforge"))
                .arg(subcommand)
                .env("DBFORGE_LISTEN", "127.0.0.1:0")
                .env("DBFORGE_DATA_DIR", folder.path())
                .env("DBFORGE_RUNTIME", "process")
                .output()
                .unwrap();
            let said = [ended.stdout, ended.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            let is_told = said.contains(&format!("/{name} is a link, which is not followed"));
            assert!(!ended.status.success() && is_told, "{subcommand}: {said}");
        }
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "{name}"
        );
    }
}

#[test]
fn a_folder_that_becomes_a_link_makes_the_gateway_not_ready() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let (databases, moved) = (folder.path().join("databases"), folder.path().join("moved"));
    std::fs::rename(&databases, &moved).unwrap();
    std::os::unix::fs::symlink(&moved, &databases).unwrap();
    let (status, readiness) = gateway.get("/readyz").unwrap();
    let is_told = readiness["checks"]["folders"]["ok"] == json!(false);
    assert!(status == 503 && is_told, "{readiness}");
    std::fs::remove_file(&databases).unwrap();
    std::fs::rename(&moved, &databases).unwrap();
    assert_eq!(gateway.get("/readyz").unwrap().0, 200);
    assert!(gateway.stop());
}

#[test]
fn a_standard_error_that_takes_nothing_ends_nothing() {
    for (what, redirect) in [
        ("closed", "exec \"$@\" 2>&-"),
        ("a pipe that nobody reads", "exec \"$@\" 2> >(exec true)"),
        ("a full disk", "exec \"$@\" 2>/dev/full"),
    ] {
        let folder = TempDir::new().unwrap();
        let mut program = Command::new("bash");
        program.args(["-c", redirect, "bash", env!("CARGO_BIN_EXE_dbforge")]);
        let settings = [("DBFORGE_RUNTIME", "process"), ("DBFORGE_LOG", "debug")];
        let gateway = GatewayProcess::try_start(program, folder.path(), &settings);
        let gateway = gateway.unwrap_or_else(|| panic!("{what}: it does not start"));
        let (status, job) = gateway
            .post("/v1/databases", &json!({"name": "shop"}))
            .unwrap();
        assert_eq!(status, 202, "{what}: {job}");
        // More than there are threads of any kind.
        for number in 0..50 {
            let sql = format!("SELECT {number}");
            let answered = gateway.post("/v1/databases/shop/query", &json!({ "sql": sql }));
            let (status, answer) = answered.unwrap_or_else(|| panic!("{what}: no answer"));
            assert_eq!(status, 200, "{what}: {answer}");
            assert_eq!(gateway.get("/v1/databases").unwrap().0, 200, "{what}");
        }
        assert!(gateway.stop(), "{what}");
    }
}

#[test]
fn a_standard_output_that_takes_nothing_ends_nothing() {
    for (what, redirect) in [
        ("closed", "exec \"$@\" >&-"),
        ("a pipe that nobody reads", "exec \"$@\" > >(exec true)"),
        ("a full disk", "exec \"$@\" >/dev/full"),
    ] {
        let folder = TempDir::new().unwrap();
        // The address cannot be read from the output, so the test chooses it.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut gateway = Command::new("bash")
            .args([
                "-c",
                redirect,
                "bash",
                env!("CARGO_BIN_EXE_dbforge"),
                "serve",
            ])
            .env("DBFORGE_LISTEN", address.to_string())
            .env("DBFORGE_DATA_DIR", folder.path())
            .env("DBFORGE_RUNTIME", "process")
            .spawn()
            .unwrap();
        let deadline = Deadline::after(PATIENCE);
        let health = format!("http://{address}/healthz");
        let is_healthy = || ureq::get(&health).call().is_ok();
        while !is_healthy() {
            assert!(
                gateway.try_wait().unwrap().is_none(),
                "{what}: it has ended"
            );
            assert!(!deadline.has_passed(), "{what}: it does not serve");
            std::thread::yield_now();
        }
        let pid = Pid::from_raw(gateway.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        assert!(gateway.wait().unwrap().success(), "{what}");
    }
}

#[test]
fn a_root_token_is_not_written_where_no_terminal_is() {
    let folder = TempDir::new().unwrap();
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .arg("serve")
        .env("DBFORGE_LISTEN", "127.0.0.1:0")
        .env("DBFORGE_DATA_DIR", folder.path())
        .env("DBFORGE_RUNTIME", "process")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let file = folder.path().join(".forge/root-token");
    let mut out = BufReader::new(gateway.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("root-token") {
        assert_ne!(out.read_line(&mut said).unwrap(), 0, "{said}");
    }
    let pid = Pid::from_raw(gateway.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let ended = gateway.wait_with_output().unwrap();
    out.read_to_string(&mut said).unwrap();
    said.push_str(&String::from_utf8(ended.stderr).unwrap());
    let token = std::fs::read_to_string(file).unwrap();
    assert!(!said.contains(token.trim()), "{said}");
}
