//! The commands that speak to a running gateway, as somebody at a terminal uses them.
use crate::support::cli::{CliForge, Dbforge, dbforge};
use crate::support::gateway_process::{GatewayProcess, PATIENCE};
use dbforge::clock::Stopwatch;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tempfile::TempDir;

/// The state that a database is shown in.
fn state_of(forge: &CliForge, name: &str) -> String {
    let shown = forge.json(&["show", name]);
    shown["state"].as_str().unwrap().to_owned()
}

/// The cells of a table's row.
fn cells(table: &str, row: usize) -> Vec<&str> {
    let line = table.lines().nth(row).unwrap();
    line.split_whitespace().collect()
}

#[test]
fn a_database_lives_its_whole_life_from_the_command_line() {
    let forge = CliForge::new();
    let created = forge.run(&["create", "shop", "--label", "team=red"]).well();
    assert_eq!(
        cells(&created, 1)[1..4],
        ["create_database", "shop", "succeeded"]
    );
    let insert = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)";
    assert_eq!(forge.run(&["sql", "shop", insert]).well(), "");
    let insert = "INSERT INTO t(name) VALUES (?1), (?2)";
    let ended = forge.run(&["sql", "shop", insert, "--param", "a,b", "--param", "null"]);
    assert!(ended.err.contains("rows affected: 2"), "{ended:?}");

    let list = forge.run(&["list"]).well();
    assert_eq!(
        cells(&list, 0),
        ["NAME", "STATE", "WORKER", "BYTES", "EXPIRES", "LABELS"]
    );
    assert_eq!(cells(&list, 1)[..3], ["shop", "ready", "healthy"]);
    assert_eq!(cells(&list, 1)[5], "team=red");

    for (command, state) in [
        (["stop", "shop"], "stopped"),
        (["start", "shop"], "ready"),
        (["restart", "shop"], "ready"),
        (["delete", "shop"], "trashed"),
        (["undelete", "shop"], "ready"),
    ] {
        let job = forge.run(&command).well();
        assert_eq!(cells(&job, 1)[3], "succeeded", "{command:?}: {job}");
        assert_eq!(state_of(&forge, "shop"), state, "{command:?}");
    }
    let rows = forge.run(&["sql", "shop", "SELECT * FROM t"]).well();
    assert_eq!(
        rows, "id  name\n1   a,b\n2   NULL\n",
        "its rows are still there"
    );

    forge.run(&["delete", "shop", "--purge"]).well();
    let said = forge.run(&["show", "shop"]).badly(1);
    assert!(said.contains("database_not_found"), "{said}");
}

#[test]
fn rows_are_printed_as_a_table_as_csv_or_as_the_gateway_sent_them() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let sql = "SELECT 9007199254740993 AS big, 'a\"b' AS text, NULL AS none, x'00ff' AS blob";
    let table = forge.run(&["sql", "shop", sql]).well();
    assert_eq!(
        cells(&table, 1),
        ["9007199254740993", "a\"b", "NULL", "AP8="]
    );
    let csv = forge.run(&["sql", "shop", sql, "--format", "csv"]).well();
    assert_eq!(
        csv,
        "big,text,none,blob\r\n9007199254740993,\"a\"\"b\",,AP8=\r\n"
    );
    let two = "SELECT 1 AS a UNION ALL SELECT 2";
    let cut = ["sql", "shop", two, "--format", "csv", "--max-rows", "1"];
    let cut = forge.run(&cut);
    assert_eq!((cut.code, cut.out.as_str()), (0, "a\r\n1\r\n"));
    assert!(cut.err.contains("output truncated"), "{}", cut.err);
    let json = forge
        .command(&["sql", "shop", "-", "--json"])
        .fed(sql)
        .well();
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["rows"][0][0], 9_007_199_254_740_993_i64);
    assert_eq!(answer["columns"][1]["name"], "text");
}

#[test]
fn a_script_is_run_from_a_file_or_from_the_standard_input() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let file = forge.folder.path().join("script.sql");
    std::fs::write(&file, "CREATE TABLE t(a);\nINSERT INTO t VALUES (1), (2);").unwrap();
    let script = ["sql", "shop", "--file", file.to_str().unwrap()];
    let ended = forge.run(&script);
    assert!(
        ended.err.contains("statements: 2, rows affected: 2"),
        "{ended:?}"
    );
    let said = forge.run(&script).badly(1);
    assert!(said.contains("table t already exists"), "{said}");
    assert!(said.contains("statement 0, at line 1"), "{said}");
    let piped = forge.command(&["sql", "shop", "--file", "-", "--timeout", "2s", "--json"]);
    let answer: Value = serde_json::from_str(&piped.fed("DELETE FROM t").well()).unwrap();
    assert_eq!(answer["rows_affected"], 2);
    let said = forge
        .run(&["sql", "shop", "--file", "no-such.sql"])
        .badly(2);
    assert!(said.contains("cannot read the script"), "{said}");
}

