//! Plans and undo from the command line.
use crate::support::cli::{Dbforge, Ended};
use crate::support::gateway_process::GatewayProcess;
use serde_json::Value;
use tempfile::TempDir;

fn run(gateway: &GatewayProcess, args: &[&str]) -> Ended {
    Dbforge::with(args)
        .setting("DBFORGE_URL", &gateway.url)
        .setting("DBFORGE_TOKEN", &gateway.token)
        .run()
}

fn json(gateway: &GatewayProcess, args: &[&str]) -> Value {
    let args = [args, &["--json"]].concat();
    serde_json::from_str(run(gateway, &args).well().lines().next().unwrap()).unwrap()
}

#[test]
fn a_plan_is_written_shown_and_applied_and_what_it_did_is_undone() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    run(&gateway, &["create", "shop"]).well();
    let shown = run(&gateway, &["plan", "delete", "shop"]).well();
    assert!(shown.contains("file: move to the trash"), "{shown}");
    assert!(shown.contains("becomes available"), "{shown}");
    let id = json(&gateway, &["plans"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(run(&gateway, &["plans", &id]).well().contains("open"));
    let job = run(&gateway, &["apply", &id]).well();
    assert!(job.contains("delete_database"), "{job}");
    assert_eq!(json(&gateway, &["show", "shop"])["state"], "trashed");
    assert!(run(&gateway, &["plans", &id]).well().contains("applied"));

    let events = json(&gateway, &["events", "--kind", "database_trashed"]);
    let sequence = events["sequence"].to_string();
    let planned = run(&gateway, &["undo", &sequence, "--dry-run"]).well();
    assert!(planned.contains("move out of the trash"), "{planned}");
    assert_eq!(json(&gateway, &["show", "shop"])["state"], "trashed");
    let undone = run(&gateway, &["undo", &sequence]).well();
    assert!(undone.contains("succeeded"), "{undone}");
    assert_eq!(json(&gateway, &["show", "shop"])["state"], "ready");

    // What needs no job is shown as it was done.
    let made = json(&gateway, &["plan", "change", "shop", "--ttl", "2h"]);
    let applied = run(&gateway, &["apply", made["id"].as_str().unwrap()]).well();
    assert!(applied.contains("applied"), "{applied}");
    let changed = json(&gateway, &["events", "--kind", "database_changed"]);
    let undone = run(&gateway, &["undo", &changed["sequence"].to_string()]).well();
    assert!(undone.contains("database_changed"), "{undone}");
    let stale = json(&gateway, &["plan", "stop", "shop"]);
    run(&gateway, &["restart", "shop"]).well();
    let refused = run(&gateway, &["apply", stale["id"].as_str().unwrap()]).badly(1);
    assert!(refused.contains("plan_stale"), "{refused}");
    assert!(
        run(&gateway, &["undo", "1"])
            .badly(1)
            .contains("initialized only once")
    );
}
