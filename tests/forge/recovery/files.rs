//! Jobs that bring files in, cut off at every moment: in the end what is there is what would be
//! there without. The files are read by real children.
use crate::jobs::stories::work_without_record;
use crate::support::sql::{read_only, soon};
use crate::support::test_forge::{Kept, TestForge, create};
use bytes::Bytes;
use dbforge::control::SubmitError;
use dbforge::data::uploads::UploadSender;
use dbforge::data::{Params, QueryRequest};
use dbforge::domain::command::refusal::Refusal;
use dbforge::domain::command::{Command, CreateDatabase};
use dbforge::domain::database::{Database, DatabaseState};
use dbforge::domain::ids::{Actor, DatabaseId, JobId, UploadId};
use dbforge::domain::import::{RowsForm, TableImport, WriteMode};
use dbforge::domain::job::JobState;
use dbforge::domain::load::LoadMode;
use dbforge::jobs::runner::Moved;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What is asked for, and what has happened before.
pub(super) const STORIES: &[(&str, &[&str])] = &[
    ("create of a file", &[]),
    ("load", &["create"]),
    ("replace", &["create", "load"]),
    ("insert", &["create", "load"]),
    ("exchange", &["create", "load", "replace"]),
    ("import", &["create", "load"]),
    ("import anew", &["create"]),
];

const SQL: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);
    INSERT INTO t VALUES(1, 'one');";

fn shop(forge: &TestForge) -> Option<Arc<Database>> {
    let current = forge.control.current();
    current.state.find_database("shop").cloned()
}

/// A file that waits to be imported.
async fn upload(forge: &TestForge, text: &'static str) -> UploadId {
    let id = UploadId(Uuid::new_v4());
    let uploads = forge.job_context.data.uploads();
    let mut receiving = uploads.receive(id, None, None).unwrap();
    receiving
        .write(Bytes::from_static(text.as_bytes()))
        .await
        .unwrap();
    let sender = UploadSender {
        token: None,
        actor: Actor::named("root"),
        content_type: None,
        is_of_a_call: false,
    };
    let now = forge.control.clock().now();
    receiving.finish(sender, now).await.unwrap();
    id
}

pub(super) async fn ask(forge: &TestForge, what: &str) -> JobId {
    let database = shop(forge).map(|shop| shop.id);
    let load = async |text, mode| Command::LoadDatabase {
        database: database.unwrap(),
        upload: upload(forge, text).await,
        form: None,
        mode,
    };
    let import = async |table: &str| Command::ImportTable {
        database: database.unwrap(),
        upload: upload(forge, "id,a\n7,seven\n8,eight\n").await,
        import: Box::new(rows_of(table)),
    };
    let command = match what {
        "create" => create("shop"),
        "create of a file" => {
            let Command::CreateDatabase(wanted) = create("shop") else {
                panic!("it creates a database");
            };
            Command::CreateDatabase(CreateDatabase {
                from: Some(upload(forge, SQL).await),
                ..wanted
            })
        }
        "load" => load(SQL, LoadMode::IntoEmpty).await,
        "replace" => {
            let text = "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES(2, 'two');";
            load(text, LoadMode::Replace).await
        }
        "insert" => load("INSERT INTO t VALUES(3, 'three');", LoadMode::Insert).await,
        "exchange" => Command::ExchangeContents {
            database: database.unwrap(),
            with: last_trashed(forge),
        },
        "import" => import("t").await,
        "import anew" => import("fresh").await,
        other => panic!("no such command: {other}"),
    };
    forge.submit(command).await.unwrap().job().unwrap()
}

fn rows_of(table: &str) -> TableImport {
    TableImport {
        table: table.to_owned(),
        form: RowsForm::Csv,
        creates: true,
        mode: WriteMode::Insert,
        on_conflict: Vec::new(),
        finds_types: true,
        null: None,
        delimiter: None,
        has_header: true,
        skips_errors: false,
        max_errors: 0,
        is_atomic: true,
        escapes_formulas: false,
    }
}

fn last_trashed(forge: &TestForge) -> DatabaseId {
    let current = forge.control.current();
    let trashed = current.state.databases().filter(|it| !it.is_living());
    trashed.max_by_key(|it| it.created_at).unwrap().id
}

pub(super) async fn told(before: &[&str]) -> TestForge {
    let forge = TestForge::found(Kept::new()).await;
    for what in before {
        let job = ask(&forge, what).await;
        forge.settle().await;
        assert_eq!(forge.job(job).await.state, JobState::Succeeded, "{what}");
    }
    forge
}

