//! A gateway in a container finds out where its data folder is for the engine.
use crate::support::{Foreign, docker, worker_image};
use bollard::models::{ContainerCreateBody, HostConfig};
use dbforge::clock::{IdSource, RandomIds};
use dbforge::runtime::docker::DockerEngine;
use futures_util::StreamExt;
use std::path::{Path, PathBuf};

/// Set inside the container.
const INSIDE: &str = "FORGE_TEST_IN_A_CONTAINER";
const SELF: &str =
    "forge::own_container::a_gateway_in_a_container_finds_its_data_folder_on_the_host";
/// Where the test inside leaves what it has found.
const FOUND: &str = "found";

/// Runs itself a second time, in a container: only there is it seen whether it works.
#[tokio::test]
async fn a_gateway_in_a_container_finds_its_data_folder_on_the_host() {
    #[expect(clippy::disallowed_methods, reason = "says which of the two this is")]
    let inside = std::env::var(INSIDE).is_ok();
    if inside {
        let engine = DockerEngine::local();
        let found = engine.host_data_dir(Path::new("/data/databases")).await;
        std::fs::write(
            Path::new("/data").join(FOUND),
            found.unwrap().to_str().unwrap(),
        )
        .unwrap();
        let elsewhere = engine.host_data_dir(Path::new("/nowhere")).await;
        assert!(!elsewhere.unwrap_err().is_transient());
    } else {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(RandomIds.fresh().to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let folder_on_host = on_host(&folder).await;
        assert_eq!(exit_code_inside_a_container(&folder_on_host).await, 0);
        let found = std::fs::read_to_string(folder.join(FOUND)).unwrap();
        assert_eq!(found, format!("{folder_on_host}/databases"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}

async fn on_host(path: &Path) -> String {
    let found = DockerEngine::local().host_data_dir(path).await.unwrap();
    found.to_str().unwrap().to_owned()
}

async fn exit_code_inside_a_container(data: &str) -> i64 {
    let name = format!("forge-test-{}", RandomIds.fresh());
    let program = on_host(&std::env::current_exe().unwrap()).await;
    let container = Foreign::start(
        &name,
        ContainerCreateBody {
            image: Some(worker_image()),
            // Root inside, for the engine's socket.
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec!["/test".to_owned(), "--exact".to_owned()]),
            cmd: Some(vec![SELF.to_owned()]),
            env: Some(vec![format!("{INSIDE}=yes")]),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                binds: Some(vec![
                    format!("{program}:/test:ro"),
                    format!("{data}:/data"),
                    "/var/run/docker.sock:/var/run/docker.sock".to_owned(),
                ]),
                ..Default::default()
            }),
            ..Default::default()
        },
    )
    .await;
    let ended = docker()
        .await
        .wait_container(&container.0, None)
        .next()
        .await;
    match ended.unwrap() {
        Ok(end) => end.status_code,
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}
