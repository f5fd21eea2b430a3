//! The history from the command line.
use crate::support::cli::{Dbforge, Ended, dbforge};
use crate::support::gateway_process::GatewayProcess;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

fn run(gateway: &GatewayProcess, args: &[&str]) -> Ended {
    Dbforge::with(args)
        .setting("DBFORGE_URL", &gateway.url)
        .setting("DBFORGE_TOKEN", &gateway.token)
        .run()
}

#[test]
fn the_past_is_shown_compared_asked_and_vouched_for() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    let json = |args: &[&str]| -> Value {
        let args = [args, &["--json"]].concat();
        serde_json::from_str(&run(&gateway, &args).well()).unwrap()
    };
    run(&gateway, &["create", "shop"]).well();
    let early = json(&["audit", "head"])["sequence"].to_string();
    run(&gateway, &["create", "blog"]).well();

    let then = run(&gateway, &["state", "--at", &early]).well();
    assert!(
        then.contains("## shop (ready)") && !then.contains("## blog"),
        "{then}"
    );
    assert!(run(&gateway, &["state"]).well().contains("## blog (ready)"));
    let then = json(&["state", "--at", &early]);
    assert_eq!(then["databases"].as_array().unwrap().len(), 1);
    let then = run(&gateway, &["state", "--at", "1", "--format", "json"]).well();
    assert!(then.starts_with("{\"as_of\":1,"), "{then}");
    let changed = run(&gateway, &["diff", &early]).well();
    assert!(changed.contains("+## blog (ready)"), "{changed}");
    assert_eq!(run(&gateway, &["diff", &early, &early]).well(), "");
    let changed = json(&["diff", &early]);
    assert_eq!(changed["databases"]["added"][0]["name"], "blog");
    let said = run(&gateway, &["state", "--at", "soon"]).badly(2);
    assert!(
        said.contains("must be a sequence number or a time"),
        "{said}"
    );

    let sql = "SELECT name, state FROM databases WHERE name <> ?1 ORDER BY name";
    let rows = run(&gateway, &["audit", "sql", sql, "--param", "shop"]).well();
    assert_eq!(rows, "name  state\nblog  ready\n");
    let said = run(&gateway, &["audit", "sql", "DELETE FROM events"]).badly(1);
    assert!(said.contains("read_only"), "{said}");

    let key = run(&gateway, &["audit", "key"]).well();
    assert_eq!(json(&["audit", "key"])["public_key"], key.trim());
    let signed = run(&gateway, &["audit", "checkpoint"]).well();
    let table = run(&gateway, &["audit", "checkpoints"]).well();
    let head = json(&["audit", "head"]);
    assert!(table.contains(head["hash"].as_str().unwrap()), "{table}");
    let all = run(&gateway, &["audit", "checkpoints", "--json"]).well();
    assert!(all.ends_with(&signed), "{all}");

    // What was copied away is held against the log of a gateway that runs.
    let kept = folder.path().join("kept.jsonl");
    fs::write(&kept, &all).unwrap();
    let verify = |with: &[&str]| {
        let args = [&["log", "verify"], with].concat();
        Dbforge::with(&args).data_dir(folder.path()).run()
    };
    let kept = ["--checkpoints", kept.to_str().unwrap(), "--key", key.trim()];
    for with in [&[] as &[&str], &kept] {
        let said = verify(with).well();
        assert!(
            said.contains("checkpoints match, the last at event"),
            "{said}"
        );
    }
    assert!(gateway.stop());
    let doctor = Dbforge::with(&["doctor"]).data_dir(folder.path()).run();
    let line = doctor.out.lines().find(|it| it.contains("checkpoints"));
    assert!(line.is_some_and(|it| it.starts_with("ok")), "{doctor:?}");
    let own = folder.path().join(".forge/audit/checkpoints.jsonl");
    let forged = all.replace("\"time\":\"20", "\"time\":\"19");
    fs::write(&own, forged).unwrap();
    assert!(verify(&[]).badly(4).contains("signature does not match"));
}

#[test]
fn a_shell_completes_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = dbforge(&["completion", shell]).well();
        for word in ["undelete", "checkpoints", "completion"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("completion.bash");
    fs::write(&script, dbforge(&["completion", "bash"]).well()).unwrap();
    let complete = format!(
        "source {}; COMP_WORDS=(dbforge audit check); COMP_CWORD=2; \
         _dbforge dbforge check audit; echo ${{COMPREPLY[@]}}",
        script.display()
    );
    let bash = std::process::Command::new("bash")
        .args(["-c", &complete])
        .output();
    let completed = String::from_utf8(bash.unwrap().stdout).unwrap();
    assert_eq!(completed.trim(), "checkpoint checkpoints");
    assert!(dbforge(&["completion", "tcsh"]).badly(2).contains("tcsh"));
}
