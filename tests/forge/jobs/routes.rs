//! Jobs through HTTP: listed, followed, cancelled, released.
use crate::support::http::{Answer, HttpForge};
use dbforge::runtime::simulated::{Action, Fault};

fn field(answer: &Answer, name: &str) -> Vec<String> {
    let rows = answer.json()["data"].as_array().unwrap().clone();
    rows.iter()
        .map(|it| it[name].as_str().unwrap().to_owned())
        .collect()
}

fn id(answer: &Answer) -> String {
    answer.json()["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{}", answer.text))
        .to_owned()
}

#[tokio::test]
async fn jobs_queue_behind_each_other_and_say_their_place() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let mut places = Vec::new();
    for action in ["restart", "stop", "start"] {
        let answer = forge
            .post(&format!("/v1/databases/shop/{action}"), "")
            .await;
        assert_eq!(
            answer.status.as_u16(),
            202,
            "never refused: {}",
            answer.text
        );
        places.push(answer.json()["queue_position"].as_u64().unwrap());
    }
    assert_eq!(places, [0, 1, 2]);
    forge.settle().await;
    let jobs = forge.get("/v1/jobs?order=desc&limit=3").await;
    assert_eq!(
        field(&jobs, "kind"),
        ["start_database", "stop_database", "restart_worker"]
    );
    assert_eq!(field(&jobs, "state"), ["succeeded"; 3]);
    assert_eq!(jobs.json()["data"][0].get("queue_position"), None);
}

