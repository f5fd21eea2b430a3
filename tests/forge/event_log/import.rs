//! Exports are read back as what was written; logs written by hand are filled in.
use crate::replay::codec::sample;
use crate::support::{NOON, commit, database, header, keyed, ready};
use dbforge::domain::event::recorded::{NewCommit, RecordedEvent};
use dbforge::domain::event::{EventKind, JobStarted};
use dbforge::domain::ids::{JobId, Sequence};
use dbforge::event_log::EventLog;
use dbforge::event_log::canonical::{canonical_json, chained_hash, export_line};
use dbforge::event_log::import::{ImportError, parse_export_line, read_export};
use dbforge::event_log::memory::MemoryEventLog;
use std::sync::Arc;

fn every_kind_recorded() -> Vec<RecordedEvent> {
    let log = MemoryEventLog::default();
    let mut commits: Vec<NewCommit> = EventKind::ALL
        .iter()
        .map(|kind| commit(kind.number().into(), vec![sample(*kind)]))
        .collect();
    commits.push(keyed(100, "key \"1\""));
    let mut caused = ready(101, 1);
    caused.header.causation = Some(Sequence(3));
    commits.push(caused);
    log.append(Sequence(0), commits).unwrap()
}

fn export(events: &[RecordedEvent]) -> String {
    events.iter().map(|it| export_line(it) + "\n").collect()
}

fn import(text: &str) -> Result<Vec<RecordedEvent>, ImportError> {
    read_export(text.as_bytes()).collect()
}

#[track_caller]
fn refused(text: &str, why: &str) {
    let error = import(text).unwrap_err();
    let shown = format!("{error}");
    assert!(shown.contains(why), "{shown}");
}

#[test]
fn an_export_is_read_back_as_what_was_written() {
    let events = every_kind_recorded();
    assert_eq!(import(&export(&events)).unwrap(), events);
    for recorded in &events {
        assert_eq!(
            &parse_export_line(&export_line(recorded)).unwrap(),
            recorded
        );
    }
}

#[test]
fn the_events_of_a_commit_share_it_again() {
    let read = import(&export(&every_kind_recorded())).unwrap();
    let pairs: Vec<bool> = read
        .windows(2)
        .map(|it| Arc::ptr_eq(&it[0].commit, &it[1].commit))
        .collect();
    assert_eq!(pairs.iter().filter(|it| **it).count(), 1);
}

#[test]
fn a_slice_from_the_middle_of_a_log_is_read() {
    let events = every_kind_recorded();
    assert_eq!(import(&export(&events[10..])).unwrap(), events[10..]);
}

#[test]
fn an_export_is_verified_with_a_json_parser_and_sha_256_alone() {
    let mut previous = "00".repeat(32);
    for line in export(&every_kind_recorded()).lines() {
        let mut object: serde_json::Map<_, _> = serde_json::from_str(line).unwrap();
        assert_eq!(object.remove("previous_hash").unwrap(), previous.as_str());
        let hash = object.remove("hash").unwrap();
        // This map sorts its keys.
        let sorted: std::collections::BTreeMap<_, _> = object.into_iter().collect();
        let mut before = [0; 32];
        hex::decode_to_slice(&previous, &mut before).unwrap();
        let canonical = serde_json::to_string(&sorted).unwrap();
        previous = hex::encode(chained_hash(&before, &canonical));
        assert_eq!(hash, previous.as_str());
    }
}

#[test]
fn any_change_to_an_export_is_noticed() {
    let events = every_kind_recorded();
    let text = export(&events[..3]);
    for (from, to) in [
        ("\"root\"", "\"toor\""),
        ("\"kind\":\"runtime_chosen\"", "\"kind\":\"log_healed\""),
        ("docker", "podman"),
        ("12:00:02.000Z", "12:00:02.001Z"),
        ("\"sequence\":2", "\"sequence\":3"),
        ("\"stream\":\"forge\"", "\"stream\":\"database/x\""),
        ("\"schema_version\":1", "\"schema_version\":2"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text, "{from}");
        assert!(import(&changed).is_err(), "{from}");
    }
    let lines: Vec<&str> = text.lines().collect();
    refused(
        &[lines[0], lines[2]].join("\n"),
        "line 2: `sequence` should be 2",
    );
    refused(
        &[lines[1], lines[0]].join("\n"),
        "line 2: `sequence` should be 3",
    );
}

