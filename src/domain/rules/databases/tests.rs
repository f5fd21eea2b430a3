//! Given events, when a command, then events or a refusal.
use crate::clock::timestamp::Timestamp;
use crate::domain::command::refusal::Refusal;
use crate::domain::command::{Command, CreateDatabase, DatabaseChange, IfExists};
use crate::domain::database::{DatabaseState, EngineName, Isolation};
use crate::domain::event::EventKind;
use crate::domain::ids::DatabaseId;
use crate::domain::job::StepOutcome;
use crate::domain::rules::scenario::{Scenario, create};
use crate::domain::verb::Verb;
use std::time::Duration;

#[test]
fn a_create_asks_for_a_database_and_a_job_in_one_commit() {
    let mut forge = Scenario::new();
    let happened = forge.when(create("shop")).unwrap();
    assert_eq!(
        happened,
        [EventKind::DatabaseRequested, EventKind::JobEnqueued]
    );
    assert_eq!(forge.find("SHOP").state(), DatabaseState::Creating);
}

#[test]
fn names_that_differ_in_case_only_are_the_same_name() {
    let mut forge = Scenario::new();
    forge.ready("shop");
    let refusal = forge.when(create("Shop")).unwrap_err();
    assert!(matches!(refusal, Refusal::DatabaseExists(_)));
}

#[test]
fn a_taken_host_label_gets_a_number() {
    let mut forge = Scenario::new();
    forge.ready("a_b");
    forge.ready("a.b");
    assert_eq!(forge.find("a.b").dns_label, "a-b-2");
}

#[test]
fn deleting_frees_the_name_and_the_path_means_the_living_one() {
    let mut forge = Scenario::new();
    let old = forge.trashed("shop");
    assert_eq!(forge.find("shop").id, old, "nothing living has the name");
    let new = forge.ready("shop");
    assert_eq!(forge.find("shop").id, new);
    assert_eq!(forge.find(&old.to_string()).id, old, "by its id");
}

#[test]
fn a_trashed_database_cannot_come_back_while_its_name_is_taken() {
    let mut forge = Scenario::new();
    let database = forge.trashed("shop");
    forge.ready("shop");
    let refusal = forge.when(Verb::Undelete.on(database));
    assert!(matches!(refusal, Err(Refusal::DatabaseExists(_))));
}

#[test]
fn a_name_on_its_way_back_from_the_trash_is_taken() {
    let mut forge = Scenario::new();
    let database = forge.trashed("shop");
    forge.when(Verb::Undelete.on(database)).unwrap();
    let refusal = forge.when(create("shop"));
    assert!(matches!(refusal, Err(Refusal::DatabaseExists(_))));
    forge.run(database, &[("restore", StepOutcome::Undeleted)]);
    assert_eq!(forge.find("shop").state(), DatabaseState::Ready);
}

#[test]
fn a_protected_database_is_neither_deleted_nor_purged() {
    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    let change = DatabaseChange {
        protected: Some(true),
        ..DatabaseChange::default()
    };
    forge
        .when(Command::ChangeDatabase { database, change })
        .unwrap();
    for command in [Verb::Delete.on(database), Verb::Purge.on(database)] {
        let refusal = forge.when(command);
        assert!(matches!(refusal, Err(Refusal::DatabaseProtected(_))));
    }
}

#[test]
fn a_database_that_will_be_deleted_takes_no_other_work() {
    let mut forge = Scenario::new();
    let database = forge.requested("shop");
    forge.when(Verb::Delete.on(database)).unwrap();
    for command in [
        Verb::Stop.on(database),
        Verb::Delete.on(database),
        Verb::Restart.on(database),
    ] {
        let refusal = forge.when(command);
        assert!(matches!(refusal, Err(Refusal::DatabaseDeleted(_))));
    }
}

#[test]
fn a_full_queue_still_takes_deletes_and_purges() {
    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    let trashed = forge.trashed("old");
    forge.queue_bound = 0;
    assert!(matches!(
        forge.when(create("more")),
        Err(Refusal::QueueFull { .. })
    ));
    assert!(matches!(
        forge.when(Verb::Stop.on(database)),
        Err(Refusal::QueueFull { .. })
    ));
    forge.when(Verb::Delete.on(database)).unwrap();
    let database = trashed;
    forge.when(Verb::Purge.on(database)).unwrap();
}

#[test]
fn a_change_that_changes_nothing_is_no_event() {
    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    let change = DatabaseChange::default();
    let happened = forge.when(Command::ChangeDatabase { database, change });
    assert_eq!(happened, Ok(vec![]));
}

