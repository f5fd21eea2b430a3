//! An engine that does not answer is `Unavailable`, and nothing is ever called missing because of
//! it.
use crate::support::runtime_contract::{TestForge, ids, until_healthy};
use crate::support::{DockerForge, worker_image};
use dbforge::clock::{IdSource, RandomIds};
use dbforge::runtime::RuntimeError;
use dbforge::runtime::docker::{DockerAvailability, DockerEngine};
use futures_util::{FutureExt, StreamExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

const ENGINE: &str = "/var/run/docker.sock";

/// A path for a socket: short, since a socket's path has at most 107 bytes.
pub(crate) fn socket() -> PathBuf {
    let name = RandomIds.fresh().simple().to_string();
    std::env::temp_dir().join(format!("forge-{name}.sock"))
}

/// Between the runtime and the engine, to be cut.
pub(crate) struct Proxy {
    socket: PathBuf,
    carrying: JoinHandle<()>,
}

impl Proxy {
    /// Carries every connection to the engine, or, where it does not, keeps it and says nothing.
    pub(crate) fn at(socket: &Path, carry: bool) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let carrying = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    if !carry {
                        std::future::pending::<()>().await;
                    }
                    let mut far = UnixStream::connect(ENGINE).await.unwrap();
                    // A cut connection is what these tests are about.
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self {
            socket: socket.to_owned(),
            carrying,
        }
    }

    /// Cuts every connection; the socket is gone.
    pub(crate) async fn cut(self) {
        self.carrying.abort();
        assert!(self.carrying.await.unwrap_err().is_cancelled());
        std::fs::remove_file(&self.socket).unwrap();
    }
}

/// What every call says to an engine that is away.
async fn assert_away(forge: &DockerForge) {
    let spec = forge.spec("shop");
    let runtime = forge.runtime();
    let errors = [
        runtime.ping().await.unwrap_err(),
        runtime.list().await.unwrap_err(),
        runtime.inspect(spec.database).await.unwrap_err(),
        runtime.ensure_running(&spec).await.unwrap_err(),
        runtime.ensure_removed(spec.database).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error}");
        assert!(error.is_transient());
    }
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_unavailable() {
    let forge = DockerForge::through(DockerEngine::at(socket())).await;
    assert_away(&forge).await;
}

#[tokio::test]
async fn an_engine_that_says_nothing_is_unavailable_after_a_while() {
    let path = socket();
    let proxy = Proxy::at(&path, false);
    let forge = DockerForge::through(DockerEngine::at(path)).await;
    let (ping, list) = tokio::join!(forge.runtime().ping(), forge.runtime().list());
    for error in [ping.unwrap_err(), list.unwrap_err()] {
        assert!(matches!(error, RuntimeError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("no answer in 10 s"), "{error}");
    }
    proxy.cut().await;
}

#[tokio::test]
async fn an_engine_that_comes_late_is_found() {
    let path = socket();
    let forge = DockerForge::through(DockerEngine::at(path.clone())).await;
    forge.runtime().ping().await.unwrap_err();
    let proxy = Proxy::at(&path, true);
    forge.runtime().ping().await.unwrap();
    proxy.cut().await;
}

#[tokio::test]
async fn an_engine_that_was_cut_off_is_unavailable_and_its_workers_are_there_afterwards() {
    let path = socket();
    let proxy = Proxy::at(&path, true);
    let forge = DockerForge::through(DockerEngine::at(path.clone())).await;
    let spec = forge.spec("shop");
    let id = forge.runtime().ensure_running(&spec).await.unwrap();
    let mut changes = forge.runtime().changes();
    changes.next().await.expect("the engine was found");

    proxy.cut().await;
    assert_away(&forge).await;
    // What was told before the cut does not count.
    while changes.next().now_or_never().is_some() {}

    let proxy = Proxy::at(&path, true);
    let tick = tokio::time::timeout(Duration::from_secs(30), changes.next()).await;
    tick.expect("a tick when the engine is found again")
        .unwrap();
    assert_eq!(ids(&forge).await, [id]);
    until_healthy(&forge, spec.database).await;
    proxy.cut().await;
}

#[tokio::test]
async fn docker_is_available_when_the_engine_answers_and_has_the_image() {
    let image = worker_image();
    let available = DockerEngine::local().availability(&image).await;
    assert_eq!(available, DockerAvailability::Available { image });

    let absent = DockerEngine::local().availability("no-such-image:1").await;
    assert_eq!(
        absent.to_string(),
        "the Docker engine answers, but has no image `no-such-image:1` (`make images` builds it)"
    );
    let path = socket();
    let away = DockerEngine::at(path.clone()).availability("any").await;
    let told = away.to_string();
    assert!(
        matches!(away, DockerAvailability::NoEngine { .. }),
        "{told}"
    );
    assert!(told.contains(path.to_str().unwrap()), "{told}");
}

#[tokio::test]
async fn a_missing_image_is_refused_and_said() {
    let mut config = DockerForge::new().await.config.clone();
    config.image = "no-such-image:1".to_owned();
    let forge = DockerForge::with(DockerEngine::local(), config);
    let spec = forge.spec("shop");
    let refusal = forge.runtime().ensure_running(&spec).await.unwrap_err();
    assert!(matches!(refusal, RuntimeError::Refused { .. }), "{refusal}");
    assert!(refusal.to_string().contains("no-such-image:1"), "{refusal}");
}
