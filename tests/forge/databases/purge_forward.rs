//! From the first removal on a purge goes forward alone: no state says that what is gone is there.
use crate::support::http::{Answer, HttpForge};
use crate::support::test_forge::TestForge;
use crate::support::unremovable::Unremovable;
use dbforge::domain::database::DatabaseState;
use dbforge::domain::ids::DatabaseId;
use dbforge::domain::job::{JobErrorCode, JobState};
use dbforge::domain::verb::Verb;
use dbforge::jobs::retention::Retention;
use dbforge::jobs::runner::Moved;
use dbforge::runtime::simulated::{Action, Fault};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn folder(forge: &TestForge, room: &str, database: DatabaseId) -> PathBuf {
    let root = forge.kept.folder.path().join(room);
    root.join(database.to_string())
}

fn set_aside(forge: &TestForge, room: &str, database: DatabaseId) -> PathBuf {
    let root = forge.kept.folder.path().join(room);
    root.join(format!(".purging-{database}"))
}

async fn sql(forge: &HttpForge, reference: &str) -> Answer {
    let body = json!({ "sql": "SELECT 1" }).to_string();
    let path = format!("/v1/databases/{reference}/query");
    forge.post(&path, &body).await
}

#[tokio::test]
async fn a_purge_that_fails_half_way_says_so_and_ends_once_the_cause_is_gone() {
    for trashed in [false, true] {
        let forge = HttpForge::new().await;
        let database = forge.ready("shop").await;
        if trashed {
            forge.send("DELETE", "/v1/databases/shop", "").await;
            forge.settle().await;
        }
        let room = if trashed { "trash" } else { "databases" };
        let mut stays = Unremovable::below(&folder(&forge, room, database));
        let purge = forge
            .send("DELETE", "/v1/databases/shop?purge=true", "")
            .await;
        let job = purge.json()["id"].as_str().unwrap().to_owned();
        for _ in 0..12 {
            forge.runner.run_until_idle().await.unwrap();
            let shown = forge.get(&format!("/v1/databases/{database}")).await.json();
            assert_eq!(shown["state"], "purging");
            let told = forge.get(&format!("/v1/jobs/{job}")).await.json();
            assert_eq!(told["state"], "retry_wait");
            let error = told["attempts"].as_array().unwrap().last().unwrap()["error"].to_string();
            assert!(error.contains("stays/file"), "{error}");
            assert!(!error.contains("/tmp"), "{error}");
            forge.kept.clock.advance(Duration::from_secs(450));
        }
        assert!(!forge.folders(room).contains(&database.to_string()));
        let gone = sql(&forge, "shop").await;
        gone.problem(410, "database_deleted");
        let cancel = forge.post(&format!("/v1/jobs/{job}/cancel"), "").await;
        cancel.problem(409, "wrong_state");

        // Its name is free, and whoever takes it has nothing to do with what is left.
        forge.post("/v1/databases", r#"{"name":"shop"}"#).await;
        forge.runner.run_until_idle().await.unwrap();
        assert_eq!(sql(&forge, "shop").await.status, 200);
        let found = forge.get("/v1/databases?state=purging").await.json();
        assert_eq!(found["data"][0]["id"], database.to_string());

        stays.release(&set_aside(&forge, room, database));
        let told = forge.get(&format!("/v1/jobs/{job}")).await.json();
        assert_eq!(told["state"], "retry_wait", "its time has not come");
        let hurried = forge.post(&format!("/v1/jobs/{job}/retry"), "").await;
        assert_eq!(hurried.status, 202, "{}", hurried.text);
        forge.runner.run_until_idle().await.unwrap();
        assert!(!forge.exists(database));
        assert!(!set_aside(&forge, room, database).exists());
        let told = forge.get(&format!("/v1/jobs/{job}")).await.json();
        assert_eq!(told["state"], "succeeded");
        assert_eq!(sql(&forge, "shop").await.status, 200);
    }
}

#[tokio::test]
async fn a_crash_at_any_boundary_of_a_purge_that_fails_half_way_changes_nothing() {
    for crash_after in 1..8 {
        let forge = TestForge::new().await;
        let database = forge.ready("shop").await;
        let mut stays = Unremovable::below(&folder(&forge, "databases", database));
        let purge = forge.submit(Verb::Purge.on(database)).await;
        let job = purge.unwrap().job().unwrap();
        for _ in 0..crash_after {
            if forge.runner.move_once(job).await.unwrap() == Moved::Rests {
                break;
            }
            forge.kept.clock.advance(MINUTE * 10);
        }
        let forge = forge.restart();
        for _ in 0..8 {
            forge.runner.run_until_idle().await.unwrap();
            forge.kept.clock.advance(MINUTE * 10);
        }
        let told = forge.job(job).await;
        assert_eq!(told.state, JobState::RetryWait, "after {crash_after} moves");
        let error = told.attempts.last().unwrap().error.clone().unwrap();
        assert_eq!(error.code, JobErrorCode::FileNotRemoved);
        let state = forge.database(database).state();
        assert_eq!(state, DatabaseState::Purging, "after {crash_after} moves");
        stays.release(&set_aside(&forge, "databases", database));
        forge.settle().await;
        assert_eq!(forge.job(job).await.state, JobState::Succeeded);
        assert!(forge.folders("databases").is_empty());
    }
}

#[tokio::test]
async fn a_creation_that_cannot_be_taken_back_yet_is_taken_back_later() {
    let forge = TestForge::new().await;
    let (database, job) = forge.request("shop").await;
    while !folder(&forge, "databases", database).is_dir() {
        forge.runner.move_once(job).await.unwrap();
    }
    let mut stays = Unremovable::below(&folder(&forge, "databases", database));
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Refused, 1);
    for _ in 0..20 {
        forge.runner.run_until_idle().await.unwrap();
        forge.kept.clock.advance(MINUTE * 10);
    }
    let told = forge.job(job).await;
    assert_eq!(told.state, JobState::RetryWait, "not stuck");
    stays.release(&set_aside(&forge, "databases", database));
    forge.settle().await;
    assert_eq!(forge.job(job).await.state, JobState::Failed);
    assert!(!forge.exists(database));
    assert!(forge.folders("databases").is_empty());
}

