//! What is piped in is taken whole, and lists say when they show a part.
use crate::support::cli::Dbforge;
use crate::support::gateway_process::GatewayProcess;
use std::fmt::Write as _;
use tempfile::TempDir;

/// More bytes than the command once read of its input, in as many statements as a script may have.
fn long_script(statements: usize) -> String {
    let filling = "x".repeat(2_000);
    let mut script = "CREATE TABLE t(a);".to_owned();
    for number in 1..statements {
        writeln!(script, "INSERT INTO t VALUES ('{number} {filling}');").unwrap();
    }
    script
}

#[test]
fn every_statement_of_a_long_script_is_run_or_none() {
    let folder = TempDir::new().unwrap();
    let larger = ("DBFORGE_MAX_BODY_BYTES", "33554432");
    let process = ("DBFORGE_RUNTIME", "process");
    let gateway = GatewayProcess::start_with(folder.path(), &[process, larger]);
    let command = |args: &[&str]| {
        Dbforge::with(args)
            .setting("DBFORGE_URL", &gateway.url)
            .setting("DBFORGE_TOKEN", &gateway.token)
    };
    command(&["create", "shop"]).run().well();
    let script = long_script(9_001);
    assert!(script.len() > 16 << 20);
    let piped = ["sql", "shop", "--file", "-", "--timeout", "60s"];
    let ended = command(&piped).fed(&script);
    assert!(ended.err.contains("statements: 9001"), "{ended:?}");
    ended.well();
    let count = ["sql", "shop", "SELECT count(*) AS n FROM t"];
    assert_eq!(command(&count).run().well(), "n\n9000\n");

    command(&["create", "empty"]).run().well();
    let piped = ["sql", "empty", "--file", "-", "--timeout", "60s"];
    let said = command(&piped).fed(&script.repeat(2)).badly(1);
    assert!(said.contains("payload_too_large"), "{said}");
    let tables = ["sql", "empty", "SELECT count(*) AS n FROM sqlite_schema"];
    assert_eq!(command(&tables).run().well(), "n\n0\n");
}

#[test]
fn a_list_that_shows_a_part_says_so() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let run = |args: &[&str]| {
        let command = Dbforge::with(args).setting("DBFORGE_URL", &gateway.url);
        command.setting("DBFORGE_TOKEN", &gateway.token).run()
    };
    run(&["create", "shop"]).well();
    for (args, is_part) in [
        (&["events", "--limit", "2"][..], true),
        (&["events", "--limit", "1000"], false),
        (&["events", "--after", "1", "--limit", "2"], true),
        (&["jobs", "--limit", "1"], false),
    ] {
        let ended = run(args);
        assert_eq!(
            ended.err.contains("--limit"),
            is_part,
            "{args:?}: {ended:?}"
        );
    }
}
