//! Files that are uploaded: streamed, bounded, owned, removed.
use crate::http::serving::{Served, rest, send};
use crate::support::http::{HttpForge, ROOT};
use crate::support::test_forge::TestForge;
use dbforge::data::uploads::{UploadBounds, Uploads};
use dbforge::http::HttpConfig;
use dbforge::jobs::uploads::remove_ended;
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use tempfile::TempDir;

#[tokio::test]
async fn a_file_is_kept_as_it_was_sent_for_its_token_alone() {
    let forge = HttpForge::new().await;
    let own = forge.token("own", r#""write""#, r#""*""#).await;
    let other = forge.token("other", r#""write""#, r#""*""#).await;
    let reader = forge.token("reader", r#""read""#, r#""*""#).await;
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let send = |token: &str| forge.ask("POST", "/v1/uploads").token(token);
    let typed = send(&own).header("content-type", "application/vnd.sqlite3");
    let answer = typed.bytes(&bytes).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let upload = answer.json();
    assert_eq!(upload["bytes"], bytes.len());
    assert_eq!(upload["sha256"], hex::encode(Sha256::digest(&bytes)));
    assert_eq!(upload["content_type"], "application/vnd.sqlite3");
    assert_eq!(upload["actor"], "token/own");
    let path = answer.header("location").to_owned();
    let id = upload["id"].as_str().unwrap();
    let stored = forge.job_context.data.uploads().file(id.parse().unwrap());
    assert!(std::fs::read(stored).unwrap() == bytes);

    let count = async |token: &str| {
        let list = forge.ask("GET", "/v1/uploads").token(token).empty().await;
        list.json()["data"].as_array().unwrap().len()
    };
    assert_eq!(count(&own).await, 1);
    assert_eq!(count(&other).await, 0);
    assert_eq!(count(ROOT).await, 1, "an admin sees all");
    let get = async |token: &str| forge.ask("GET", &path).token(token).empty().await;
    assert_eq!(get(&own).await.json(), upload);
    get(&other).await.problem(404, "upload_not_found");
    send(&reader)
        .bytes(b"x")
        .await
        .problem(403, "insufficient_scope");
    let delete = async |token: &str| forge.ask("DELETE", &path).token(token).empty().await;
    delete(&other).await.problem(404, "upload_not_found");
    assert_eq!(delete(&own).await.status, 204);
    get(&own).await.problem(404, "upload_not_found");
    assert_eq!(forge.folders("uploads"), [""; 0], "nothing is left of it");
}

#[tokio::test]
async fn size_and_right_are_checked_before_a_file_is_sent() {
    let served = Served::with(HttpConfig::default()).await;
    for (token, length, status) in [(ROOT, 9_u64 << 30, "413"), ("dbf_nobody", 10, "401")] {
        let mut stream = served.connect().await;
        let head = format!(
            "POST /v1/uploads HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             expect: 100-continue\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        send(&mut stream, &head).await;
        let answer = rest(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_client_that_goes_away_or_stops_sending_leaves_nothing() {
    let folder = TempDir::new().unwrap();
    let bounds = UploadBounds {
        upload_bytes: 1000,
        uploads_stored: 2,
        ..UploadBounds::default()
    };
    let uploads = Uploads::open(folder.path(), None, bounds).unwrap();
    let id = |n: u64| dbforge::domain::ids::UploadId(crate::support::uuid(n));
    let mut first = uploads.receive(id(1), None, None).unwrap();
    first.write(vec![7; 600].into()).await.unwrap();
    assert!(first.write(vec![7; 600].into()).await.is_err(), "too large");
    let second = uploads.receive(id(2), None, Some(10)).unwrap();
    assert!(
        uploads.receive(id(3), None, Some(1001)).is_err(),
        "too large"
    );
    assert!(uploads.receive(id(3), None, None).is_err(), "too many");
    drop((first, second));
    let deadline = dbforge::clock::Deadline::after(Duration::from_secs(20));
    while std::fs::read_dir(folder.path().join("uploads"))
        .unwrap()
        .count()
        > 0
    {
        assert!(!deadline.has_passed(), "a file was left");
        tokio::task::yield_now().await;
    }
    assert!(
        uploads.receive(id(3), None, None).is_ok(),
        "there is room again"
    );
}

#[tokio::test]
async fn what_a_crash_left_is_removed_and_what_is_whole_is_kept() {
    let forge = HttpForge::new().await;
    let id = forge.post("/v1/uploads", "CREATE TABLE t(a);").await.json()["id"].clone();
    let folder = forge.kept.folder.path().join("uploads");
    let lost = folder.join(crate::support::uuid(77).to_string());
    std::fs::write(&lost, "without a description").unwrap();
    std::fs::write(folder.join(".receiving-x"), "half of it").unwrap();
    std::fs::write(folder.join("note.txt"), "a person's own").unwrap();
    let kept = forge.kept.clone();
    drop(forge);
    let forge = HttpForge::start(kept);
    let id = id.as_str().unwrap();
    let mut left = forge.folders("uploads");
    left.retain(|name| !name.starts_with(id));
    assert_eq!(left, ["note.txt"]);
    assert_eq!(forge.get(&format!("/v1/uploads/{id}")).await.status, 200);
}

#[tokio::test]
async fn an_upload_that_nothing_uses_is_removed_after_a_day() {
    let forge = HttpForge::new().await;
    forge.post("/v1/uploads", "CREATE TABLE t(a);").await;
    let TestForge {
        control,
        job_context,
        ..
    } = &forge.forge;
    let uploads = job_context.data.uploads();
    forge.kept.clock.advance(Duration::from_secs(86_399));
    remove_ended(control, &job_context.data).await;
    assert_eq!(uploads.all().len(), 1);
    forge.kept.clock.advance(Duration::from_secs(1));
    remove_ended(control, &job_context.data).await;
    assert_eq!(uploads.all().len(), 0);
}
