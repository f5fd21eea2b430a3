//! The examples of docs/API.md are what a gateway answers.
//!
//! Each `console` block is run, in order, with the real curl, against a gateway for each of the two
//! groups of sections below: `$ curl …`, then the status that is documented and the answer. `$ID` and
//! `$SEQUENCE` are the `id` and the `sequence` of the answer before, or of the first thing in its
//! list.
use crate::support::gateway_process::GatewayProcess;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Command;
use tempfile::TempDir;

const WORK: &[&str] = &[
    "Databases",
    "SQL",
    "Schema",
    "Rows",
    "Imports",
    "Exports",
    "Jobs",
    "Drift",
    "Tokens",
    "The gateway itself",
    "Legacy API",
];
const HISTORY: &[&str] = &[
    "History",
    "Watching events",
    "Webhooks",
    "Plans and undo",
    "Schedules",
];

/// A command with the status and the answer that the document promises.
#[derive(Debug)]
struct Example {
    command: String,
    status: u16,
    answer: String,
}

fn examples(sections: &[&str]) -> Vec<Example> {
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/API.md");
    let document = std::fs::read_to_string(document).unwrap();
    for section in sections {
        let heading = format!("\n## {section}\n");
        assert!(document.contains(&heading), "no section `{section}`");
    }
    let (mut section, mut fence, mut block) = ("", None, String::new());
    let mut examples = Vec::new();
    for line in document.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language),
            (Some(_), Some(_)) => {
                fence = None;
                let block = std::mem::take(&mut block);
                let commands = block.split("\n$ ").skip(1);
                examples.extend(commands.map(example));
            }
            (None, Some("console")) if sections.contains(&section) => {
                block = block + "\n" + line;
            }
            (None, None) => section = line.strip_prefix("## ").unwrap_or(section),
            (None, Some(_)) => {}
        }
    }
    examples
}

fn example(text: &str) -> Example {
    let (command, answer) = text
        .split_once("\nHTTP ")
        .unwrap_or_else(|| panic!("{text}"));
    let (status, answer) = answer.split_once('\n').unwrap_or((answer, ""));
    Example {
        command: command.to_owned(),
        status: status[..3].parse().unwrap(),
        answer: answer.to_owned(),
    }
}

#[test]
fn every_example_of_the_history_answers_as_it_says() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    gateway.post("/v1/databases", &serde_json::json!({"name": "shop"}));
    gateway.poll("shop is ready", || {
        let shop = gateway.get("/v1/databases/shop");
        shop.is_some_and(|(_, it)| it["state"] == "ready")
    });
    answer_as_they_say(&gateway, examples(HISTORY));
}

#[test]
fn every_example_of_databases_sql_and_jobs_answers_as_it_says() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    answer_as_they_say(&gateway, examples(WORK));
}

fn answer_as_they_say(gateway: &GatewayProcess, examples: Vec<Example>) {
    assert!(examples.len() > 40, "{}", examples.len());
    let auth = format!("Authorization: Bearer {}", gateway.token);
    let mut known = BTreeMap::from([("FORGE", gateway.url.clone()), ("AUTH", auth)]);
    for example in examples {
        let (status, answer) = run(&example.command, &known);
        assert_eq!(status, example.status, "{}\n{answer}", example.command);
        let promised: Result<Value, _> = serde_json::from_str(&example.answer);
        let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
        if let Ok(promised) = promised {
            assert_eq!(keys(&answer), keys(&promised), "{}", example.command);
        }
        for (field, name) in [("id", "ID"), ("sequence", "SEQUENCE")] {
            let found = answer.get(field).or(answer["data"][0].get(field));
            match found {
                Some(Value::String(it)) => drop(known.insert(name, it.clone())),
                Some(it) => drop(known.insert(name, it.to_string())),
                None => {}
            }
        }
    }
}

/// The fields of an object, and of the first one of a list in it.
fn keys(answer: &Value) -> Vec<String> {
    let fields = |of: &Value| -> Vec<String> {
        let fields = of.as_object().into_iter().flatten();
        fields.map(|(key, _)| key.clone()).collect()
    };
    [fields(answer), fields(&answer["data"][0])].concat()
}

/// What a shell makes of it: the status and the body.
fn run(command: &str, known: &BTreeMap<&str, String>) -> (u16, String) {
    let rest = command.strip_prefix("curl ").unwrap();
    let mut shell = Command::new("bash");
    shell.args(["-c", &format!("curl -s -w '\n%{{http_code}}' {rest}")]);
    let output = shell.envs(known).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let (answer, status) = output.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), answer.to_owned())
}