#[test]
fn a_line_of_an_export_has_every_field() {
    let line = export_line(&every_kind_recorded()[2]);
    let object: serde_json::Map<_, _> = serde_json::from_str(&line).unwrap();
    for field in [
        "actor",
        "commit",
        "correlation",
        "request_id",
        "schema_version",
        "sequence",
        "stream",
        "time",
        "previous_hash",
        "hash",
        "kind",
        "data",
    ] {
        let mut without = object.clone();
        without.remove(field).unwrap();
        let error = parse_export_line(&serde_json::to_string(&without).unwrap()).unwrap_err();
        assert!(error.to_string().contains(field), "{field}: {error}");
    }
}

#[test]
fn a_log_written_by_hand_needs_kind_and_data_only() {
    let id = database(1);
    let text = format!(
        "{{\"kind\":\"database_ready\",\"data\":{{\"database\":\"{id}\"}}}}\n\n\
         {{\"data\":{{\"database\":\"{id}\"}},\"kind\":\"database_stopped\",\"actor\":\"token/ci\"}}\n"
    );
    let read = import(&text).unwrap();
    assert_eq!(read, import(&text).unwrap(), "the same every time");
    let shown: Vec<_> = read
        .iter()
        .map(|it| {
            (
                it.sequence.0,
                it.commit.time.to_string(),
                it.commit.actor.0.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (1, "2026-01-01T00:00:00.000Z".to_owned(), "root"),
            (2, "2026-01-01T00:00:01.000Z".to_owned(), "token/ci"),
        ]
    );
    assert_eq!(
        import(&export(&read)).unwrap(),
        read,
        "its export is complete"
    );
    assert_eq!(
        read[1].hash,
        chained_hash(&read[0].hash, &canonical_json(&read[1]))
    );
}

#[test]
fn a_line_that_is_wrong_is_named() {
    let id = database(1);
    let ready = format!("{{\"kind\":\"database_ready\",\"data\":{{\"database\":\"{id}\"}}}}");
    let with = |field: &str| ready.replace("\"kind\"", &format!("{field},\"kind\""));
    refused(&format!("{ready}\n{ready}\nx"), "line 3: not an event");
    refused(
        "{\"kind\":\"database_vanished\",\"data\":{}}",
        "unknown event kind `database_vanished`",
    );
    refused(
        "{\"kind\":\"database_ready\",\"data\":{}}",
        "missing field `database`",
    );
    refused(&ready.replace("}}", ",\"x\":1}}"), "unknown field `x`");
    refused(&with("\"colour\":1"), "unknown field `colour`");
    refused(&with("\"sequence\":0"), "`sequence` should be 1");
    refused(
        &format!("{}\n{ready}", with("\"sequence\":18446744073709551615")),
        "line 1",
    );
    refused(&with("\"job\":\"x\""), "`job` should be left out");
    refused(
        &with("\"stream\":\"forge\""),
        "`stream` should be database/",
    );
    refused(&with("\"hash\":\"00\""), "`hash` should be");
    refused(
        &with("\"previous_hash\":\"00\""),
        "`previous_hash` should be 64",
    );
    refused(
        &with("\"request_fingerprint\":\"00\""),
        "missing field `idempotency_key`",
    );
    let early = with("\"time\":\"2020-01-01T00:00:00Z\"");
    refused(
        &format!("{ready}\n{early}"),
        "line 2: `time` should be 2026-01-01T00:00:00.000Z or later",
    );
}

#[test]
fn nothing_is_read_behind_an_error_and_no_line_without_end() {
    let mut lines = read_export("x\ny\n".as_bytes());
    assert_eq!(lines.next().unwrap().unwrap_err().line, 1);
    assert!(lines.next().is_none());
    let endless = std::io::BufReader::new(std::io::repeat(b' '));
    let error = read_export(endless).next().unwrap().unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn canonical_json_has_sorted_keys_and_leaves_out_what_is_not_there() {
    let mut header = header(1);
    header.causation = Some(Sequence(9));
    header.idempotency = keyed(1, "k").header.idempotency;
    let started = JobStarted {
        job: JobId(database(7).0),
        database: database(1),
        attempt: 1,
        deadline: dbforge::clock::timestamp::Timestamp::from_millis(NOON),
    };
    for (header, optional) in [(header, true), (crate::support::header(1), false)] {
        let log = MemoryEventLog::default();
        let events = vec![started.clone().into()];
        let recorded = log
            .append(Sequence(0), vec![NewCommit { header, events }])
            .unwrap();
        let json = canonical_json(&recorded[0]);
        let object: std::collections::BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&object).unwrap(), json);
        for key in ["causation", "idempotency_key", "request_fingerprint"] {
            assert_eq!(object.contains_key(key), optional, "{key}");
        }
    }
}
