//! An engine that dies in the middle of jobs and comes back: every job ends well, and every
//! database has one worker.
use crate::engine::away::{Proxy, socket};
use crate::support::gateway_forge::Forge;
use crate::support::private_engine::PrivateEngine;
use serde_json::json;

/// More than are started at once: when the engine dies some have not begun.
const CREATES: usize = 8;

/// Creates databases, and calls `die` and `come_back` while they are being created.
fn survives(forge: &Forge, mut die: impl FnMut(), mut come_back: impl FnMut()) {
    forge.create(&["before"]);
    let gateway = forge.gateway();
    let names: Vec<String> = (0..CREATES).map(|n| format!("shop-{n}")).collect();
    for name in &names {
        let (status, body) = gateway
            .post("/v1/databases", &json!({ "name": name }))
            .unwrap();
        assert_eq!(status, 202, "{body}");
    }
    let jobs_in = |state: &str| {
        let path = format!("/v1/jobs?kind=create_database&limit=100&state={state}");
        let (_, jobs) = gateway.get(&path).unwrap();
        jobs["data"].as_array().unwrap().len()
    };
    gateway.poll("a worker is being made", || {
        jobs_in("running") > 0 && !forge.containers().is_empty()
    });
    die();
    // However fast the others were, this one finds no engine.
    let (status, body) = gateway
        .post("/v1/databases", &json!({"name": "late"}))
        .unwrap();
    assert_eq!(status, 202, "{body}");
    // SQL needs no engine.
    let sql = json!({"sql": "SELECT 1 + 1 AS two"});
    let (status, answer) = gateway.post("/v1/databases/before/query", &sql).unwrap();
    assert_eq!(status, 200, "{answer}");
    gateway.poll("a job waits for the engine", || jobs_in("retry_wait") > 0);
    let (_, drift) = gateway.get("/v1/drift").unwrap();
    assert_eq!(drift["findings"], json!([]), "unknown is not missing");
    come_back();
    let creates = || {
        let (_, jobs) = gateway
            .get("/v1/jobs?kind=create_database&limit=100")
            .unwrap();
        jobs["data"].as_array().unwrap().clone()
    };
    gateway.poll("every create ends", || {
        creates().iter().all(|it| !it["finished_at"].is_null())
    });
    for job in creates() {
        assert_eq!(job["state"], "succeeded", "{job:#}");
    }
    let all = ["before", "late"]
        .into_iter()
        .chain(names.iter().map(String::as_str));
    for name in all {
        gateway.poll("its worker runs", || {
            let worker = forge.worker_of(name);
            worker.is_some_and(|it| it.state.unwrap().running == Some(true))
        });
    }
    assert_eq!(forge.containers().len(), CREATES + 2, "one worker each");
}

#[test]
fn an_engine_that_is_cut_off_in_the_middle_of_creates_is_waited_for() {
    let path = socket();
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let start = || tokio.block_on(async { Some(Proxy::at(&path, true)) });
    let proxy = std::cell::RefCell::new(start());
    let forge = Forge::on(Some(path.clone()));
    survives(
        &forge,
        || tokio.block_on(proxy.take().unwrap().cut()),
        || drop(proxy.replace(start())),
    );
    drop(forge);
    tokio.block_on(proxy.take().unwrap().cut());
}

#[test]
#[expect(clippy::print_stderr, reason = "a run says what it could not try")]
fn a_dockerd_that_is_killed_in_the_middle_of_creates_leaves_one_worker_each() {
    if !PrivateEngine::can_be_had() {
        eprintln!("only root starts a dockerd: only the cut connection was tried");
        return;
    }
    let tokio = tokio::runtime::Runtime::new().unwrap();
    let engine = std::cell::RefCell::new(tokio.block_on(PrivateEngine::start()));
    let socket = engine.borrow().socket();
    let forge = Forge::on(Some(socket));
    survives(
        &forge,
        || engine.borrow_mut().kill(),
        || tokio.block_on(engine.borrow_mut().start_again()),
    );
}
