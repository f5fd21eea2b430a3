//! Commands that begin a job wait for it, for as long as they are told.
use crate::support::cli::{Dbforge, Ended};
use crate::support::http::{HttpForge, ROOT};
use dbforge::clock::Stopwatch;
use dbforge::http::serve;
use dbforge::runtime::simulated::{Action, Fault};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Long enough for a child process on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A forge whose jobs are done when the test says so.
async fn serve_a_forge() -> (HttpForge, SocketAddr) {
    let forge = HttpForge::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = forge.gateway.clone();
    tokio::spawn(serve(listener, gateway, CancellationToken::new()).unwrap());
    (forge, address)
}

fn at(address: SocketAddr, args: &'static [&'static str]) -> tokio::task::JoinHandle<Ended> {
    let command = Dbforge::with(args)
        .setting("DBFORGE_URL", &format!("http://{address}"))
        .setting("DBFORGE_TOKEN", ROOT);
    tokio::task::spawn_blocking(move || command.run())
}

async fn a_job_is_in_the_queue(forge: &HttpForge) {
    let mut changes = forge.control.changes();
    let arrived = changes.wait_for(|it| it.state.jobs().next().is_some());
    tokio::time::timeout(PATIENCE, arrived)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_when_its_job_does() {
    let (forge, address) = serve_a_forge().await;
    let command = at(address, &["create", "shop"]);
    a_job_is_in_the_queue(&forge).await;
    forge.settle().await;
    let table = command.await.unwrap().well();
    assert!(
        table.contains("shop") && table.contains("succeeded"),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_is_shown_and_ends_the_command_with_its_trouble() {
    let (forge, address) = serve_a_forge().await;
    let engine = &forge.kept.engine;
    engine.fail_next(Action::EnsureRunning, Fault::Refused, 1);
    let command = at(address, &["create", "shop"]);
    a_job_is_in_the_queue(&forge).await;
    forge.settle().await;
    let ended = command.await.unwrap();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.out.contains("failed"), "{ended:?}");
    assert!(ended.err.contains("runtime_refused"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cancelled_meanwhile_is_no_success() {
    let (forge, address) = serve_a_forge().await;
    let command = at(address, &["create", "shop"]);
    a_job_is_in_the_queue(&forge).await;
    let job = forge.control.current().state.jobs().next().unwrap().id;
    forge.post(&format!("/v1/jobs/{job}/cancel"), "").await;
    forge.settle().await;
    let ended = command.await.unwrap();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err.contains("was cancelled"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_no_longer_than_it_is_told() {
    let (_forge, address) = serve_a_forge().await;
    let begun = Stopwatch::start();
    let ended = at(address, &["create", "shop", "--wait", "1s"]).await;
    let said = ended.unwrap().badly(3);
    assert!(begun.elapsed() < PATIENCE / 2);
    assert!(
        said.contains("is still running") && said.contains("hint: follow it with `dbforge jobs"),
        "{said}"
    );
}
