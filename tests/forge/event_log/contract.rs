//! What every event log keeps to, whatever it is made of.
use crate::support::{TempFolder, commit, database, keyed, ready};
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::event::recorded::{KeyOwner, NO_HASH, RecordedEvent};
use dbforge::domain::event::{LogHealed, Stream};
use dbforge::domain::ids::{Actor, Sequence};
use dbforge::event_log::canonical::{canonical_json, chained_hash};
use dbforge::event_log::codec::MAX_COMMIT_BYTES;
use dbforge::event_log::disk::{DiskEventLog, Settings};
use dbforge::event_log::memory::MemoryEventLog;
use dbforge::event_log::{AppendError, EventLog};

const START: Sequence = Sequence(0);

/// Runs every part of the contract on a fresh log each.
fn keeps_the_contract(with_fresh_log: impl Fn(fn(&dyn EventLog))) {
    let parts: &[fn(&dyn EventLog)] = &[
        an_empty_log_has_nothing,
        appended_events_are_dense_chained_and_read_back_as_returned,
        an_append_at_another_end_conflicts_and_changes_nothing,
        reading_starts_behind_a_sequence_and_stops_at_the_limit,
        events_here_and_there_are_those_that_all_together_are,
        a_stream_has_its_own_events_in_order,
        a_commit_is_found_by_actor_and_idempotency_key,
        time_never_goes_back,
        a_commit_that_is_too_large_takes_its_whole_group_with_it,
        a_large_commit_is_kept_whole,
        commits_without_events_are_left_out,
        readers_never_see_a_part_of_a_group,
        closing_twice_is_the_same_as_once,
    ];
    for part in parts {
        with_fresh_log(*part);
    }
}

#[test]
fn the_log_in_memory_keeps_the_contract() {
    keeps_the_contract(|part| part(&MemoryEventLog::default()));
}

#[test]
fn the_log_on_disk_keeps_the_contract() {
    keeps_the_contract(|part| {
        let folder = TempFolder::new();
        let (log, report) = DiskEventLog::open(folder.path(), Settings::default()).unwrap();
        assert_eq!((report.findings, report.read_only), (vec![], None));
        part(&log);
    });
}

#[test]
fn the_log_on_disk_keeps_the_contract_with_tiny_segments() {
    let settings = Settings { segment_bytes: 600 };
    keeps_the_contract(|part| {
        let folder = TempFolder::new();
        part(&DiskEventLog::open(folder.path(), settings).unwrap().0);
    });
}

#[test]
fn a_log_on_disk_that_lost_its_index_keeps_answering() {
    keeps_the_contract(|part| {
        let folder = TempFolder::new();
        // A file where the folder of the index must be.
        std::fs::write(folder.path().join("events.sled"), "no folder").unwrap();
        std::fs::write(folder.path().join("events.sled.damaged"), "no folder").unwrap();
        let (log, report) = DiskEventLog::open(folder.path(), Settings::default()).unwrap();
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
        part(&log);
    });
}

fn all(log: &dyn EventLog) -> Vec<RecordedEvent> {
    log.read_after(START, usize::MAX).unwrap()
}

fn an_empty_log_has_nothing(log: &dyn EventLog) {
    assert_eq!(log.head().sequence, START);
    assert_eq!(log.head().hash, NO_HASH);
    assert_eq!(log.read_only(), None);
    assert!(all(log).is_empty());
    assert!(
        log.read_stream(Stream::Forge, START, 10)
            .unwrap()
            .is_empty()
    );
    let root = KeyOwner::Actor(Actor::named("root"));
    assert_eq!(log.find_idempotent(&root, "k").unwrap(), None);
}