#[tokio::test]
async fn jobs_are_listed_by_what_they_are() {
    let forge = HttpForge::new().await;
    let token = forge.token("ci", "\"manage\"", "\"*\"").await;
    forge.ready("a").await;
    let by_ci = forge.ask("POST", "/v1/databases").token(&token);
    by_ci.body(r#"{"name":"b"}"#).await;
    forge.settle().await;
    forge.post("/v1/databases/a/stop", "").await;
    let list = async |query: &str| forge.get(&format!("/v1/jobs?{query}")).await;
    assert_eq!(field(&list("").await, "database"), ["a", "b", "a"]);
    assert_eq!(
        field(&list("database=A").await, "kind"),
        ["create_database", "stop_database"]
    );
    assert_eq!(field(&list("actor=token/ci").await, "database"), ["b"]);
    assert_eq!(
        field(&list("state=queued,running").await, "kind"),
        ["stop_database"]
    );
    assert_eq!(
        field(&list("kind=create_database").await, "database"),
        ["a", "b"]
    );
    assert_eq!(
        field(&list("created_after=2026-03-01T12:00:00Z").await, "id").len(),
        0
    );
    assert_eq!(
        field(&list("created_after=2026-03-01T11:59:59Z").await, "id").len(),
        3
    );
    list("database=none")
        .await
        .problem(404, "database_not_found");
    let gone = "database=00000000-0000-7000-8000-00000000ffff";
    assert_eq!(field(&list(gone).await, "id").len(), 0);
}

#[tokio::test]
async fn a_look_that_waits_is_answered_when_the_job_ends() {
    let forge = HttpForge::new().await;
    let created = forge.post("/v1/databases", "{}").await;
    let path = format!("/v1/jobs/{}?wait=30s", id(&created));
    let (answer, ()) = tokio::join!(forge.get(&path), forge.settle());
    assert_eq!(answer.json()["state"], "succeeded");
    let sequence = answer.json()["sequence"].clone();
    assert_eq!(answer.header("etag"), format!("\"e{sequence}\""));
    let short = forge.post("/v1/databases", "{}").await;
    let path = format!("/v1/jobs/{}?wait=20ms", id(&short));
    assert_eq!(forge.get(&path).await.json()["state"], "queued");
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_at_once_and_its_database_is_as_before() {
    let forge = HttpForge::new().await;
    let created = forge.post("/v1/databases", r#"{"name":"shop"}"#).await;
    let path = format!("/v1/jobs/{}/cancel", id(&created));
    let cancelled = forge.post(&path, "").await;
    assert_eq!(cancelled.status.as_u16(), 200);
    assert_eq!(cancelled.json()["state"], "cancelled");
    forge
        .get("/v1/databases/shop")
        .await
        .problem(404, "database_not_found");
    let again = forge.post(&path, "").await;
    let said = again.problem(409, "wrong_state");
    assert!(said.contains("already cancelled"), "{said}");
}

#[tokio::test]
async fn a_failed_job_shows_every_attempt_and_its_problem() {
    let forge = HttpForge::new().await;
    forge
        .kept
        .engine
        .fail_next(Action::EnsureRunning, Fault::Failed, 1);
    forge
        .kept
        .engine
        .fail_next(Action::EnsureRunning, Fault::Refused, 1);
    let created = forge.post("/v1/databases", r#"{"name":"shop"}"#).await;
    forge.settle().await;
    let job = forge
        .get(&format!("/v1/jobs/{}", id(&created)))
        .await
        .json();
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(job["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(job["attempts"][1]["error"]["code"], "runtime_refused");
    assert_eq!(job["problem"]["code"], "runtime_refused");
    assert_eq!(job["problem"]["status"], 503);
    assert_eq!(job["problem"].get("request_id"), None);
    let retry = forge
        .post(&format!("/v1/jobs/{}/retry", id(&created)), "")
        .await;
    let said = retry.problem(409, "wrong_state");
    assert!(said.contains("send the command"), "{said}");
}

#[tokio::test]
async fn a_stuck_job_waits_for_a_person_and_goes_on_when_told() {
    let forge = HttpForge::new().await;
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Refused, 1);
    engine.fail_next(Action::EnsureRemoved, Fault::Refused, 1);
    let created = forge.post("/v1/databases", r#"{"name":"shop"}"#).await;
    forge.settle().await;
    let path = format!("/v1/jobs/{}", id(&created));
    let stuck = forge.get(&path).await.json();
    assert_eq!(stuck["state"], "stuck", "{stuck}");
    assert_eq!(stuck["problem"]["code"], "runtime_refused");
    assert_eq!(
        forge.get("/v1/databases/shop").await.json()["state"],
        "failed"
    );
    let refused = forge.send("DELETE", "/v1/databases/shop", "").await;
    let said = refused.problem(409, "database_stuck");
    assert!(said.contains("/retry"), "{said}");

    let released = forge.post(&format!("{path}/retry"), "{}").await;
    assert_eq!(released.status.as_u16(), 202, "{}", released.text);
    forge.settle().await;
    assert_eq!(
        forge.get(&path).await.json()["state"],
        "failed",
        "undone now"
    );
    forge
        .get("/v1/databases/shop")
        .await
        .problem(404, "database_not_found");
}

#[tokio::test]
async fn what_is_no_job_is_not_found() {
    let forge = HttpForge::new().await;
    for id in ["1", "x", "00000000-0000-7000-8000-00000000ffff"] {
        let path = format!("/v1/jobs/{id}");
        forge.get(&path).await.problem(404, "job_not_found");
        for action in ["cancel", "retry"] {
            let path = format!("{path}/{action}");
            forge.post(&path, "").await.problem(404, "job_not_found");
        }
    }
}

#[tokio::test]
async fn a_running_job_says_how_far_it_is() {
    let forge = HttpForge::new().await;
    forge.kept.engine.hold_starts();
    let created = forge.post("/v1/databases", "{}").await;
    let path = format!("/v1/jobs/{}", id(&created));
    let watch = async {
        loop {
            let job = forge.get(&path).await.json();
            if job["progress"]["unit"] == "seconds" {
                forge.kept.engine.release_starts();
                return job;
            }
            tokio::task::yield_now().await;
        }
    };
    let both = async { tokio::join!(watch, forge.settle()) };
    let both = tokio::time::timeout(std::time::Duration::from_secs(20), both).await;
    let (job, ()) = both.expect("the worker is waited for, then the job ends");
    assert_eq!(job["step"]["name"], "await_healthy");
    assert_eq!(
        (&job["step"]["number"], &job["step"]["total"]),
        (&4.into(), &5.into())
    );
    let progress = &job["progress"];
    assert_eq!(progress["phase"], "await_healthy");
    assert_eq!(progress["total"], 30, "of the longest wait");
    assert!(progress["done"].as_u64().unwrap() <= 30, "{progress}");
    let ended = forge.get(&path).await.json();
    assert_eq!(ended.get("progress"), None, "{ended}");
}

#[tokio::test]
async fn a_job_that_ends_at_this_moment_is_never_said_not_to_exist() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    for round in 0..40 {
        let asked = forge.post("/v1/databases/shop/restart", "").await.json();
        let job = asked["id"].as_str().unwrap().to_owned();
        let verb = if round % 2 == 0 { "cancel" } else { "retry" };
        let path = format!("/v1/jobs/{job}/{verb}");
        let asks = (0..6).map(|_| forge.post(&path, ""));
        let asks = futures_util::future::join_all(asks);
        let (moved, answers) = tokio::join!(forge.runner.run_until_idle(), asks);
        moved.unwrap();
        for answer in answers {
            let is_known = [200, 202, 409].contains(&answer.status.as_u16());
            assert!(is_known, "{}", answer.text);
        }
        forge.settle().await;
        let later = forge.post(&path, "").await;
        let said = later.problem(409, "wrong_state");
        assert!(said.contains("already"), "{said}");
    }
}