/// What is there, as far as a person can tell: the state of `shop` and all of its rows; how many
/// databases are in the trash; folders and containers.
async fn outcome(forge: &TestForge) -> (Option<DatabaseState>, Value, usize, [usize; 3]) {
    let shop = shop(forge);
    let rows = match &shop {
        Some(shop) if shop.is_living() => json!([
            rows(forge, shop, "t").await,
            rows(forge, shop, "fresh").await
        ]),
        _ => Value::Null,
    };
    let current = forge.control.current();
    let trashed = current.state.databases().filter(|it| !it.is_living());
    let places = [
        forge.folders("databases").len(),
        forge.folders("trash").len(),
        forge.kept.engine.names().len(),
    ];
    (shop.map(|it| it.state()), rows, trashed.count(), places)
}

/// All rows of a table; null where there is none.
async fn rows(forge: &TestForge, database: &Database, table: &str) -> Value {
    let plane = &forge.job_context.data;
    let target = plane.target(database).unwrap();
    let guard = plane.enter(database.id, soon()).await.unwrap();
    let request = QueryRequest {
        sql: format!("SELECT * FROM {table} ORDER BY 1"),
        params: Params::None,
        options: read_only(),
    };
    match plane.query(&guard, &target, request).await {
        Ok(answer) => serde_json::from_slice::<Value>(&answer.body).unwrap()["rows"].take(),
        Err(error) if error.to_string().contains("no such table") => Value::Null,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_crash_at_every_step_boundary_settles_as_if_there_had_been_none() {
    for (what, before) in STORIES {
        let undisturbed = told(before).await;
        ask(&undisturbed, what).await;
        undisturbed.settle().await;
        let wanted = outcome(&undisturbed).await;
        for crash_after in 0.. {
            let forge = told(before).await;
            let job = ask(&forge, what).await;
            let mut moved = 0;
            while moved < crash_after && forge.runner.move_once(job).await.unwrap() == Moved::On {
                moved += 1;
            }
            let ended = forge.control.current().state.job(job).is_none();
            let forge = forge.restart();
            forge.settle().await;
            let when = format!("`{what}` after {before:?}, crash after {crash_after} steps");
            assert_eq!(forge.job(job).await.state, JobState::Succeeded, "{when}");
            assert_eq!(outcome(&forge).await, wanted, "{when}");
            if ended {
                break;
            }
        }
    }
}

/// The log ends at each commit of the story, the files are as far as they were: behind the work of
/// a step, before its record.
#[tokio::test]
async fn every_prefix_of_a_log_settles_with_the_files_of_that_moment() {
    for (what, before) in STORIES {
        let undisturbed = told(before).await;
        ask(&undisturbed, what).await;
        undisturbed.settle().await;
        let wanted = outcome(&undisturbed).await;
        let mut forge = told(before).await;
        let job = ask(&forge, what).await;
        let mut rounds = 0;
        while let Some(now) = forge.control.current().state.job(job).cloned() {
            rounds += 1;
            assert!(
                rounds < 20,
                "`{what}` after {before:?} does not end: {now:?}"
            );
            forge = work_without_record(forge, job).await;
            for _ in 0..2 {
                if forge.control.current().state.job(job).is_some() {
                    forge.runner.move_once(job).await.unwrap();
                }
            }
            // A step that found the files still open is tried again.
            forge.kept.clock.advance(Duration::from_secs(60));
        }
        forge.settle().await;
        let when = format!("`{what}` after {before:?}");
        assert_eq!(forge.job(job).await.state, JobState::Succeeded, "{when}");
        assert_eq!(outcome(&forge).await, wanted, "{when}");
    }
}

#[tokio::test]
async fn a_job_that_is_cancelled_at_every_step_leaves_what_was_there_before() {
    for (what, before) in STORIES {
        for cancel_after in 0.. {
            let forge = told(before).await;
            let untouched = outcome(&forge).await;
            let job = ask(&forge, what).await;
            for _ in 0..cancel_after {
                forge.runner.move_once(job).await.unwrap();
            }
            if forge.control.current().state.job(job).is_none() {
                break;
            }
            let when = format!("`{what}` after {before:?}, cancelled after {cancel_after} steps");
            if let Err(refused) = forge.submit(Command::CancelJob { job }).await {
                assert_eq!(
                    refused,
                    SubmitError::Refused(Refusal::NoWayBack(job)),
                    "{when}"
                );
            }
            forge.settle().await;
            let is_trashed = shop(&forge).is_some_and(|shop| !shop.is_living());
            match forge.job(job).await.state {
                // What was written to a new database stays in the trash.
                JobState::Cancelled if is_trashed => assert_eq!(*what, "create of a file"),
                JobState::Cancelled => assert_eq!(outcome(&forge).await, untouched, "{when}"),
                state => assert_eq!(state, JobState::Succeeded, "{when}"),
            }
        }
    }
}
