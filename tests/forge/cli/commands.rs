//! Commands and flags that make the command line complete, and what is said around them.
use crate::support::cli::{CliForge, Dbforge, dbforge};
use serde_json::Value;
use std::process::{Command, Stdio};

#[test]
fn options_of_the_gateway_stand_before_the_command_or_behind_it() {
    let forge = CliForge::new();
    let url = forge.gateway.url.as_str();
    let token = forge.gateway.token.as_str();
    dbforge(&["--url", url, "--token", token, "create", "shop"]).well();
    let out = dbforge(&["--json", "--url", url, "ls", "--token", token]).well();
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(listed["name"], "shop");
    let said = dbforge(&["--token", token, "doctor"]).badly(2);
    assert!(said.contains("talk to a gateway"), "{said}");
}

#[test]
fn version_help_and_ls_are_commands() {
    assert!(dbforge(&["version"]).well().starts_with("dbforge "));
    assert!(dbforge(&["help"]).well().contains("Exit codes:"));
    assert!(dbforge(&["help", "sql"]).well().contains("--param"));
    assert!(dbforge(&["help", "ls"]).well().contains("--state"));
}

#[test]
fn quiet_leaves_data_and_errors() {
    let forge = CliForge::new();
    let created = forge.run(&["create", "shop"]);
    assert!(created.err.contains("dbforge sql shop"), "{created:?}");
    let created = forge.run(&["create", "other", "--quiet"]);
    assert_eq!((created.code, created.err.as_str()), (0, ""));
    assert!(created.out.contains("succeeded"));
    let said = forge.run(&["-q", "show", "nowhere"]).badly(1);
    assert!(said.contains("database_not_found"), "{said}");
}

#[test]
fn errors_are_json_where_data_is() {
    let forge = CliForge::new();
    let said = forge.run(&["show", "nowhere", "--json"]).badly(1);
    let error: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(error["error"]["code"], "database_not_found");
    assert_eq!(error["error"]["status"], 404);
    assert_eq!(error["error"]["exit_code"], 1);
    let hint = error["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("`dbforge list`") && !hint.contains("/v1/"),
        "{hint}"
    );
    for (args, code) in [
        (&["--json", "sing"][..], 2),
        (&["list", "--json", "--url", "http://127.0.0.1:1"], 3),
    ] {
        let said = dbforge(args).badly(code);
        let error: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(error["error"]["exit_code"], code, "{said}");
    }
}

#[test]
fn settings_of_a_database_are_given_at_create_and_changed_later() {
    let forge = CliForge::new();
    let args = [
        "create",
        "shop",
        "--label",
        "team=red",
        "--size",
        "64MiB",
        "--cpus",
        "0.25",
        "--durability",
        "relaxed",
    ];
    forge.run(&args).well();
    let shop = forge.json(&["show", "shop"]);
    assert_eq!(shop["limits"]["size_bytes"], 64 << 20);
    assert_eq!(shop["limits"]["cpu_millis"], 250);
    assert_eq!(shop["durability"], "relaxed");

    let change = [
        "set",
        "shop",
        "--label",
        "branch=x",
        "--memory",
        "64MiB",
        "--protect",
        "true",
    ];
    let shop = forge.json(&[&change[..], &["--ttl", "2h"]].concat());
    assert_eq!(shop["labels"]["team"], "red", "{shop}");
    assert_eq!(shop["labels"]["branch"], "x");
    assert_eq!(shop["limits"]["size_bytes"], 64 << 20, "others stay");
    assert_eq!(shop["protected"], true);
    assert!(shop["expires_at"].is_string());
    let said = forge.run(&["delete", "shop"]).badly(1);
    assert!(said.contains("dbforge set shop --protect false"), "{said}");
    let change = ["set", "shop", "--remove-label", "team", "--ttl", "never"];
    let shop = forge.json(&[&change[..], &["--protect", "false"]].concat());
    assert!(shop["labels"].get("team").is_none() && shop["expires_at"].is_null());
    for wrong in [
        &["set", "shop"][..],
        &["set", "shop", "--size", "large"],
        &["create", "x", "--cpus", "-1"],
        &["create", "x", "--durability", "some"],
    ] {
        forge.run(wrong).badly(2);
    }
}

