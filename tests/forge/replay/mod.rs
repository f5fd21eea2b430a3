//! Golden event logs replay to the same state for ever.
mod checkpoint;
pub(crate) mod codec;
mod stored_logs;

use crate::support::test_forge::TestForge;
use crate::support::with_snapshots_in;
use dbforge::control::fold;
use dbforge::domain::event::recorded::RecordedEvent;
use dbforge::domain::ids::Sequence;
use dbforge::domain::state::State;
use dbforge::domain::verb::Verb;
use dbforge::event_log::canonical::export_line;
use dbforge::event_log::import::read_export;
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

#[test]
fn cancel_asked_for() {
    replays_as_before("cancel_asked_for");
}

#[test]
fn cancelled() {
    replays_as_before("cancelled");
}

#[test]
fn clock_was_ahead() {
    replays_as_before("clock_was_ahead");
}

#[test]
fn loads_and_their_undo() {
    replays_as_before("loads_and_their_undo");
}

#[test]
fn create() {
    replays_as_before("create");
}

#[test]
fn create_asked_for() {
    replays_as_before("create_asked_for");
}

#[test]
fn create_behind_a_deletion() {
    replays_as_before("create_behind_a_deletion");
}

#[test]
fn create_refused_by_the_engine() {
    replays_as_before("create_refused_by_the_engine");
}

#[test]
fn create_then_delete() {
    replays_as_before("create_then_delete");
}

#[test]
fn delete_then_undelete() {
    replays_as_before("delete_then_undelete");
}

#[test]
fn engine_away_for_a_while() {
    replays_as_before("engine_away_for_a_while");
}

#[test]
fn expired() {
    replays_as_before("expired");
}

#[test]
fn gateway_died_in_a_step() {
    replays_as_before("gateway_died_in_a_step");
}

#[test]
fn name_of_an_expired_one() {
    replays_as_before("name_of_an_expired_one");
}

#[test]
fn name_used_again_and_trash_purged() {
    replays_as_before("name_used_again_and_trash_purged");
}

#[test]
fn purge_past_its_point_of_no_return() {
    replays_as_before("purge_past_its_point_of_no_return");
}

#[test]
fn stop() {
    replays_as_before("stop");
}

#[test]
fn stop_then_start() {
    replays_as_before("stop_then_start");
}

#[test]
fn stuck() {
    replays_as_before("stuck");
}

#[test]
fn stuck_then_released() {
    replays_as_before("stuck_then_released");
}

#[test]
fn tokens() {
    replays_as_before("tokens");
}

#[test]
fn worker_repaired() {
    replays_as_before("worker_repaired");
}

#[test]
fn written_by_hand() {
    replays_as_before("written_by_hand");
}

#[track_caller]
fn replays_as_before(log: &str) {
    let state = replay(&golden(log));
    with_snapshots_in("replay", || insta::assert_snapshot!(log, state));
}

#[test]
fn every_golden_log_has_its_test() {
    let tests = include_str!("mod.rs");
    for file in std::fs::read_dir(event_logs()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let log = name.trim_end_matches(".jsonl");
        assert!(tests.contains(&format!("fn {log}()")), "{log} has no test");
    }
}

#[test]
fn a_log_folds_to_the_same_state_however_it_is_cut() {
    for file in std::fs::read_dir(event_logs()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let events = golden(name.trim_end_matches(".jsonl"));
        let whole = replay(&events);
        for cut in 0..=events.len() {
            let mut state = replay(&events[..cut]);
            events[cut..].iter().for_each(|it| state.evolve(it));
            assert_eq!(state, whole, "{name} cut at {cut}");
        }
    }
}

#[tokio::test]
async fn an_export_replays_to_what_the_forge_holds() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    forge.ready("other").await;
    forge.submit(Verb::Delete.on(database)).await.unwrap();
    forge.settle().await;
    forge.request("unfinished").await;
    let events = forge.kept.log.read_after(Sequence(0), usize::MAX).unwrap();
    let export: String = events.iter().map(|it| export_line(it) + "\n").collect();
    let imported: Vec<RecordedEvent> = read_export(export.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(imported, events);
    let replayed = replay(&imported);
    assert_eq!(replayed, forge.control.current().state);
    assert_eq!(replayed, fold(forge.kept.log.as_ref()).unwrap());
}

fn golden(log: &str) -> Vec<RecordedEvent> {
    let file = File::open(event_logs().join(format!("{log}.jsonl"))).unwrap();
    read_export(BufReader::new(file))
        .map(Result::unwrap)
        .collect()
}

fn replay(events: &[RecordedEvent]) -> State {
    let mut state = State::default();
    events.iter().for_each(|it| state.evolve(it));
    state
}

fn event_logs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/event_logs")
}
