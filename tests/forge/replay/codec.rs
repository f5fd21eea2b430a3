//! The stored form of every event, byte for byte.
use crate::support::{NOON, database, header, uuid, with_snapshots_in};
use dbforge::clock::timestamp::Timestamp;
use dbforge::domain::command::lifecycle::{Changed, ChangedTtl, LifecycleCommand, Named, Wanted};
use dbforge::domain::database::{Durability, EngineName, Isolation, Labels, Limits};
use dbforge::domain::event::recorded::{Idempotency, NewCommit, RecordedEvent};
use dbforge::domain::event::*;
use dbforge::domain::ids::{
    InstanceId, JobId, NodeId, PlanId, ScheduleId, Sequence, TokenId, UploadId, WebhookId,
};
use dbforge::domain::job::{JobError, JobErrorCode, JobKind, StepName, StepOutcome};
use dbforge::domain::load::{LoadForm, LoadMode, LoadSummary};
use dbforge::domain::name::DatabaseName;
use dbforge::domain::plan::Basis;
use dbforge::domain::schedule::{Misfire, Overlap, SchedulePlan};
use dbforge::domain::token::Scope;
use dbforge::domain::webhook::WebhookPlan;
use dbforge::event_log::EventLog;
use dbforge::event_log::canonical::{canonical_json, export_line};
use dbforge::event_log::codec::{
    DecodeError, LARGEST_COMMIT_READ, MAX_COMMIT_BYTES, decode_commit, encode_commit,
};
use dbforge::event_log::import::parse_export_line;
use dbforge::event_log::memory::MemoryEventLog;
use proptest::prelude::*;

