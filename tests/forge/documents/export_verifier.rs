//! The script of the documents that verifies an export finds what the program finds.
use crate::support::TempFolder;
use crate::support::http::HttpForge;
use dbforge::event_log::import::read_export;
use std::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/verify_export.py");

/// Whether the script takes this export, which is to reach a head where one is given.
pub(crate) fn script_takes(export: &[u8], head: &[String]) -> bool {
    let folder = TempFolder::new();
    let path = folder.path().join("export.jsonl");
    std::fs::write(&path, export).unwrap();
    let mut python = Command::new("python3");
    let output = python.arg(SCRIPT).arg(&path).args(head).output().unwrap();
    output.status.success()
}

fn program_takes(export: &[u8]) -> bool {
    read_export(export).all(|it| it.is_ok())
}

/// Both find the same.
fn is_taken(export: &[u8]) -> bool {
    let script = script_takes(export, &[]);
    let text = String::from_utf8_lossy(export);
    assert_eq!(script, program_takes(export), "{text}");
    script
}

#[tokio::test]
async fn one_flipped_character_a_dropped_and_an_exchanged_event_are_found() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let text = forge.get("/v1/audit/export").await.text;
    let export = text.as_bytes();
    assert!(is_taken(export));
    // A sample, since each takes a Python: some bytes of every line.
    for place in (0..export.len()).step_by(251) {
        let mut flipped = export.to_vec();
        flipped[place] ^= 1;
        assert!(!is_taken(&flipped), "the byte at {place}");
    }
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for dropped in 1..lines.len() - 1 {
        let mut rest = lines.clone();
        rest.remove(dropped);
        assert!(!is_taken(rest.concat().as_bytes()), "without {dropped}");
        let mut exchanged = lines.clone();
        exchanged.swap(dropped, dropped + 1);
        assert!(!is_taken(exchanged.concat().as_bytes()), "at {dropped}");
    }
    assert!(!script_takes(lines[1..].concat().as_bytes(), &[]));
}

#[tokio::test]
async fn a_tail_cut_below_a_head_that_was_kept_is_found() {
    let forge = HttpForge::new().await;
    let kept = forge.get("/v1/audit/head").await.json();
    let hash = kept["hash"].as_str().unwrap().to_owned();
    let head = [kept["sequence"].to_string(), hash];
    forge.ready("shop").await;
    let text = forge.get("/v1/audit/export").await.text;
    assert!(script_takes(text.as_bytes(), &head));
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let kept = usize::try_from(kept["sequence"].as_u64().unwrap()).unwrap();
    assert!(script_takes(lines[..kept].concat().as_bytes(), &head));
    let cut = lines[..kept - 1].concat();
    assert!(script_takes(cut.as_bytes(), &[]), "a chain cannot tell");
    assert!(!script_takes(cut.as_bytes(), &head));

    let other_hash = [head[0].clone(), "00".repeat(32)];
    assert!(!script_takes(text.as_bytes(), &other_hash));
}
