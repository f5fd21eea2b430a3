//! Schedules: what is due is carried out once, over clock changes, downtime and doubled ticks.
use crate::support::http::HttpForge;
use dbforge::clock::timestamp::Timestamp;
use dbforge::jobs::schedules::fire_due;
use serde_json::{Value, json};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn schedule(forge: &HttpForge, body: Value) -> Value {
    let answer = forge.post("/v1/schedules", &body.to_string()).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json()
}

/// Moves the clock to a moment, ringing every `step`.
async fn ring_until(forge: &HttpForge, moment: &str, step: Duration) {
    let end: Timestamp = moment.parse().unwrap();
    while forge.control.clock().now() < end {
        forge.kept.clock.advance(step);
        fire_due(&forge.control).await;
        forge.settle().await;
    }
}

/// The times that were carried out, as the log has them.
async fn fired(forge: &HttpForge) -> Vec<Value> {
    let events = forge
        .get("/v1/events?kind=schedule_fired&limit=1000")
        .await
        .json();
    let events = events["data"].as_array().unwrap();
    events.iter().map(|it| it["data"].clone()).collect()
}

async fn nominal_times(forge: &HttpForge) -> Vec<String> {
    let fired = fired(forge).await;
    fired
        .iter()
        .map(|it| it["nominal"].as_str().unwrap_or("by hand").to_owned())
        .collect()
}

async fn names(forge: &HttpForge) -> Vec<String> {
    let databases = forge.get("/v1/databases?limit=1000").await.json();
    let databases = databases["data"].as_array().unwrap();
    databases
        .iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect()
}

fn nightly(misfire: &str) -> Value {
    json!({
        "name": "nightly", "cron": "30 2 * * *", "timezone": "Europe/Berlin", "misfire": misfire,
        "command": {"create_database": {"name": "copy-{date}-{time}", "ttl": "30d"}}
    })
}

#[tokio::test]
async fn a_schedule_carries_out_each_of_its_times_once_over_a_change_of_the_clocks() {
    let forge = HttpForge::new().await;
    ring_until(&forge, "2026-03-27T12:00:00Z", HOUR * 24).await;
    let made = schedule(&forge, nightly("latest")).await;
    assert_eq!(made["next_at"], "2026-03-28T01:30:00.000Z");
    ring_until(&forge, "2026-03-30T12:00:00Z", HOUR / 2).await;
    // On the 29th the clocks in Berlin go from 2:00 to 3:00: half past two never is.
    assert_eq!(
        nominal_times(&forge).await,
        [
            "2026-03-28T01:30:00.000Z",
            "2026-03-29T01:00:00.000Z",
            "2026-03-30T00:30:00.000Z"
        ]
    );
    assert_eq!(
        names(&forge).await,
        [
            "copy-20260328-0230",
            "copy-20260329-0300",
            "copy-20260330-0230"
        ]
    );
    let shown = forge.get("/v1/schedules/nightly").await.json();
    assert_eq!(shown["last"]["due_at"], "2026-03-30T00:30:00.000Z");
    let job = shown["last"]["job"].as_str().unwrap();
    let job = forge.get(&format!("/v1/jobs/{job}")).await.json();
    assert_eq!(job["actor"], "schedule/nightly");
    assert_eq!(job["state"], "succeeded");
}

#[tokio::test]
async fn after_a_night_of_downtime_the_policy_says_what_is_made_up_for() {
    for (misfire, expected) in [("skip", 0), ("latest", 1), ("all", 3)] {
        let forge = HttpForge::new().await;
        schedule(&forge, nightly(misfire)).await;
        forge.kept.clock.advance(HOUR * 70);
        fire_due(&forge.control).await;
        forge.settle().await;
        let times = nominal_times(&forge).await;
        assert_eq!(times.len(), expected, "{misfire}: {times:?}");
        if misfire == "latest" {
            assert_eq!(times, ["2026-03-04T01:30:00.000Z"]);
        }
        // The next one comes in time whatever was missed.
        ring_until(&forge, "2026-03-05T01:31:00Z", MINUTE).await;
        let times = nominal_times(&forge).await;
        assert_eq!(times.last().unwrap(), "2026-03-05T01:30:00.000Z");
        assert_eq!(times.len(), expected + 1, "{misfire}: {times:?}");
    }
}

