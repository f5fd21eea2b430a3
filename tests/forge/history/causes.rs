//! Every event leads back to the request that began it.
use crate::support::http::{Answer, HttpForge, ROOT};
use serde_json::Value;

const REQUEST: &str = "00000000-0000-7000-8000-00000000abcd";

async fn events(forge: &HttpForge, query: &str) -> Vec<Value> {
    let answer = forge.get(&format!("/v1/events?limit=1000&{query}")).await;
    answer.json()["data"].as_array().unwrap().clone()
}

async fn event(forge: &HttpForge, sequence: &Value) -> Value {
    forge.get(&format!("/v1/events/{sequence}")).await.json()
}

async fn send(forge: &HttpForge, path: &str, body: &str) -> Answer {
    let ask = forge.ask("POST", path).token(ROOT);
    ask.header("x-request-id", REQUEST).body(body).await
}

#[tokio::test]
async fn a_step_of_a_job_leads_to_the_request_that_asked_for_the_job() {
    let forge = HttpForge::new().await;
    let job = send(&forge, "/v1/databases", r#"{"name":"shop"}"#).await;
    forge.settle().await;
    let job = job.json()["id"].as_str().unwrap().to_owned();
    let story = events(&forge, &format!("job={job}")).await;
    let enqueued = story.iter().find(|it| it["kind"] == "job_enqueued");
    let enqueued = &enqueued.unwrap()["sequence"];
    let steps: Vec<_> = (story.iter())
        .filter(|it| it["kind"] == "step_finished")
        .collect();
    assert!(!steps.is_empty());
    for step in steps {
        let shown = event(&forge, &step["sequence"]).await;
        let causes = shown["causes"].as_array().unwrap();
        assert_eq!(causes.len(), 1, "{shown}");
        assert_eq!(&causes[0]["sequence"], enqueued);
        assert_eq!(causes[0]["kind"], "job_enqueued");
        assert_eq!(causes[0]["request_id"], REQUEST);
        assert_eq!(causes[0]["actor"], "root");
        assert_eq!(causes[0]["causation"], Value::Null);
        // Apart from its causes it is the event as the list has it.
        let mut event = shown;
        event.as_object_mut().unwrap().remove("causes");
        assert_eq!(&event, step);
    }
    let begun = event(&forge, enqueued).await;
    assert_eq!(begun["causes"], Value::Array(vec![]));
    assert_eq!(begun["request_id"], REQUEST);
}

#[tokio::test]
async fn a_chain_goes_on_through_plans_and_undos_to_its_beginning() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let plan = r#"{"command":{"delete_database":{"database":"shop"}}}"#;
    let plan = send(&forge, "/v1/plans", plan).await.json();
    let path = format!("/v1/plans/{}/apply", plan["id"].as_str().unwrap());
    forge.post(&path, "").await;
    forge.settle().await;
    let trashed = events(&forge, "kind=database_trashed").await[0]["sequence"].clone();
    forge.post(&format!("/v1/events/{trashed}/undo"), "").await;
    forge.settle().await;
    let back = events(&forge, "kind=database_undeleted").await;
    let shown = event(&forge, &back[0]["sequence"]).await;
    let kinds = shown["causes"].as_array().unwrap().iter();
    let kinds: Vec<_> = kinds.map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.first(), Some(&"job_enqueued"), "{shown}");
    assert_eq!(kinds.last(), Some(&"plan_made"), "{shown}");
    let causes = shown["causes"].as_array().unwrap();
    for pair in causes.windows(2) {
        assert_eq!(pair[0]["causation"], pair[1]["sequence"]);
    }
    assert_eq!(causes.last().unwrap()["request_id"], REQUEST);
}

#[tokio::test]
async fn a_chain_that_is_too_long_is_cut_and_says_where_it_goes_on() {
    let forge = HttpForge::new().await;
    forge.ready("shop").await;
    let change = |ttl| format!(r#"{{"ttl":"{ttl}h"}}"#);
    let path = "/v1/databases/shop";
    forge.send("PATCH", path, &change(1)).await;
    for _ in 0..40 {
        let last = events(&forge, "kind=database_changed").await;
        let last = last.last().unwrap()["sequence"].clone();
        let undone = forge.post(&format!("/v1/events/{last}/undo"), "").await;
        assert!(undone.status.is_success(), "{}", undone.text);
    }
    let changed = events(&forge, "kind=database_changed").await;
    let shown = event(&forge, &changed.last().unwrap()["sequence"]).await;
    let causes = shown["causes"].as_array().unwrap();
    assert_eq!(causes.len(), 32);
    assert!(causes[31]["causation"].is_u64());
}
