//! How long databases wait for their workers.
use crate::support::DockerForge;
use crate::support::runtime_contract::{TestForge, until_healthy};
use dbforge::clock::Stopwatch;
use dbforge::runtime::WorkerSpec;
use futures_util::future::join_all;
use std::time::Duration;

/// Ten a second is what the engine manages on two idle cores; this machine may be busy.
const TWENTY: Duration = Duration::from_secs(20);

#[tokio::test]
async fn twenty_workers_asked_for_at_once_are_healthy_within_seconds() {
    let forge = DockerForge::new().await;
    let specs: Vec<_> = (0..20).map(|n| forge.spec(&format!("shop-{n}"))).collect();
    let watch = Stopwatch::start();
    let mut times = join_all(specs.iter().map(|it| time_to_healthy(&forge, it))).await;
    let all = watch.elapsed();
    times.sort();
    let (first, median, last) = (times[0], times[10], times[19]);
    show(&format!(
        "twenty workers: the first healthy after {first:?}, the median {median:?}, the last {last:?}"
    ));
    assert!(all < TWENTY, "{all:?}");
}

#[expect(clippy::print_stdout, reason = "a figure to be read, with --nocapture")]
fn show(figures: &str) {
    println!("{figures}");
}

async fn time_to_healthy(forge: &DockerForge, spec: &WorkerSpec) -> Duration {
    let watch = Stopwatch::start();
    forge.runtime().ensure_running(spec).await.unwrap();
    until_healthy(forge, spec.database).await;
    watch.elapsed()
}
