//! The clients in `examples/` do what they say, against a real gateway.
use crate::support::gateway_process::GatewayProcess;
use std::path::PathBuf;
use std::process::Command;

/// Runs a client and returns what it prints; its database must be gone afterwards.
#[track_caller]
fn run(gateway: &GatewayProcess, mut client: Command, database: &str) -> String {
    let output = client
        .env("DBFORGE_URL", &gateway.url)
        .env("DBFORGE_TOKEN", &gateway.token)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{client:?}: {errors}");
    let (_, left) = gateway.get(&format!("/v1/databases/{database}")).unwrap();
    assert_eq!(left["state"], "trashed", "{left}");
    String::from_utf8(output.stdout).unwrap()
}

fn example(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(file)
}

#[test]
fn every_example_client_makes_fills_asks_and_deletes_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = GatewayProcess::start(folder.path());

    let curl = run(&gateway, Command::new(example("client.sh")), "example-curl");
    assert!(
        curl.contains(r#""rows":[{"id":1,"name":"lamp"},{"id":2,"name":"chair"}]"#),
        "{curl}"
    );

    let mut python = Command::new("python3");
    python.arg(example("client.py"));
    assert_eq!(run(&gateway, python, "example-python"), "1 lamp\n2 chair\n");

    let mut rust = Command::new(env!("CARGO"));
    rust.args(["run", "--quiet", "--locked", "--example", "client"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(
        run(&gateway, rust, "example-rust"),
        "1 \"lamp\"\n2 \"chair\"\n"
    );
}