/// One event of each kind. A new kind does not compile without one.
pub(crate) fn sample(kind: EventKind) -> Event {
    let database = database(0xdb);
    let job = JobId(uuid(0x10b));
    let later = Timestamp::from_millis(NOON + 3_600_000);
    let labels: Labels = [("team", "shop"), ("branch", "ä/1")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let limits = Limits::default();
    let name = DatabaseName::parse("Shop.EU_1").unwrap();
    let schedule = ScheduleId(uuid(0x5c));
    let webhook = WebhookId(uuid(0x3b));
    let node = NodeId(uuid(0x0de));
    let step = StepName("ensure_worker".to_owned());
    let worker = "db-worker-Shop.EU_1-0000000000db".to_owned();
    let error = JobError {
        code: JobErrorCode::RuntimeUnavailable,
        detail: "the engine at \"unix\" does not answer".to_owned(),
    };
    match kind {
        EventKind::ForgeFounded => ForgeFounded {
            instance: InstanceId(uuid(0xf)),
        }
        .into(),
        EventKind::RuntimeChosen => RuntimeChosen {
            runtime: "docker".to_owned(),
            reason: Some("the engine answers and the worker image is there".to_owned()),
        }
        .into(),
        EventKind::DatabaseRequested => DatabaseRequested {
            database,
            name,
            dns_label: "shop-eu-1".to_owned(),
            engine: EngineName("sqlite".to_owned()),
            durability: Durability::Relaxed,
            labels,
            limits,
            protected: true,
            expires_at: Some(later),
            isolation: Isolation::Worker,
            engine_version: Some("15".to_owned()),
        }
        .into(),
        EventKind::DatabaseReady => DatabaseReady { database }.into(),
        EventKind::DatabaseAbandoned => DatabaseAbandoned { database }.into(),
        EventKind::DatabaseStopped => DatabaseStopped { database }.into(),
        EventKind::DatabaseStarted => DatabaseStarted { database }.into(),
        EventKind::DatabaseTrashed => DatabaseTrashed {
            database,
            purge_at: later,
        }
        .into(),
        EventKind::DatabaseUndeleted => {
            let dns_label = "shop-eu-1-2".to_owned();
            DatabaseUndeleted {
                database,
                dns_label,
            }
            .into()
        }
        EventKind::DatabasePurged => DatabasePurged { database }.into(),
        EventKind::DatabaseChanged => DatabaseChanged {
            database,
            labels,
            limits,
            protected: false,
            expires_at: None,
            isolation: Isolation::Worker,
        }
        .into(),
        EventKind::DatabaseDegraded => {
            let reason = "5 restarts in 10 minutes\n".to_owned();
            DatabaseDegraded { database, reason }.into()
        }
        EventKind::WorkerStarted => WorkerStarted { database, worker }.into(),
        EventKind::WorkerRemoved => WorkerRemoved { database }.into(),
        EventKind::JobEnqueued => JobEnqueued {
            job,
            database,
            database_name: name,
            kind: JobKind::RepairWorker {
                finding: "worker exited".to_owned(),
            },
        }
        .into(),
        EventKind::JobStarted => JobStarted {
            job,
            database,
            attempt: 2,
            deadline: later,
        }
        .into(),
        EventKind::StepStarted => StepStarted {
            job,
            database,
            step,
        }
        .into(),
        EventKind::StepFinished => {
            let outcome = StepOutcome::WorkerStarted { worker };
            StepFinished {
                job,
                database,
                step,
                outcome,
            }
            .into()
        }
        EventKind::JobRetryScheduled => JobRetryScheduled {
            job,
            database,
            error,
            retry_at: later,
        }
        .into(),
        EventKind::JobCompensating => JobCompensating {
            job,
            database,
            error: Some(error),
        }
        .into(),
        EventKind::StepUndone => StepUndone {
            job,
            database,
            step,
        }
        .into(),
        EventKind::JobSucceeded => JobSucceeded { job, database }.into(),
        EventKind::JobFailed => JobFailed {
            job,
            database,
            error,
        }
        .into(),
        EventKind::JobStuck => JobStuck {
            job,
            database,
            error,
        }
        .into(),
        EventKind::JobCancelRequested => JobCancelRequested { job, database }.into(),
        EventKind::JobCancelled => JobCancelled { job, database }.into(),
        EventKind::TokenIssued => TokenIssued {
            token: TokenId(uuid(0x70)),
            name: "ci".to_owned(),
            hash: "0f".repeat(32),
            scopes: vec![Scope::Read, Scope::Admin],
            databases: vec!["pr-*".to_owned()],
            expires_at: None,
        }
        .into(),
        EventKind::TokenRevoked => TokenRevoked {
            token: TokenId(uuid(0x70)),
        }
        .into(),
        EventKind::LogHealed => {
            let detail = "the journal was written again".to_owned();
            LogHealed { detail }.into()
        }
        EventKind::JobReleased => JobReleased { job, database }.into(),
        EventKind::WorkerQuarantined => WorkerQuarantined {
            worker: "c0ffee".to_owned(),
            name: worker,
            labelled: database,
        }
        .into(),
        EventKind::QuarantineEnded => QuarantineEnded {
            worker: "c0ffee".to_owned(),
        }
        .into(),
        EventKind::FolderTrashed => FolderTrashed {
            folder: "copy of shop".to_owned(),
            trashed_as: "unknown-0-copy of shop".to_owned(),
        }
        .into(),
        EventKind::PassAllowed => PassAllowed { held_back: 4 }.into(),
        EventKind::WebhookCreated => WebhookCreated {
            webhook,
            plan: WebhookPlan {
                url: "https://example.org/hook".to_owned(),
                kinds: vec!["job_failed".to_owned()],
                databases: vec!["pr-*".to_owned()],
            },
        }
        .into(),
        EventKind::WebhookChanged => WebhookChanged {
            webhook,
            plan: WebhookPlan {
                url: "http://localhost:9000/".to_owned(),
                kinds: Vec::new(),
                databases: vec!["*".to_owned()],
            },
        }
        .into(),
        EventKind::WebhookDeleted => WebhookDeleted { webhook }.into(),
        EventKind::WebhookDisabled => WebhookDisabled {
            webhook,
            reason: "20 failures in a row, the last: answered 500".to_owned(),
        }
        .into(),
        EventKind::WebhookEnabled => WebhookEnabled { webhook }.into(),
        EventKind::ScheduleCreated => ScheduleCreated {
            schedule,
            name: "nightly".to_owned(),
            plan: SchedulePlan {
                cron: "30 2 * * *".to_owned(),
                timezone: "Europe/Berlin".to_owned(),
                command: LifecycleCommand::CreateDatabase(Wanted {
                    name: "copy-{date}".to_owned(),
                    engine: EngineName("sqlite".to_owned()),
                    durability: Durability::Full,
                    labels,
                    limits,
                    protected: false,
                    ttl_seconds: Some(86_400),
                    isolation: Isolation::Gateway,
                    engine_version: None,
                }),
                misfire: Misfire::All,
                overlap: Overlap::Queue,
                enabled: true,
            },
            token: Some(TokenId(uuid(0x70))),
        }
        .into(),
        EventKind::ScheduleChanged => ScheduleChanged {
            schedule,
            plan: SchedulePlan {
                cron: "@daily".to_owned(),
                timezone: "UTC".to_owned(),
                command: LifecycleCommand::DeleteDatabase(Named {
                    database: "shop".to_owned(),
                }),
                misfire: Misfire::Skip,
                overlap: Overlap::Skip,
                enabled: false,
            },
            token: None,
        }
        .into(),
        EventKind::ScheduleDeleted => ScheduleDeleted { schedule }.into(),
        EventKind::ScheduleFired => ScheduleFired {
            schedule,
            nominal: Some(later),
            job: None,
            refusal: Some("there is no database `shop`".to_owned()),
        }
        .into(),
        EventKind::PlanMade => PlanMade {
            plan: PlanId(uuid(0x91a)),
            command: LifecycleCommand::ChangeDatabase(Changed {
                database: "Shop.EU_1".to_owned(),
                labels: Some(labels),
                size_bytes: None,
                memory_bytes: Some(64 << 20),
                cpu_millis: None,
                protected: Some(true),
                ttl: Some(ChangedTtl::Seconds(7200)),
                isolation: Some(Isolation::Worker),
            }),
            basis: Basis::Unchanged {
                database,
                name,
                sequence: Sequence(7),
            },
            expires_at: later,
        }
        .into(),
        EventKind::PlanApplied => PlanApplied {
            plan: PlanId(uuid(0x91a)),
            job: Some(job),
        }
        .into(),
        EventKind::NothingChanged => NothingChanged {
            database: Some(database),
        }
        .into(),
        EventKind::ScheduleRewound => ScheduleRewound {
            schedule,
            done_until: later,
        }
        .into(),
        EventKind::DatabaseSetAside => DatabaseSetAside { database }.into(),
        EventKind::NodeJoined => {
            let name = "attic".to_owned();
            NodeJoined { node, name }.into()
        }
        EventKind::DatabasePlaced => DatabasePlaced { database, node }.into(),
        EventKind::DatabaseLoaded => DatabaseLoaded {
            database,
            upload: UploadId(uuid(0x0b)),
            kept: Some(database_before()),
        }
        .into(),
        EventKind::DatabaseKept => DatabaseKept {
            database: database_before(),
            of: database,
            name: DatabaseName::parse("Shop.EU_1-before-0000000000df").unwrap(),
            engine: EngineName("sqlite".to_owned()),
            durability: Durability::Full,
            labels,
            limits,
            purge_at: later,
            isolation: Isolation::Worker,
            engine_version: None,
        }
        .into(),
        EventKind::ContentsExchanged => ContentsExchanged {
            database,
            with: database_before(),
        }
        .into(),
    }
}

/// What is in the trash after a load.
fn database_before() -> dbforge::domain::ids::DatabaseId {
    database(0xdf)
}

/// The kinds and outcomes of jobs that came later than the events which hold them.
#[test]
fn jobs_that_load_are_stored_as_they_always_were() {
    let (database, job) = (database(0xdb), JobId(uuid(0x10b)));
    let upload = UploadId(uuid(0x0b));
    let kinds = [
        JobKind::LoadDatabase {
            upload,
            form: Some(LoadForm::Sql),
            mode: LoadMode::Insert,
            kept: database_before(),
        },
        JobKind::CreateFromUpload { upload },
        JobKind::ExchangeContents {
            with: database_before(),
        },
    ];
    let enqueued = kinds.map(|kind| {
        JobEnqueued {
            job,
            database,
            database_name: DatabaseName::parse("shop").unwrap(),
            kind,
        }
        .into()
    });
    let load = LoadSummary {
        form: LoadForm::File,
        statements: 1,
        tables: 2,
        rows: 3,
        size_bytes: 4,
        foreign_key_violations: 5,
        notes: vec!["six".to_owned()],
    };
    let outcomes = [StepOutcome::Loaded { load }, StepOutcome::Exchanged];
    let finished = outcomes.map(|outcome| {
        StepFinished {
            job,
            database,
            step: StepName("load".to_owned()),
            outcome,
        }
        .into()
    });
    let events: Vec<Event> = enqueued.into_iter().chain(finished).collect();
    let header = header(1);
    let log = MemoryEventLog::default();
    let recorded = log.append(Sequence(0), vec![NewCommit { header, events }]);
    let recorded = recorded.unwrap();
    let bytes = encode_commit(&recorded);
    let read = decode_commit(&bytes, recorded[0].previous_hash).unwrap();
    assert_eq!(read, recorded);
    let json: Vec<String> = recorded.iter().map(canonical_json).collect();
    let shown = format!(
        "stored:\n{}\n\ncanonical:\n{}",
        hex_lines(&bytes),
        json.join("\n")
    );
    with_snapshots_in("codec", || insta::assert_snapshot!("jobs_that_load", shown));
}

/// That event as the first of a log; every other one has the optional parts of a commit too.
fn recorded(kind: EventKind) -> RecordedEvent {
    let mut header = header(kind.number().into());
    if kind.number().is_multiple_of(2) {
        header.causation = Some(Sequence(7));
        header.idempotency = Some(Idempotency {
            key: "k-1".to_owned(),
            fingerprint: "ab".repeat(32),
        });
    }
    let events = vec![sample(kind)];
    let log = MemoryEventLog::default();
    let appended = log.append(Sequence(0), vec![NewCommit { header, events }]);
    appended.unwrap().pop().unwrap()
}

#[test]
fn every_event_is_stored_as_it_always_was() {
    for kind in EventKind::ALL {
        let recorded = recorded(*kind);
        assert_eq!(recorded.event.kind(), *kind);
        let bytes = encode_commit(std::slice::from_ref(&recorded));
        let shown = format!(
            "stored:\n{}\n\ncanonical:\n{}\n\nhash: {}",
            hex_lines(&bytes),
            canonical_json(&recorded),
            hex::encode(recorded.hash)
        );
        with_snapshots_in("codec", || insta::assert_snapshot!(kind.as_str(), shown));
    }
}

#[test]
fn every_event_is_read_back_as_it_was_stored() {
    for kind in EventKind::ALL {
        let recorded = recorded(*kind);
        let bytes = encode_commit(std::slice::from_ref(&recorded));
        let read = decode_commit(&bytes, recorded.previous_hash).unwrap();
        assert_eq!(read, [recorded]);
    }
}

/// What had no isolation and no version of its engine was answered by the gateway, and is told as
/// it was written.
#[test]
fn events_from_before_isolation_are_read_as_of_the_gateway() {
    let stored = include_str!("../../fixtures/events_of_version_1.txt");
    let lines = stored.lines().filter(|line| !line.starts_with('#'));
    let mut kinds = Vec::new();
    for line in lines {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().unwrap();
        let (kind, bytes, canonical) = (part(), hex::decode(part()).unwrap(), part());
        let kind = EventKind::from_word(kind).unwrap();
        let previous = MemoryEventLog::default().head().hash;
        let read = decode_commit(&bytes, previous).unwrap();
        assert_eq!((read.len(), read[0].schema_version), (1, 1));
        assert_eq!(canonical_json(&read[0]), canonical);
        assert_eq!(
            hex::encode(read[0].hash),
            hex::encode(&bytes[bytes.len() - 32..])
        );
        let mut today = sample(kind);
        match &mut today {
            Event::DatabaseRequested(it) => {
                it.isolation = Isolation::Gateway;
                it.engine_version = None;
            }
            Event::DatabaseChanged(it) => it.isolation = Isolation::Gateway,
            Event::DatabaseKept(it) => it.isolation = Isolation::Gateway,
            Event::PlanMade(it) => match &mut it.command {
                LifecycleCommand::ChangeDatabase(it) => it.isolation = None,
                other => panic!("{other:?}"),
            },
            _ => {}
        }
        assert_eq!(read[0].event, today, "{line}");
        kinds.push(kind);
    }
    assert_eq!(kinds.len(), 6);
}

/// Format 3: what a header says beyond what it said at first stands in front of the events. A
/// program that does not know it, as those of formats 1 and 2, names it and reads nothing.
#[test]
fn a_header_tells_of_its_token_and_of_a_clock_that_was_behind_in_front_of_its_events() {
    let mut header = header(1);
    header.token = Some(TokenId(uuid(0x70)));
    header.clock = Some(Timestamp::from_millis(NOON - 86_400_000));
    let database = database(0xdb);
    let events = vec![DatabaseReady { database }.into()];
    let log = MemoryEventLog::default();
    let appended = log.append(Sequence(0), vec![NewCommit { header, events }]);
    let recorded = appended.unwrap().pop().unwrap();
    let bytes = encode_commit(std::slice::from_ref(&recorded));
    let shown = format!(
        "stored:\n{}\n\ncanonical:\n{}\n\nhash: {}",
        hex_lines(&bytes),
        canonical_json(&recorded),
        hex::encode(recorded.hash)
    );
    with_snapshots_in("codec", || {
        insta::assert_snapshot!("format_3_header", shown)
    });
    let read = decode_commit(&bytes, recorded.previous_hash).unwrap();
    assert_eq!(read, std::slice::from_ref(&recorded));
    let line = export_line(&recorded);
    assert_eq!(parse_export_line(&line).unwrap(), recorded);

    let addition = [u16::MAX.to_le_bytes(), 1_u16.to_le_bytes()].concat();
    let at = find(&bytes, &addition);
    let mut later = bytes;
    later[at + 2] = 2;
    let error = decode_commit(&later, recorded.previous_hash).unwrap_err();
    let unknown = matches!(error, DecodeError::UnknownForm { kind: u16::MAX, .. });
    assert!(unknown, "{error}");
}

#[test]
fn a_commit_as_large_as_earlier_versions_wrote_is_still_read() {
    let mut large = recorded(EventKind::LogHealed);
    let detail = "x".repeat(LARGEST_COMMIT_READ - 1_000);
    large.event = LogHealed { detail }.into();
    let bytes = encode_commit(std::slice::from_ref(&large));
    assert!(bytes.len() > MAX_COMMIT_BYTES, "none is written any more");
    let read = decode_commit(&bytes, large.previous_hash).unwrap();
    assert_eq!(read, [large]);
}

#[test]
fn every_kind_has_a_number_and_a_word_of_its_own() {
    for kind in EventKind::ALL {
        assert_eq!(EventKind::from_number(kind.number()), Some(*kind));
        assert_eq!(EventKind::from_word(kind.as_str()), Some(*kind));
    }
}

#[test]
fn an_event_of_a_later_program_is_refused_by_name() {
    let recorded = recorded(EventKind::LogHealed);
    let bytes = encode_commit(std::slice::from_ref(&recorded));
    let known = EventKind::LogHealed.number().to_le_bytes();
    let at = find(&bytes, &[known, 1_u16.to_le_bytes()].concat());
    for (offset, shown) in [(0, "event kind 999"), (2, "schema version 999")] {
        let mut later = bytes.clone();
        later[at + offset..at + offset + 2].copy_from_slice(&999_u16.to_le_bytes());
        let error = decode_commit(&later, recorded.previous_hash).unwrap_err();
        assert!(error.to_string().contains(shown), "{error}");
    }
}

#[test]
fn bytes_behind_a_commit_and_cut_commits_are_refused() {
    let recorded = recorded(EventKind::DatabaseRequested);
    let mut bytes = encode_commit(std::slice::from_ref(&recorded));
    bytes.push(0);
    for end in (0..bytes.len() - 1).chain([bytes.len()]) {
        assert!(
            decode_commit(&bytes[..end], recorded.previous_hash).is_err(),
            "{end}"
        );
    }
}

proptest! {
    #[test]
    fn random_bytes_are_no_commit_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(decode_commit(&bytes, [0; 32]).is_err());
    }

    /// Lengths are where trusting a byte costs memory: every one of them is hit by a flip of
    /// some byte to some value.
    #[test]
    fn a_changed_commit_is_an_error_or_a_commit_and_no_panic(
        kind in proptest::sample::select(EventKind::ALL),
        at in any::<proptest::sample::Index>(),
        value in any::<u8>(),
    ) {
        let recorded = recorded(kind);
        let mut bytes = encode_commit(std::slice::from_ref(&recorded));
        let at = at.index(bytes.len());
        bytes[at] = value;
        if let Ok(events) = decode_commit(&bytes, recorded.previous_hash) {
            prop_assert_eq!(encode_commit(&events).len(), bytes.len());
        }
    }
}

fn hex_lines(bytes: &[u8]) -> String {
    let lines: Vec<String> = bytes.chunks(32).map(hex::encode).collect();
    lines.join("\n")
}

fn find(bytes: &[u8], wanted: &[u8]) -> usize {
    let mut windows = bytes.windows(wanted.len());
    windows.position(|it| it == wanted).unwrap()
}
