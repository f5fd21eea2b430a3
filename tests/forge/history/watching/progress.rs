//! A stream of a job tells how far it is, between its events.
use crate::support::http::{HttpForge, ROOT};
use axum::body::Body;
use axum::http::Request;
use dbforge::http::Dispatcher;
use http_body_util::BodyExt;
use std::time::Duration;

#[tokio::test]
async fn a_step_that_waits_says_how_far_it_is_and_no_event_is_lost_by_it() {
    let forge = HttpForge::new().await;
    forge.kept.engine.hold_starts();
    let (_, job) = forge.request("shop").await;
    let request = Request::get(format!("/v1/jobs/{job}/events"));
    let request = request.header("authorization", format!("Bearer {ROOT}"));
    let request = request.body(Body::empty()).unwrap();
    let answer = Dispatcher::new(&forge.gateway).answer(request).await;
    let mut body = answer.into_body();
    let watch = async {
        let mut text = String::new();
        while let Some(frame) = body.frame().await {
            let bytes = frame.unwrap().into_data().unwrap();
            text += std::str::from_utf8(&bytes).unwrap();
            if text.contains("event: progress\n") {
                forge.kept.engine.release_starts();
            }
        }
        text
    };
    let both = async { tokio::join!(watch, forge.settle()) };
    let both = tokio::time::timeout(Duration::from_secs(20), both).await;
    let (text, ()) = both.expect("it is told, then the job ends");
    let blocks: Vec<&str> = text.trim_end().split("\n\n").skip(1).collect();
    let (told, events): (Vec<&str>, Vec<&str>) = blocks
        .into_iter()
        .partition(|it| it.starts_with("event: progress"));
    let expected = "event: progress\ndata: {\"phase\":\"await_healthy\",\"done\":0,\"total\":30,\"unit\":\"seconds\"}";
    assert_eq!(told[0], expected);
    assert!(events.iter().all(|it| it.starts_with("id: ")), "{text}");
    assert!(
        events.last().unwrap().contains("event: job_succeeded"),
        "{text}"
    );
    let listed = forge
        .get(&format!("/v1/events?job={job}&limit=1000"))
        .await
        .json();
    assert_eq!(listed["data"].as_array().unwrap().len(), events.len());
}