fn appended_events_are_dense_chained_and_read_back_as_returned(log: &dyn EventLog) {
    let group = vec![ready(1, 1), keyed(2, "k"), ready(3, 2)];
    let mut returned = log.append(START, group).unwrap();
    returned.extend(log.append(Sequence(4), vec![ready(4, 1)]).unwrap());
    assert_eq!(all(log), returned);
    let mut previous = NO_HASH;
    for (recorded, place) in returned.iter().zip(1..) {
        assert_eq!(recorded.sequence, Sequence(place));
        assert_eq!(recorded.previous_hash, previous);
        previous = chained_hash(&previous, &canonical_json(recorded));
        assert_eq!(recorded.hash, previous);
    }
    let head = log.head();
    let last = returned.last().unwrap();
    assert_eq!(
        (head.sequence, head.hash, head.time),
        (Sequence(5), last.hash, last.commit.time)
    );
}

fn an_append_at_another_end_conflicts_and_changes_nothing(log: &dyn EventLog) {
    log.append(START, vec![ready(1, 1)]).unwrap();
    for wrong in [0, 2, u64::MAX] {
        let expected = Sequence(wrong);
        let actual = Sequence(1);
        assert_eq!(
            log.append(expected, vec![ready(2, 1)]),
            Err(AppendError::Conflict { expected, actual })
        );
    }
    assert_eq!(all(log).len(), 1);
}

fn reading_starts_behind_a_sequence_and_stops_at_the_limit(log: &dyn EventLog) {
    for n in 0..5 {
        log.append(Sequence(2 * n), vec![keyed(n, "k")]).unwrap();
    }
    let sequences = |after: u64, limit| -> Vec<u64> {
        let read = log.read_after(Sequence(after), limit).unwrap();
        read.iter().map(|it| it.sequence.0).collect()
    };
    assert_eq!(sequences(0, 3), [1, 2, 3], "in the middle of a commit");
    assert_eq!(sequences(3, 3), [4, 5, 6], "from the middle of a commit");
    assert_eq!(sequences(9, 3), [10]);
    assert!(sequences(3, 0).is_empty());
    assert!(sequences(10, 3).is_empty());
    assert!(sequences(u64::MAX, usize::MAX).is_empty());
    assert_eq!(sequences(0, usize::MAX).len(), 10);
}

fn events_here_and_there_are_those_that_all_together_are(log: &dyn EventLog) {
    for n in 0..60 {
        log.append(Sequence(2 * n), vec![keyed(n, "k")]).unwrap();
    }
    let all = all(log);
    for step in [1, 2, 3, 7, 16, 17, 50, 119] {
        for begin in [0, 1, 5] {
            let wanted: Vec<_> = all.iter().skip(begin).step_by(step).cloned().collect();
            let sequences: Vec<_> = wanted.iter().map(|it| it.sequence).collect();
            assert_eq!(log.read_each(&sequences).unwrap(), wanted, "{step}");
        }
    }
    assert_eq!(log.read_each(&[]).unwrap(), []);
}

fn a_stream_has_its_own_events_in_order(log: &dyn EventLog) {
    let healed = || {
        LogHealed {
            detail: "x".to_owned(),
        }
        .into()
    };
    log.append(START, vec![keyed(1, "a"), commit(2, vec![healed()])])
        .unwrap();
    log.append(Sequence(3), vec![ready(3, 1), ready(4, 3), ready(5, 1)])
        .unwrap();
    let sequences = |stream, after: u64, limit| -> Vec<u64> {
        let read = log.read_stream(stream, Sequence(after), limit).unwrap();
        assert!(read.iter().all(|it| it.event.stream() == stream));
        read.iter().map(|it| it.sequence.0).collect()
    };
    let of = |n| Stream::Database(database(n));
    assert_eq!(sequences(of(1), 0, 10), [1, 4, 6]);
    assert_eq!(sequences(of(1), 0, 2), [1, 4]);
    assert_eq!(sequences(of(1), 1, 2), [4, 6]);
    assert_eq!(sequences(of(1), 2, 1), [4]);
    assert_eq!(sequences(of(2), 0, 10), [2]);
    assert_eq!(sequences(Stream::Forge, 0, 10), [3]);
    assert!(sequences(of(9), 0, 10).is_empty());
    assert!(sequences(of(1), 6, 10).is_empty());
    assert!(sequences(of(1), u64::MAX, 10).is_empty());
    assert!(sequences(of(1), 0, 0).is_empty());
}