#[tokio::test]
async fn a_move_that_had_nothing_to_move_has_nothing_to_undo() {
    for undelete in [false, true] {
        let forge = TestForge::new().await;
        let database = forge.ready("shop").await;
        if undelete {
            let deleted = forge.submit(Verb::Delete.on(database)).await;
            deleted.unwrap();
            forge.settle().await;
        }
        let room = if undelete { "trash" } else { "databases" };
        std::fs::remove_dir_all(folder(&forge, room, database)).unwrap();
        let command = if undelete {
            Verb::Undelete.on(database)
        } else {
            Verb::Delete.on(database)
        };
        let job = forge.submit(command).await.unwrap().job().unwrap();
        forge.settle().await;
        let told = forge.job(job).await;
        assert_eq!(told.state, JobState::Failed, "{:?}", told.error);
        assert_eq!(told.error.unwrap().code, JobErrorCode::DataMissing);
        let purge = forge.submit(Verb::Purge.on(database)).await;
        purge.unwrap();
        forge.settle().await;
        assert!(!forge.exists(database), "what is missing can be purged");
    }
}

#[tokio::test]
async fn the_retention_asks_ever_later_for_what_does_not_end_well() {
    let forge = TestForge::new().await;
    let database = forge.ready("shop").await;
    let deleted = forge.submit(Verb::Delete.on(database)).await;
    deleted.unwrap();
    forge.settle().await;
    forge.kept.clock.advance(MINUTE * 60 * 24 * 8);
    let mut retention = Retention::default();
    let engine = forge.kept.engine.clone();
    let mut asked = Vec::new();
    engine.fail_next(Action::EnsureRemoved, Fault::Refused, 9);
    for minute in 0..240 {
        let before = forge.control.current().head;
        retention.submit_due(&forge.control).await;
        forge.runner.run_until_idle().await.unwrap();
        if forge.control.current().head != before {
            asked.push(minute);
        }
        forge.kept.clock.advance(MINUTE);
    }
    assert_eq!(asked, [0, 1, 3, 7, 15, 31, 63, 123, 183]);
    forge.kept.clock.advance(MINUTE * 60);
    retention.submit_due(&forge.control).await;
    forge.settle().await;
    assert!(!forge.exists(database), "once it can be");
}