#[tokio::test]
async fn doubled_ticks_a_clock_set_back_and_a_restart_carry_nothing_out_twice() {
    let forge = HttpForge::new().await;
    schedule(&forge, nightly("all")).await;
    ring_until(&forge, "2026-03-02T01:30:00Z", HOUR / 2).await;
    fire_due(&forge.control).await;
    tokio::join!(fire_due(&forge.control), fire_due(&forge.control));
    let kept = forge.kept.clone();
    forge.control.stop();
    drop(forge);
    kept.clock.set("2026-03-01T20:00:00Z".parse().unwrap());
    let forge = HttpForge::start(kept);
    ring_until(&forge, "2026-03-02T02:00:00Z", HOUR / 2).await;
    assert_eq!(nominal_times(&forge).await, ["2026-03-02T01:30:00.000Z"]);
    assert_eq!(names(&forge).await, ["copy-20260302-0230"]);
}

#[tokio::test]
async fn a_time_that_comes_while_the_last_job_runs_is_left_out_or_queued() {
    for (overlap, jobs) in [("skip", 1), ("queue", 3)] {
        let forge = HttpForge::new().await;
        forge.ready("shop").await;
        schedule(
            &forge,
            json!({
                "name": "often", "cron": "* * * * *", "overlap": overlap,
                "command": {"restart_database": {"database": "shop"}}
            }),
        )
        .await;
        for _ in 0..3 {
            forge.kept.clock.advance(MINUTE);
            fire_due(&forge.control).await;
        }
        let queued = forge.get("/v1/jobs?kind=restart_worker").await.json();
        assert_eq!(queued["data"].as_array().unwrap().len(), jobs, "{overlap}");
        let fired = fired(&forge).await;
        assert_eq!(fired.len(), 3, "what was left out is told, too");
        if overlap == "skip" {
            let refusal = fired[2]["refusal"].as_str().unwrap();
            assert!(refusal.contains("has not ended"), "{refusal}");
        }
        forge.settle().await;
    }
}

#[tokio::test]
async fn what_the_rules_refuse_is_told_and_the_schedule_goes_on() {
    let forge = HttpForge::new().await;
    let body = json!({"name": "tidy", "cron": "@hourly", "command": {"delete_database": {"database": "scratch"}}});
    schedule(&forge, body).await;
    ring_until(&forge, "2026-03-01T13:00:00Z", HOUR).await;
    forge.ready("scratch").await;
    ring_until(&forge, "2026-03-01T14:00:00Z", HOUR).await;
    let fired = fired(&forge).await;
    assert_eq!(fired[0]["refusal"], "there is no database `scratch`");
    assert_eq!(fired[1]["refusal"], Value::Null);
    let scratch = forge.get("/v1/databases/scratch").await.json();
    assert_eq!(scratch["state"], "trashed");
}