#[test]
fn rows_are_printed_as_they_come_and_a_stream_that_breaks_off_is_told() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000) \
               SELECT i, abs(-9223372036854775807 - (i = ?1)) FROM n";
    let print = |format: &str, broken_row: &str| {
        let format = ["--format", format, "--param", broken_row];
        forge.run(&[&["sql", "shop", sql][..], &format].concat())
    };
    assert_eq!(print("ndjson", "0").well().lines().count(), 20_002);
    assert_eq!(print("csv", "0").well().lines().count(), 20_001);

    let ended = print("ndjson", "19000");
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("integer overflow (sql_error"));
    assert!(ended.out.contains("[1000,") && !ended.out.contains("error"));
    let ended = print("csv", "19000");
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains("the stream of rows was interrupted"));
}

#[test]
fn what_the_gateway_refuses_is_told_with_what_to_do_next() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    for (command, code) in [
        (&["create", "shop"][..], "database_exists"),
        (&["show", "../shop"], "database_not_found"),
        (&["sql", "shop", "SELECT * FROM nowhere"], "sql_error"),
        (&["sql", "shop", "DROP TABLE x", "--readonly"], ""),
        (&["jobs", "no-job"], "job_not_found"),
        (&["token", "revoke", "no-token"], "token_not_found"),
    ] {
        let said = forge.run(command).badly(1);
        assert!(said.starts_with("dbforge: "), "{command:?}: {said}");
        assert!(said.contains(code), "{command:?}: {said}");
    }
    let said = forge.run(&["create", "shop"]).badly(1);
    assert!(said.contains("\n  hint: "), "{said}");
    for command in [
        &["create", "no/name"][..],
        &["create", "x", "--ttl", "banana"],
        &["events", "--kind", "no_kind"],
    ] {
        let said = forge.run(command).badly(2);
        assert!(said.contains("invalid_request"), "{command:?}: {said}");
    }
}

