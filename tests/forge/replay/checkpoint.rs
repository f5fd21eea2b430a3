//! A saved fold changes nothing but the time that a start takes.
use crate::support::gateway_process::GatewayProcess;
use crate::support::test_forge::TestForge;
use dbforge::control::{fold, state_snapshot};
use dbforge::domain::ids::Sequence;
use dbforge::domain::verb::Verb;
use dbforge::event_log::EventLog;
use dbforge::event_log::memory::MemoryEventLog;
use serde_json::json;
use std::fs;
use tempfile::TempDir;

/// A forge that has been through much: every map of its state holds something.
async fn eventful() -> TestForge {
    let forge = TestForge::new().await;
    let shop = forge.ready("shop").await;
    forge.ready("other").await;
    forge.submit(Verb::Delete.on(shop)).await.unwrap();
    forge.settle().await;
    forge.request("unfinished").await;
    forge
}

#[tokio::test]
async fn a_checkpoint_and_the_events_behind_it_are_the_whole_fold_wherever_it_was_made() {
    let forge = eventful().await;
    let whole = fold(forge.kept.log.as_ref()).unwrap();
    let events = forge.kept.log.read_after(Sequence(0), usize::MAX).unwrap();
    for end in 1..=events.len() {
        // The forge as it was at that moment, which saved its checkpoint then.
        let early = MemoryEventLog::default();
        copy(&events[..end], &early);
        let mut kept = forge.kept.clone();
        kept.log = std::sync::Arc::new(early);
        let folder = TempDir::new().unwrap();
        let then = TestForge::start(kept);
        state_snapshot::save(folder.path(), &then.control).unwrap();
        let restored = state_snapshot::restore(folder.path(), forge.kept.log.as_ref()).unwrap();
        assert_eq!(restored, whole, "saved at event {end}");
    }
}

fn copy(events: &[dbforge::domain::event::recorded::RecordedEvent], log: &MemoryEventLog) {
    let mut rest = events;
    while let Some(first) = rest.first() {
        let same = |it: &&dbforge::domain::event::recorded::RecordedEvent| {
            it.commit.as_ref() == first.commit.as_ref()
        };
        let count = rest.iter().take_while(same).count();
        let commit = dbforge::domain::event::recorded::NewCommit {
            header: first.commit.as_ref().clone(),
            events: rest[..count].iter().map(|it| it.event.clone()).collect(),
        };
        log.append(log.head().sequence, vec![commit]).unwrap();
        rest = &rest[count..];
    }
}

#[tokio::test]
async fn a_damaged_or_foreign_checkpoint_is_left_aside() {
    let forge = eventful().await;
    let whole = fold(forge.kept.log.as_ref()).unwrap();
    let folder = TempDir::new().unwrap();
    state_snapshot::save(folder.path(), &forge.control).unwrap();
    let file = folder.path().join("checkpoint");
    let good = fs::read(&file).unwrap();
    for at in (0..good.len()).step_by(7) {
        let mut damaged = good.clone();
        damaged[at] ^= 1;
        fs::write(&file, &damaged).unwrap();
        let restored = state_snapshot::restore(folder.path(), forge.kept.log.as_ref()).unwrap();
        assert_eq!(restored, whole, "byte {at} is another");
        fs::write(&file, &good[..at]).unwrap();
        let restored = state_snapshot::restore(folder.path(), forge.kept.log.as_ref()).unwrap();
        assert_eq!(restored, whole, "cut at {at}");
    }
    fs::write(&file, &good).unwrap();
    let other = TestForge::new().await;
    other.ready("elsewhere").await;
    let restored = state_snapshot::restore(folder.path(), other.kept.log.as_ref()).unwrap();
    assert_eq!(restored, fold(other.kept.log.as_ref()).unwrap());
}

#[test]
fn the_program_starts_from_its_checkpoint_and_without_it_to_the_same_state() {
    let folder = TempDir::new().unwrap();
    let gateway = GatewayProcess::start(folder.path());
    for n in 0..3 {
        let name = format!("d{n}");
        gateway
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
    }
    gateway.poll("every job ends", || {
        let (_, state) = gateway.get("/v1/state").unwrap();
        state["jobs"].as_array().unwrap().is_empty()
    });
    let (_, before) = gateway.get("/v1/state").unwrap();
    assert!(gateway.stop());
    let file = folder.path().join(".forge/checkpoint");
    assert!(file.exists(), "it is saved at a stop");
    for _ in 0..2 {
        let gateway = GatewayProcess::start(folder.path());
        let (_, after) = gateway.get("/v1/state").unwrap();
        assert_eq!(after["databases"], before["databases"]);
        gateway.kill();
        let _ = fs::remove_file(&file);
    }
}