#[tokio::test]
async fn a_schedule_has_the_rights_of_the_token_that_made_it_as_long_as_it_is_accepted() {
    let forge = HttpForge::new().await;
    let secret = forge.token("ci", "\"manage\"", "\"pr-*\"").await;
    let make = async |body: Value| {
        let asked = forge.ask("POST", "/v1/schedules").token(&secret);
        asked.body(&body.to_string()).await
    };
    let of = |command: Value| json!({"name": "s", "cron": "@hourly", "command": command});
    let foreign = make(of(json!({"delete_database": {"database": "shop"}}))).await;
    foreign.problem(403, "insufficient_scope");
    let purge = make(of(json!({"purge_database": {"database": "pr-1"}}))).await;
    purge.problem(403, "insufficient_scope");
    let own = make(of(json!({"create_database": {"name": "pr-{time}"}}))).await;
    assert_eq!(own.status.as_u16(), 201, "{}", own.text);
    ring_until(&forge, "2026-03-01T13:00:00Z", HOUR).await;
    assert_eq!(names(&forge).await, ["pr-1300"]);

    let other = forge.token("other", "\"manage\"", "\"x-*\"").await;
    let unseen = forge.ask("GET", "/v1/schedules/s").token(&other);
    unseen.empty().await.problem(404, "schedule_not_found");

    let tokens = forge.get("/v1/tokens").await.json();
    let id = tokens["data"][0]["id"].as_str().unwrap();
    forge.send("DELETE", &format!("/v1/tokens/{id}"), "").await;
    ring_until(&forge, "2026-03-01T14:00:00Z", HOUR).await;
    assert_eq!(names(&forge).await, ["pr-1300"]);
    let refusal = fired(&forge).await[1]["refusal"].clone();
    assert!(refusal.as_str().unwrap().contains("revoked"), "{refusal}");
    // Whoever changes it gives it their own rights.
    let resumed = forge
        .send("PATCH", "/v1/schedules/s", r#"{"timezone":"UTC"}"#)
        .await;
    assert_eq!(resumed.status.as_u16(), 200, "{}", resumed.text);
    ring_until(&forge, "2026-03-01T15:00:00Z", HOUR).await;
    assert_eq!(names(&forge).await, ["pr-1300", "pr-1500"]);
}

#[tokio::test]
async fn a_paused_schedule_rests_and_is_run_by_hand() {
    let forge = HttpForge::new().await;
    let made = schedule(&forge, nightly("all")).await;
    let path = format!("/v1/schedules/{}", made["id"].as_str().unwrap());
    let paused = forge.send("PATCH", &path, r#"{"enabled":false}"#).await;
    assert_eq!(paused.json()["next_at"], Value::Null);
    ring_until(&forge, "2026-03-03T12:00:00Z", HOUR * 12).await;
    assert_eq!(nominal_times(&forge).await.len(), 0);
    let by_hand = forge.post(&format!("{path}/run"), "").await;
    assert_eq!(by_hand.status.as_u16(), 202, "{}", by_hand.text);
    let again = forge.post(&format!("{path}/run"), "").await;
    again.problem(409, "wrong_state");
    forge.settle().await;
    forge.send("PATCH", &path, r#"{"enabled":true}"#).await;
    ring_until(&forge, "2026-03-04T12:00:00Z", HOUR / 2).await;
    let times = nominal_times(&forge).await;
    assert_eq!(times, ["by hand", "by hand", "2026-03-04T01:30:00.000Z"]);
    let gone = forge.send("DELETE", &path, "").await;
    assert_eq!(gone.status.as_u16(), 204);
    forge.get(&path).await.problem(404, "schedule_not_found");
}

#[tokio::test]
async fn a_schedule_whose_command_needs_no_job_is_run_by_hand() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let change = json!({"database": "shop", "change": {"labels": {"seen": "yes"}}});
    let body = json!({"name": "mark", "cron": "@daily", "command": {"change_database": change}});
    let made = forge.post("/v1/schedules", &body.to_string()).await;
    assert_eq!(made.status.as_u16(), 201, "{}", made.text);
    let ran = forge.post("/v1/schedules/mark/run", "").await;
    assert_eq!(ran.status.as_u16(), 200, "{}", ran.text);
    let last = &ran.json()["last"];
    assert_eq!(
        (&last["job"], &last["refusal"]),
        (&Value::Null, &Value::Null)
    );
    let shop = forge.get("/v1/databases/shop").await.json();
    assert_eq!(shop["labels"]["seen"], "yes");
}

#[tokio::test]
async fn what_is_no_schedule_is_refused_with_what_to_do() {
    let forge = HttpForge::new().await;
    let ok =
        json!({"name": "s", "cron": "@daily", "command": {"stop_database": {"database": "a"}}});
    let with = |field: &str, value: Value| {
        let mut body = ok.clone();
        body[field] = value;
        body.to_string()
    };
    for (field, value) in [
        ("name", json!("")),
        ("name", json!("a b")),
        ("cron", json!("* * * *")),
        ("cron", json!("0 0 30 2 *")),
        ("timezone", json!("Mars/Olympus")),
        ("misfire", json!("never")),
        ("command", json!({})),
        ("command", json!({"drop_everything": {}})),
        ("command", json!({"stop_database": {"database": "../x"}})),
        ("command", json!({"create_database": {"ttl": "1h"}})),
        ("command", json!({"create_database": {"name": "x-{hour}"}})),
        ("surprise", json!(1)),
    ] {
        let answer = forge
            .post("/v1/schedules", &with(field, value.clone()))
            .await;
        answer.problem(400, "invalid_request");
    }
    schedule(&forge, ok.clone()).await;
    let twice = forge.post("/v1/schedules", &with("name", json!("S"))).await;
    twice.problem(409, "schedule_exists");
    let list = forge.get("/v1/schedules?limit=1").await.json();
    assert_eq!(list["data"][0]["command"], ok["command"]);
    assert_eq!(list["next_cursor"], Value::Null);
}