#[test]
fn a_named_parameter_goes_to_its_name() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let sql = "SELECT :a AS a, :b AS b";
    let named = ["sql", "shop", sql, "--param", ":b=2", "--param", "@a=x"];
    assert_eq!(forge.run(&named).well(), "a  b\nx  2\n");
    forge
        .run(&["sql", "shop", sql, "--param", ":b=2", "--param", "1"])
        .badly(2);
}

#[test]
fn a_token_is_revoked_by_its_name() {
    let forge = CliForge::new();
    let secret = forge
        .run(&["token", "create", "ci", "--scope", "read"])
        .well();
    forge.run(&["token", "revoke", "ci"]).well();
    let refused = forge
        .command(&["list"])
        .setting("DBFORGE_TOKEN", secret.trim());
    refused.run().badly(1);
    forge.run(&["token", "revoke", "ci"]).badly(1);
}

#[test]
fn events_name_databases() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let events = forge.run(&["events"]).well();
    let ready = events.lines().find(|it| it.contains("database_ready"));
    assert!(ready.unwrap().contains(" shop"), "{events}");
}

#[test]
fn jobs_and_drift_are_acted_upon() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let out = forge.run(&["jobs", "--json"]).well();
    let job: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    let id = job["id"].as_str().unwrap();
    for action in ["cancel", "retry"] {
        let said = forge.run(&["jobs", action, id]).badly(1);
        assert!(!said.contains("/v1/"), "{action}: {said}");
    }
    forge.run(&["drift", "allow"]).well();
    let said = forge.run(&["drift", "remove", "no-worker"]).badly(1);
    assert!(!said.contains("/v1/"), "{said}");
}

#[test]
fn a_test_message_that_is_not_delivered_is_no_success() {
    let forge = CliForge::new();
    let hook = forge.json(&["webhooks", "create", "http://127.0.0.1:1/hook"]);
    let id = hook["id"].as_str().unwrap();
    let ended = forge.run(&["webhooks", "test", id]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("not delivered"), "{ended:?}");
    let shown = forge.run(&["webhooks", "show", id]).well();
    assert!(
        shown.contains("http://127.0.0.1:1/hook") && !shown.contains('{'),
        "{shown}"
    );
}

#[test]
fn a_file_of_settings_is_read_and_a_misspelt_setting_is_told() {
    let forge = CliForge::new();
    let file = forge.folder.path().join("settings");
    let (url, token) = (&forge.gateway.url, &forge.gateway.token);
    let text = format!("DBFORGE_URL={url}\nDBFORGE_TOKEN='{token}' # ours\nDBFORGE_TOKNE=x\n");
    std::fs::write(&file, text).unwrap();
    let with_file = |args: &[&str]| {
        let command = Dbforge::with(args);
        command
            .setting("DBFORGE_ENV_FILE", file.to_str().unwrap())
            .run()
    };
    let listed = with_file(&["list"]);
    assert_eq!(listed.code, 0, "{listed:?}");
    let warning = "unknown setting DBFORGE_TOKNE is ignored; did you mean DBFORGE_TOKEN?";
    assert!(listed.err.contains(warning), "{listed:?}");
    with_file(&["health"]).well();
}

#[test]
fn a_reader_that_closes_the_output_ends_the_command_without_a_word() {
    let forge = CliForge::new();
    forge.run(&["create", "shop"]).well();
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) \
               SELECT i FROM n";
    for args in [
        &["sql", "shop", sql, "--format", "csv"][..],
        &[
            "sql",
            "shop",
            sql,
            "--max-rows",
            "100000",
            "--timeout",
            "30s",
        ],
        &["help"],
    ] {
        let ended = Command::new("bash")
            .args(["-c", "set -o pipefail; \"$@\" | head -1", "bash"])
            .arg(env!("CARGO_BIN_EXE_dbforge"))
            .args(args)
            .env("DBFORGE_URL", &forge.gateway.url)
            .env("DBFORGE_TOKEN", &forge.gateway.token)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = ended.status.code().unwrap();
        assert!(code == 0 || code == 141, "{args:?}: {code}");
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(
            said.is_empty() || said.contains("output truncated"),
            "{said}"
        );
    }
}