fn a_commit_is_found_by_actor_and_idempotency_key(log: &dyn EventLog) {
    let mut of_another = keyed(2, "first");
    of_another.header.actor = Actor::named("token/ci");
    log.append(START, vec![keyed(1, "first"), of_another, keyed(3, "")])
        .unwrap();
    let found = |actor: &str, key: &str| -> Option<Vec<u64>> {
        let events = log
            .find_idempotent(&KeyOwner::Actor(Actor::named(actor)), key)
            .unwrap()?;
        Some(events.iter().map(|it| it.sequence.0).collect())
    };
    assert_eq!(found("root", "first"), Some(vec![1, 2]));
    assert_eq!(found("token/ci", "first"), Some(vec![3, 4]));
    assert_eq!(found("root", ""), Some(vec![5, 6]));
    assert_eq!(found("root", "second"), None);
    assert_eq!(found("roo", "tfirst"), None);
    log.append(Sequence(6), vec![keyed(4, "first")]).unwrap();
    assert_eq!(
        found("root", "first"),
        Some(vec![7, 8]),
        "the last use counts"
    );
}

fn time_never_goes_back(log: &dyn EventLog) {
    log.append(START, vec![ready(9, 1)]).unwrap();
    log.append(Sequence(1), vec![ready(2, 1), ready(20, 1)])
        .unwrap();
    let times: Vec<Timestamp> = all(log).iter().map(|it| it.commit.time).collect();
    assert_eq!(times[1], times[0]);
    assert!(times[2] > times[1]);
}

fn a_commit_that_is_too_large_takes_its_whole_group_with_it(log: &dyn EventLog) {
    let detail = "x".repeat(MAX_COMMIT_BYTES);
    let group = vec![ready(1, 1), commit(2, vec![LogHealed { detail }.into()])];
    let refused = log.append(START, group);
    assert!(
        matches!(refused, Err(AppendError::TooLarge { bytes, limit })
            if bytes > limit && limit == MAX_COMMIT_BYTES),
        "{refused:?}"
    );
    assert!(all(log).is_empty());
    log.append(START, vec![ready(1, 1)]).unwrap();
}

fn a_large_commit_is_kept_whole(log: &dyn EventLog) {
    let detail = "ä".repeat(100_000);
    let mut large = commit(1, vec![LogHealed { detail }.into()]);
    large.header.idempotency = keyed(1, "k").header.idempotency;
    let returned = log.append(START, vec![large, ready(2, 1)]).unwrap();
    assert_eq!(all(log), returned);
    let stream = log.read_stream(Stream::Forge, START, 5).unwrap();
    assert_eq!(stream, returned[..1]);
    let found = log
        .find_idempotent(&KeyOwner::Actor(Actor::named("root")), "k")
        .unwrap();
    assert_eq!(found.as_deref(), Some(&returned[..1]));
}

fn commits_without_events_are_left_out(log: &dyn EventLog) {
    assert_eq!(log.append(START, vec![]), Ok(vec![]));
    assert_eq!(log.append(START, vec![commit(1, vec![])]), Ok(vec![]));
    assert_eq!(log.head().sequence, START);
}

fn readers_never_see_a_part_of_a_group(log: &dyn EventLog) {
    const GROUPS: u64 = 40;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while seen < 4 * GROUPS {
                let events = all(log);
                let end = events.len() as u64;
                assert!(end >= seen, "events do not vanish");
                assert_eq!(end % 4, 0, "a group is there as a whole");
                let stream = Stream::Database(database(2));
                let of_stream = log.read_stream(stream, START, usize::MAX).unwrap();
                assert!(of_stream.len() as u64 >= end / 2);
                seen = end;
            }
        });
        for n in 0..GROUPS {
            let group = vec![keyed(n, "a"), keyed(n, "b")];
            log.append(Sequence(4 * n), group).unwrap();
        }
        reader.join().unwrap();
    });
}

fn closing_twice_is_the_same_as_once(log: &dyn EventLog) {
    log.append(START, vec![ready(1, 1)]).unwrap();
    log.close();
    log.close();
    assert_eq!(all(log).len(), 1);
}