#[test]
fn jobs_and_events_are_listed_with_the_latest_at_the_end() {
    let forge = CliForge::new();
    forge.run(&["create", "a"]).well();
    forge.run(&["create", "b"]).well();
    forge.run(&["stop", "a"]).well();
    let kinds = |args: &[&str]| -> Vec<String> {
        let jobs = forge.json_lines(args).into_iter();
        jobs.map(|it| it["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ["create_database", "create_database", "stop_database"];
    assert_eq!(kinds(&["jobs"]), all);
    assert_eq!(kinds(&["jobs", "--limit", "2"]), all[1..]);
    assert_eq!(kinds(&["jobs", "--database", "b"]), all[..1]);
    assert_eq!(kinds(&["jobs", "--state", "queued,failed"]), [""; 0]);

    let latest = forge.json_lines(&["events", "--limit", "1"]);
    assert_eq!(latest[0]["kind"], "job_succeeded");
    let last = latest[0]["sequence"].as_u64().unwrap();
    let sequences: Vec<u64> = forge
        .json_lines(&["events", "--after", "1", "--limit", "5000"])
        .iter()
        .map(|it| it["sequence"].as_u64().unwrap())
        .collect();
    assert_eq!(sequences, (2..=last).collect::<Vec<_>>());

    let id = forge.json_lines(&["jobs", "--limit", "1"])[0]["id"].clone();
    let job = forge.run(&["jobs", id.as_str().unwrap()]).well();
    assert!(job.contains("attempt 1"), "{job}");
}

#[test]
fn the_history_of_a_live_gateway_replays_to_the_state_that_it_holds() {
    let forge = CliForge::new();
    for name in ["a", "b", "c"] {
        forge.run(&["create", name]).well();
    }
    forge.run(&["delete", "b"]).well();
    let data_dir = forge.folder.path().to_str().unwrap();
    let export = dbforge(&["log", "export", "--data-dir", data_dir]).well();
    let replayed = Dbforge::with(&["replay", "-"]).fed(&export).well();
    let live: String = ureq::get(format!("{}/v1/state?format=text", forge.gateway.url))
        .header("X-API-Key", &forge.gateway.token)
        .call()
        .unwrap()
        .body_mut()
        .read_to_string()
        .unwrap();
    assert_eq!(replayed, live);
    assert_eq!(live.matches("\n## ").count(), 3, "{live}");
    dbforge(&["log", "verify", "--data-dir", data_dir]).well();
}

#[test]
fn a_job_need_not_be_waited_for() {
    let forge = CliForge::new();
    let queued = forge.json_lines(&["create", "shop", "--no-wait"]);
    let id = queued[0]["id"].as_str().unwrap();
    assert!(queued[0]["finished_at"].is_null(), "{queued:?}");
    forge.gateway.poll("the job ends", || {
        forge.json_lines(&["jobs", id])[0]["state"] == "succeeded"
    });
}

#[test]
fn a_token_opens_what_it_is_for_until_it_is_revoked() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let made = forge.run(&[
        "token",
        "create",
        "ci",
        "--scope",
        "read",
        "--database",
        "shop",
    ]);
    let secret = made.well();
    let as_ci = |args: &[&str]| {
        forge
            .command(args)
            .setting("DBFORGE_TOKEN", secret.trim())
            .run()
    };
    as_ci(&["sql", "shop", "SELECT 1"]).well();
    let said = as_ci(&["delete", "shop"]).badly(1);
    assert!(said.contains("insufficient_scope"), "{said}");

    let tokens = forge.run(&["token", "list"]).well();
    assert_eq!(cells(&tokens, 1)[1..4], ["ci", "read", "shop"]);
    assert!(!tokens.contains(secret.trim()));
    forge.run(&["token", "revoke", cells(&tokens, 1)[0]]).well();
    let said = as_ci(&["list"]).badly(1);
    assert!(said.contains("unauthenticated"), "{said}");
}

#[test]
fn beside_its_data_folder_no_token_has_to_be_set() {
    let forge = CliForge::new();
    let ended = Dbforge::with(&["list", "-v", "--url", &forge.gateway.url])
        .data_dir(forge.folder.path())
        .run();
    assert!(ended.err.contains("root-token"), "{ended:?}");
    assert!(!ended.err.contains(&forge.gateway.token), "{ended:?}");
    ended.well();

    let elsewhere = TempDir::new().unwrap();
    let said = Dbforge::with(&["list", "--url", &forge.gateway.url])
        .data_dir(elsewhere.path())
        .run()
        .badly(1);
    assert!(said.contains("DBFORGE_TOKEN"), "{said}");
}

#[test]
fn a_gateway_that_is_not_there_is_told_apart_from_one_that_says_no() {
    let closed = "http://127.0.0.1:1";
    let said = dbforge(&["list", "--url", closed]).badly(3);
    assert!(
        said.contains(closed) && said.contains("dbforge serve"),
        "{said}"
    );
    dbforge(&["list", "--url", "nowhere"]).badly(2);
    dbforge(&["health", "--url", closed]).badly(1);
}

#[test]
fn health_asks_for_life_or_for_readiness() {
    let forge = CliForge::new();
    let url = forge.gateway.url.as_str();
    dbforge(&["health", "--url", url]).well();
    let ready = dbforge(&["health", "--url", url, "--ready", "--host", "db.localhost"]);
    ready.well();
    let listen = url.strip_prefix("http://").unwrap();
    Dbforge::with(&["health"])
        .setting("DBFORGE_LISTEN", listen)
        .run()
        .well();
}

#[test]
fn the_doctor_finds_a_live_forge_well() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let said = Dbforge::with(&["doctor"])
        .data_dir(forge.folder.path())
        .run()
        .well();
    let held = format!("process {}", forge.gateway.process_id());
    assert!(said.contains(&held), "{said}");
    assert!(
        said.contains("every database has its file: 1 database"),
        "{said}"
    );
    assert!(said.lines().all(|it| it.starts_with("ok ")), "{said}");
}

#[test]
fn a_replaced_root_token_counts_from_the_next_start() {
    let forge = CliForge::new();
    let data_dir = forge.folder.path();
    let reset = Dbforge::with(&["token", "reset-root"]).data_dir(data_dir);
    let fresh = reset.run().well();
    forge.run(&["list"]).well();

    let CliForge { folder, gateway } = forge;
    let old = gateway.token.clone();
    assert!(gateway.stop());
    let gateway = GatewayProcess::start(folder.path());
    assert_eq!(gateway.token, fresh.trim());
    let said = Dbforge::with(&["list", "--url", &gateway.url, "--token", &old]).run();
    said.badly(1);
}

#[test]
fn a_running_gateway_takes_up_a_replaced_root_token_when_it_is_told() {
    let forge = CliForge::new();
    let reset = Dbforge::with(&["token", "reset-root"]).data_dir(forge.folder.path());
    let ended = reset.run();
    let process = forge.gateway.process_id();
    let told = format!("kill -HUP {process}");
    assert!(ended.err.contains(&told), "{ended:?}");
    let fresh = ended.well();
    forge.run(&["list"]).well();
    let with_fresh = || {
        let list = forge.command(&["list"]);
        list.setting("DBFORGE_TOKEN", fresh.trim()).run()
    };
    assert_eq!(with_fresh().code, 1, "nobody has told the gateway yet");

    let pid = Pid::from_raw(process.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::HUP).unwrap();
    forge
        .gateway
        .poll("the fresh token is accepted", || with_fresh().code == 0);
    let said = forge.run(&["list"]).badly(1);
    assert!(said.contains("unauthenticated"), "{said}");
}

#[test]
fn refused_sign_ins_of_one_source_are_answered_later_and_later() {
    let forge = CliForge::new();
    let refused = || {
        let begun = Stopwatch::start();
        let asked = ureq::get(format!("{}/v1/databases", forge.gateway.url))
            .header("X-API-Key", "dbf_guess")
            .call();
        assert!(
            matches!(asked, Err(ureq::Error::StatusCode(401))),
            "{asked:?}"
        );
        begun.elapsed()
    };
    for _ in 0..100 {
        refused();
    }
    assert!(
        refused() >= Duration::from_millis(250),
        "it waits at least so long"
    );
    forge.run(&["list"]).well();
}

#[test]
fn a_second_gateway_on_the_same_folder_does_not_start() {
    let forge = CliForge::new();
    let said = Dbforge::with(&["serve", "--listen", "127.0.0.1:0", "--runtime", "process"])
        .data_dir(forge.folder.path())
        .run()
        .badly(3);
    assert!(said.contains("in use by another gateway"), "{said}");
    let said = dbforge(&["serve", "--listen", "nowhere"]).badly(2);
    assert!(said.contains("DBFORGE_LISTEN"), "{said}");
}

#[test]
fn told_twice_to_stop_the_gateway_ends_at_once() {
    let folder = TempDir::new().unwrap();
    let grace = ("DBFORGE_STOP_GRACE", "10m");
    let process = ("DBFORGE_RUNTIME", "process");
    let gateway = GatewayProcess::start_with(folder.path(), &[process, grace]);
    let _unfinished = unfinished_request(&gateway);

    let begun = Stopwatch::start();
    let pid = Pid::from_raw(gateway.process_id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    gateway.poll("it takes no more requests", || {
        gateway.get("/healthz").is_none()
    });
    assert!(!gateway.stop(), "the second signal interrupts it");
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "it did not wait for the grace to end"
    );
}

/// A request whose body the gateway waits for, as its "go on" says.
fn unfinished_request(gateway: &GatewayProcess) -> TcpStream {
    let address = gateway.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/databases HTTP/1.1\r\nHost: {address}\r\nX-API-Key: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 15\r\nExpect: 100-continue\r\n\r\n",
        gateway.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut go_on = [0; 12];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100");
    stream
}

#[test]
fn a_schedule_is_made_shown_paused_and_deleted() {
    let forge = CliForge::new();
    let command = r#"{"create_database":{"name":"copy-{date}"}}"#;
    let made = forge.run(&["schedules", "create", "nightly", "30 2 * * *", command]);
    assert!(made.well().contains("nightly"));
    assert!(
        forge
            .run(&["schedules", "list"])
            .well()
            .contains("30 2 * * *")
    );
    let paused = forge.json_lines(&["schedules", "pause", "nightly"]);
    assert!(paused[0]["next_at"].is_null(), "{paused:?}");
    forge.run(&["schedules", "resume", "nightly"]).well();
    forge.run(&["schedules", "run", "nightly"]).well();
    forge.run(&["schedules", "delete", "nightly"]).well();
    let said = forge.run(&["schedules", "show", "nightly"]).badly(1);
    assert!(said.contains("no schedule"), "{said}");
    let said = forge
        .run(&["schedules", "create", "x", "@daily", "{"])
        .badly(2);
    assert!(said.contains("COMMAND"), "{said}");
}