#[test]
fn another_isolation_restarts_the_worker_of_a_database_that_runs() {
    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    let isolated = |isolation| Command::ChangeDatabase {
        database,
        change: DatabaseChange {
            isolation: Some(isolation),
            ..DatabaseChange::default()
        },
    };
    let moved = forge.when(isolated(Isolation::Worker)).unwrap();
    let both = [EventKind::DatabaseChanged, EventKind::JobEnqueued];
    assert_eq!(moved, both);
    assert_eq!(forge.find("shop").isolation, Isolation::Worker);
    assert_eq!(forge.when(isolated(Isolation::Worker)), Ok(vec![]));

    forge.when(Verb::Stop.on(database)).unwrap();
    let moved = forge.when(isolated(Isolation::Gateway)).unwrap();
    assert_eq!(moved, [EventKind::DatabaseChanged], "it will be stopped");
}

#[test]
fn a_ttl_is_counted_from_the_change() {
    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    forge.now = forge.now.after(Duration::from_secs(100));
    let change = DatabaseChange {
        ttl: Some(Some(Duration::from_secs(60))),
        ..DatabaseChange::default()
    };
    forge
        .when(Command::ChangeDatabase { database, change })
        .unwrap();
    let expires_at = forge.find("shop").expires_at.unwrap();
    assert_eq!(expires_at.millis(), 160_000);
}

/// A database whose time is over.
fn expired(forge: &mut Scenario, protected: bool) -> DatabaseId {
    let database = forge.ready("shop");
    let change = DatabaseChange {
        ttl: Some(Some(Duration::from_secs(60))),
        protected: Some(protected),
        ..DatabaseChange::default()
    };
    forge
        .when(Command::ChangeDatabase { database, change })
        .unwrap();
    forge.now = forge.now.after(Duration::from_secs(60));
    database
}

#[test]
fn what_has_expired_is_expired_from_the_moment_on_whatever_else_it_is() {
    let mut forge = Scenario::new();
    let database = expired(&mut forge, true);
    let state = |forge: &Scenario| forge.find("shop").state_at(forge.now);
    assert_eq!(state(&forge), DatabaseState::Expired, "protected");
    for command in [
        Verb::Stop.on(database),
        Verb::Start.on(database),
        Verb::Restart.on(database),
    ] {
        let refused = forge.when(command);
        assert!(matches!(refused, Err(Refusal::DatabaseExpired { .. })));
    }
    let change = DatabaseChange {
        ttl: Some(None),
        ..DatabaseChange::default()
    };
    forge
        .when(Command::ChangeDatabase { database, change })
        .unwrap();
    assert_eq!(state(&forge), DatabaseState::Ready);

    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    forge.when(Verb::Stop.on(database)).unwrap();
    forge.run(database, &[("close", StepOutcome::Stopped)]);
    let change = DatabaseChange {
        ttl: Some(Some(Duration::from_secs(60))),
        ..DatabaseChange::default()
    };
    forge
        .when(Command::ChangeDatabase { database, change })
        .unwrap();
    assert_eq!(state(&forge), DatabaseState::Stopped);
    forge.now = forge.now.after(Duration::from_secs(60));
    assert_eq!(state(&forge), DatabaseState::Expired, "stopped");
    forge.when(Verb::Delete.on(database)).unwrap();
}

#[test]
fn a_create_that_takes_what_exists_changes_nothing_where_the_engine_is_the_same() {
    let mut forge = Scenario::new();
    let database = forge.ready("shop");
    let take = |engine: &str| {
        let Command::CreateDatabase(wanted) = create("SHOP") else {
            unreachable!("what it makes")
        };
        Command::CreateDatabase(CreateDatabase {
            engine: EngineName(engine.to_owned()),
            if_exists: IfExists::Return,
            ..wanted
        })
    };
    forge.queue_bound = 0;
    assert_eq!(forge.when(take("sqlite")), Ok(vec![]));
    assert_eq!(forge.state.subject(&take("sqlite")), Some(database));
    let refused = forge.when(take("redis"));
    assert!(matches!(refused, Err(Refusal::OtherEngine { .. })));
    forge.queue_bound = 1;
    forge.when(Verb::Delete.on(database)).unwrap();
    forge.queue_bound = 2;
    let made = forge.when(take("sqlite")).unwrap();
    assert_eq!(made[0], EventKind::DatabaseRequested, "what goes is not it");
}

#[test]
fn what_is_promised_is_counted_on_the_clock_though_the_log_is_ahead_of_it() {
    let mut forge = Scenario::new();
    let day = Duration::from_secs(86_400);
    forge.now = forge.now.after(day);
    forge.ready("before");
    forge.now = Timestamp::from_millis(5_000);
    let mut wanted = create("shop");
    if let Command::CreateDatabase(it) = &mut wanted {
        it.ttl = Some(Duration::from_secs(2));
    }
    forge.when(wanted).unwrap();
    let expires_at = forge.find("shop").expires_at;
    assert_eq!(expires_at, Some(Timestamp::from_millis(7_000)));
    let created_at = forge.find("shop").created_at;
    assert_eq!(
        created_at.millis(),
        86_400_000,
        "times in the log never go back"
    );
}
