//! Public clients of PostgREST drive the routes that are made for them.
//!
//! `docker/setup.sh postgrest` brings them.
use crate::support::gateway_process::GatewayProcess;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What is installed lies in the target folder, somewhere above the program.
fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dbforge"))
        .ancestors()
        .map(|folder| folder.join(path))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{path} is installed: docker/setup.sh postgrest"))
}

fn fixture(file: &str) -> PathBuf {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/postgrest");
    fixtures.join(file)
}

/// What a program prints that talks to a gateway.
#[track_caller]
fn run(program: &mut Command) -> String {
    let data = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(data.path());
    let output = program
        .env("DBFORGE_URL", &gateway.url)
        .env("DBFORGE_TOKEN", &gateway.token)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program:?}\n{said}\n{errors}");
    said
}

#[test]
fn the_javascript_client_works() {
    let modules = installed("postgrest-npm/node_modules");
    // A module finds others beside it.
    let script = modules.parent().unwrap().join("drive.mjs");
    std::fs::copy(fixture("drive.mjs"), &script).unwrap();
    let said = run(Command::new("node").arg(script));
    assert_eq!(said.trim(), "postgrest-js: ok");
}

#[test]
fn the_python_client_works() {
    let python = installed("postgrest/bin/python");
    let said = run(Command::new(python).arg(fixture("drive.py")));
    assert_eq!(said.trim(), "postgrest: ok");
}
