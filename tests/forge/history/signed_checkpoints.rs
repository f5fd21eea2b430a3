//! Signed checkpoints show a tail that was cut and a history that was made anew.
use crate::documents::export_verifier::script_takes;
use crate::support::TempFolder;
use crate::support::cli::{Dbforge, Ended};
use crate::support::http::HttpForge;
use dbforge::event_log::checkpoints::{Checkpoint, Checkpoints, PublicKey, SigningKey};
use dbforge::jobs::checkpoints::sign_due;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// What an auditor has: an export, checkpoints and the key that were kept elsewhere.
struct Desk {
    folder: TempFolder,
    export: String,
    checkpoints: String,
    key: String,
}

impl Desk {
    /// With the checkpoints of two moments; something happened after the later one.
    async fn new() -> Self {
        let forge = HttpForge::new().await;
        let mut checkpoints = String::new();
        for name in ["shop", "blog"] {
            forge.ready(name).await;
            let signed = forge.post("/v1/audit/checkpoints", "").await;
            assert_eq!(signed.status, 201, "{}", signed.text);
            checkpoints += &format!("{}\n", signed.text);
        }
        forge.ready("wiki").await;
        let key = forge.get("/v1/audit/key").await.json();
        Self {
            folder: TempFolder::new(),
            export: forge.get("/v1/audit/export").await.text,
            checkpoints,
            key: key["public_key"].as_str().unwrap().to_owned(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn verify(&self, export: &str, checkpoints: &str, key: &str) -> Ended {
        let export = self.file("export.jsonl", export);
        let checkpoints = self.file("checkpoints.jsonl", checkpoints);
        let args = ["log", "verify", "--export", &export];
        let with = ["--checkpoints", &checkpoints, "--key", key];
        Dbforge::with(&[args.as_slice(), with.as_slice()].concat()).run()
    }

    /// The later checkpoint's sequence and hash.
    fn last_signed(&self) -> [String; 2] {
        let line: Value = serde_json::from_str(self.checkpoints.lines().last().unwrap()).unwrap();
        let hash = line["hash"].as_str().unwrap();
        [line["sequence"].to_string(), hash.to_owned()]
    }

    /// How many events each of the two checkpoints vouches for.
    fn signed(&self) -> [usize; 2] {
        let mut lines = self.checkpoints.lines().map(|it| {
            let line: Value = serde_json::from_str(it).unwrap();
            usize::try_from(line["sequence"].as_u64().unwrap()).unwrap()
        });
        [lines.next().unwrap(), lines.next().unwrap()]
    }
}

#[tokio::test]
async fn a_tail_that_is_cut_below_a_checkpoint_is_told() {
    let desk = Desk::new().await;
    let [first, second] = desk.signed();
    let lines: Vec<&str> = desk.export.split_inclusive('\n').collect();
    assert!(lines.len() > second && second > first);
    let verify = |events: &[&str]| desk.verify(&events.concat(), &desk.checkpoints, &desk.key);
    let said = verify(&lines).well();
    assert!(said.contains("signed: 2 checkpoints match"), "{said}");
    verify(&lines[..second]).well();
    for (end, named) in [
        (second - 1, second),
        (first, second),
        (first - 1, second),
        (0, second),
    ] {
        let ended = verify(&lines[..end]);
        assert_eq!(ended.code, 4, "{ended:?}");
        let expected = format!("it ends at event {end}, but a checkpoint of ");
        assert!(ended.err.contains(&expected), "{ended:?}");
        assert!(ended.err.contains(&format!("event {named}")), "{ended:?}");
        // The script of the documents needs no more than a checkpoint's two fields.
        let export = lines[..end].concat();
        assert!(script_takes(export.as_bytes(), &[]), "it is whole");
        assert!(!script_takes(export.as_bytes(), &desk.last_signed()));
    }
    assert!(script_takes(desk.export.as_bytes(), &desk.last_signed()));
    // Without a checkpoint nothing shows, and that is said.
    let export = desk.file("export.jsonl", &lines[..first].concat());
    let ended = Dbforge::with(&["log", "verify", "--export", &export]).run();
    assert!(ended.err.contains("no signed checkpoint"), "{ended:?}");
    ended.well();
}

#[tokio::test]
async fn a_history_that_was_made_anew_is_told_however_whole_it_is() {
    let desk = Desk::new().await;
    let other = Desk::new_with_another_name().await;
    let ended = desk.verify(&other.export, &desk.checkpoints, &desk.key);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(
        ended.err.contains("this is a different history"),
        "{ended:?}"
    );
    other
        .verify(&other.export, &other.checkpoints, &other.key)
        .well();
}

impl Desk {
    async fn new_with_another_name() -> Self {
        let forge = HttpForge::new().await;
        for n in 0..5 {
            forge.ready(&format!("other-{n}")).await;
        }
        let signed = forge.post("/v1/audit/checkpoints", "").await;
        let key = forge.get("/v1/audit/key").await.json();
        Self {
            folder: TempFolder::new(),
            export: forge.get("/v1/audit/export").await.text,
            checkpoints: format!("{}\n", signed.text),
            key: key["public_key"].as_str().unwrap().to_owned(),
        }
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_damaged_or_of_a_foreign_key_proves_nothing() {
    let desk = Desk::new().await;
    let fails = |checkpoints: &str, key: &str, why: &str| {
        let ended = desk.verify(&desk.export, checkpoints, key);
        assert_eq!(ended.code, 4, "{ended:?}");
        assert!(ended.err.contains(why), "{why}: {ended:?}");
    };
    let foreign = SigningKey::fresh().unwrap().public().to_string();
    fails(&desk.checkpoints, &foreign, "which is not trusted");
    let lines: Vec<&str> = desk.checkpoints.split_inclusive('\n').collect();
    let signature = lines[1].rfind("\":\"").unwrap() + 3;
    for (place, why) in [
        (signature, "signature does not match"),
        (
            lines[1].find("\"time\":\"20").unwrap() + 10,
            "signature does not match",
        ),
        (0, "line 2 is not a checkpoint"),
    ] {
        let mut bytes = lines[1].as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
        let damaged = lines[0].to_owned() + std::str::from_utf8(&bytes).unwrap();
        fails(&damaged, &desk.key, why);
    }
    let cut = &desk.checkpoints[..desk.checkpoints.len() - 9];
    let ended = desk.verify(&desk.export, cut, &desk.key);
    assert!(
        ended.well().contains("signed: 1 checkpoint matches"),
        "an unfinished line"
    );

    let export = desk.file("export.jsonl", &desk.export);
    let checkpoints = desk.file("checkpoints.jsonl", &desk.checkpoints);
    let args = [
        "log",
        "verify",
        "--export",
        &export,
        "--checkpoints",
        &checkpoints,
    ];
    assert!(Dbforge::with(&args).run().badly(2).contains("--key"));
    let args = [args.as_slice(), &["--key", "abc"]].concat();
    assert!(
        Dbforge::with(&args)
            .run()
            .badly(2)
            .contains("64 hex digits")
    );
}

#[tokio::test]
async fn an_export_with_one_character_changed_is_told_by_its_line() {
    let desk = Desk::new().await;
    let lines: Vec<&str> = desk.export.split_inclusive('\n').collect();
    let fails = |export: &str| {
        let ended = desk.verify(export, &desk.checkpoints, &desk.key);
        assert_eq!(ended.code, 4, "{ended:?}");
        ended.err
    };
    for place in (0..desk.export.len()).step_by(desk.export.len() / 40) {
        let mut flipped = desk.export.as_bytes().to_vec();
        flipped[place] ^= 1;
        fails(&String::from_utf8(flipped).unwrap());
    }
    let mut dropped = lines.clone();
    dropped.remove(3);
    let said = fails(&dropped.concat());
    assert!(
        said.contains("line 4: event 4 should come here, event 5 does"),
        "{said}"
    );
    let mut swapped = lines.clone();
    swapped.swap(3, 4);
    assert!(fails(&swapped.concat()).contains("line 4"));
    assert!(fails(&lines[1..].concat()).contains("line 1"));
}

#[tokio::test]
async fn checkpoints_are_listed_and_one_that_says_nothing_new_is_not_signed() {
    let forge = HttpForge::new().await;
    let empty = forge.get("/v1/audit/checkpoints").await.json();
    assert_eq!(empty["data"], Value::Array(vec![]));
    let mut signed = Vec::new();
    for n in 0..5 {
        forge.ready(&format!("d{n}")).await;
        signed.push(forge.post("/v1/audit/checkpoints", "").await.json());
        forge.kept.clock.advance(Duration::from_secs(1));
        let again = forge.post("/v1/audit/checkpoints", "").await.json();
        assert_eq!(Some(&again), signed.last(), "nothing has happened");
    }
    let head = forge.get("/v1/audit/head").await.json();
    assert_eq!(signed[4]["hash"], head["hash"]);
    let (mut listed, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/audit/checkpoints?limit=2{cursor}");
        let page = forge.get(&path).await.json();
        listed.extend(page["data"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(listed, signed);
    let newest = forge.get("/v1/audit/checkpoints?order=desc&limit=1").await;
    assert_eq!(newest.json()["data"][0], signed[4]);

    let key = forge.get("/v1/audit/key").await.json();
    let key: PublicKey = key["public_key"].as_str().unwrap().parse().unwrap();
    for checkpoint in listed {
        let checkpoint: Checkpoint = serde_json::from_value(checkpoint).unwrap();
        checkpoint.verify(&[key]).unwrap();
    }
    let token = forge.token("reader", "\"read\"", "\"*\"").await;
    for (method, path) in [
        ("GET", "/v1/audit/checkpoints"),
        ("POST", "/v1/audit/checkpoints"),
        ("GET", "/v1/audit/key"),
    ] {
        let refused = forge.ask(method, path).token(&token).empty().await;
        refused.problem(403, "insufficient_scope");
    }
}

#[tokio::test]
async fn a_checkpoint_is_signed_every_thousand_events_and_every_day() {
    let forge = HttpForge::new().await;
    let count = || forge.gateway.service.checkpoints.all().unwrap().len();
    let sign = || sign_due(&forge.control, &forge.gateway.service.checkpoints).unwrap();
    sign();
    assert_eq!(count(), 1, "the first one at once");
    let day = Duration::from_secs(86_400);
    forge.kept.clock.advance(day);
    sign();
    assert_eq!(count(), 1, "nothing has happened");
    forge.ready("shop").await;
    sign();
    assert_eq!(count(), 2, "the last one is a day old");
    forge.ready("blog").await;
    forge.kept.clock.advance(day - Duration::from_secs(1));
    sign();
    assert_eq!(count(), 2);
    let before = forge.control.current().head.sequence.0;
    for n in 0.. {
        let happened = forge.control.current().head.sequence.0 - before;
        if happened >= 1000 {
            break;
        }
        forge.request(&format!("d{n}")).await;
    }
    sign();
    assert_eq!(count(), 3, "a thousand events");
}

#[test]
fn what_a_crash_leaves_of_a_line_is_no_checkpoint_and_is_written_over() {
    let folder = TempFolder::new();
    let checkpoints = Checkpoints::at(folder.path().join("audit"));
    let head = |n: u8| dbforge::domain::event::recorded::Head {
        sequence: dbforge::domain::ids::Sequence(u64::from(n)),
        hash: [n; 32],
        time: dbforge::clock::timestamp::Timestamp::from_millis(0),
    };
    let first = checkpoints.add(head(1), head(1).time).unwrap();
    let file = folder.path().join("audit/checkpoints.jsonl");
    let mut text = fs::read_to_string(&file).unwrap();
    text.push_str("{\"sequence\":2,\"ha");
    fs::write(&file, &text).unwrap();
    assert_eq!(checkpoints.all().unwrap(), std::slice::from_ref(&first));
    assert_eq!(checkpoints.last().unwrap(), Some(first.clone()));
    let second = checkpoints.add(head(2), head(2).time).unwrap();
    assert_eq!(checkpoints.all().unwrap(), [first, second]);

    use std::os::unix::fs::PermissionsExt;
    for (name, mode) in [
        ("audit", 0o700),
        ("audit/key", 0o600),
        ("audit/checkpoints.jsonl", 0o600),
    ] {
        let found = fs::metadata(folder.path().join(name)).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{name}");
    }
    fs::write(folder.path().join("audit/key"), "no key").unwrap();
    checkpoints.public_key().unwrap_err();
}
