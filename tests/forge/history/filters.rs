//! Every filter of the lists of events and jobs, page by page, while things go on happening.
use crate::support::http::HttpForge;
use serde_json::Value;
use std::time::Duration;

/// A forge with a history of several actors, databases and times.
async fn eventful() -> HttpForge {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let token = forge.token("ci", "\"manage\"", "\"*\"").await;
    forge.kept.clock.advance(Duration::from_secs(1));
    let create = forge.ask("POST", "/v1/databases").token(&token);
    create.body(r#"{"name":"blog"}"#).await;
    forge.settle().await;
    forge.kept.clock.advance(Duration::from_secs(1));
    for path in ["/v1/databases/shop/restart", "/v1/databases/blog/stop"] {
        forge.post(path, "").await;
    }
    forge.settle().await;
    forge.kept.clock.advance(Duration::from_secs(1));
    forge.post("/v1/databases/shop/restart", "").await;
    forge
}

/// The whole list, and what comes between two pages does not get in.
async fn pages(forge: &HttpForge, list: &str, query: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/{list}?{query}&limit=3{cursor}");
        let page = forge.get(&path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
        let page = page.json();
        found.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
        forge.post("/v1/databases/blog/start", "").await;
        forge.post("/v1/databases/blog/stop", "").await;
    }
}

async fn check(forge: &HttpForge, list: &str, query: &str, is_wanted: impl Fn(&Value) -> bool) {
    let whole = forge.get(&format!("/v1/{list}?limit=1000")).await.json();
    let whole = whole["data"].as_array().unwrap().iter();
    let mut expected: Vec<Value> = whole.filter(|it| is_wanted(it)).cloned().collect();
    assert!(!expected.is_empty(), "{query} has nothing to find");
    assert_eq!(pages(forge, list, query).await, expected, "{list}?{query}");
    expected.reverse();
    let newest = format!("{query}&order=desc&limit=1000");
    let newest = forge.get(&format!("/v1/{list}?{newest}")).await.json();
    let is_old = |it: &&Value| expected.contains(it);
    let newest = newest["data"].as_array().unwrap().iter().filter(is_old);
    assert!(newest.eq(&expected), "{list}?{query} in reverse");
}

#[tokio::test]
async fn events_are_found_by_every_filter() {
    let forge = eventful().await;
    let shop = forge.get("/v1/databases/shop").await.json()["id"].clone();
    let jobs = forge.get("/v1/jobs").await.json()["data"].clone();
    let (job, id) = (&jobs[1]["id"], shop.as_str().unwrap());
    let middle = forge.get("/v1/events?kind=job_enqueued&limit=1000").await;
    let middle = middle.json()["data"][1]["time"].clone();
    let at = middle.as_str().unwrap();
    let is_job = |it: &Value| &it["job"] == job;
    let since = |it: &Value| it["time"].as_str() >= Some(at);
    let of_shop = |it: &Value| it["database"] == shop;
    check(&forge, "events", "after=7", |it| {
        it["sequence"].as_u64() > Some(7)
    })
    .await;
    check(&forge, "events", "database=shop", of_shop).await;
    check(&forge, "events", &format!("database={id}"), of_shop).await;
    check(&forge, "events", "kind=step_finished", |it| {
        it["kind"] == "step_finished"
    })
    .await;
    check(&forge, "events", "actor=token/ci", |it| {
        it["actor"] == "token/ci"
    })
    .await;
    check(
        &forge,
        "events",
        &format!("job={}", job.as_str().unwrap()),
        is_job,
    )
    .await;
    check(&forge, "events", &format!("since={at}"), since).await;
    check(&forge, "events", &format!("until={at}"), |it| !since(it)).await;
    let query = format!("database=shop&actor=runner&kind=step_finished&since={at}&after=9");
    check(&forge, "events", &query, |it| {
        of_shop(it) && it["actor"] == "runner" && it["kind"] == "step_finished" && since(it)
    })
    .await;
}

#[tokio::test]
async fn jobs_are_found_by_every_filter() {
    let forge = eventful().await;
    let first = forge.get("/v1/jobs?limit=1").await.json()["data"][0].clone();
    let at = first["created_at"].as_str().unwrap();
    let is = |it: &Value, field: &str, words: &[&str]| words.iter().any(|word| it[field] == *word);
    check(&forge, "jobs", "database=shop", |it| {
        it["database"] == "shop"
    })
    .await;
    check(&forge, "jobs", "actor=token/ci", |it| {
        it["actor"] == "token/ci"
    })
    .await;
    check(&forge, "jobs", "kind=restart_worker", |it| {
        it["kind"] == "restart_worker"
    })
    .await;
    check(
        &forge,
        "jobs",
        "kind=restart_worker,create_database",
        |it| is(it, "kind", &["restart_worker", "create_database"]),
    )
    .await;
    check(&forge, "jobs", "state=succeeded", |it| {
        it["state"] == "succeeded"
    })
    .await;
    check(&forge, "jobs", "state=succeeded,queued", |it| {
        is(it, "state", &["succeeded", "queued"])
    })
    .await;
    check(&forge, "jobs", &format!("created_after={at}"), |it| {
        it["created_at"].as_str() > Some(at)
    })
    .await;
    check(
        &forge,
        "jobs",
        "database=shop&state=queued&kind=restart_worker&actor=root",
        |it| it["database"] == "shop" && it["state"] == "queued",
    )
    .await;
}
