//! A gateway in a container finds out where its data folder is for the engine.
use crate::support::{Foreign, docker, worker_image};
use bollard::models::{ContainerCreateBody, HostConfig};
use dbforge::clock::{IdSource, RandomIds};
use dbforge::runtime::docker::DockerEngine;
use futures_util::StreamExt;
use std::path::{Path, PathBuf};

/// Set inside the container; the path that is to be found.
const EXPECTED: &str = "FORGE_TEST_EXPECTED_HOST_PATH";
const SELF: &str = "own_container::a_gateway_in_a_container_finds_its_data_folder_on_the_host";

/// Runs itself a second time, in a container: only there is it seen whether it works.
#[tokio::test]
async fn a_gateway_in_a_container_finds_its_data_folder_on_the_host() {
    #[expect(clippy::disallowed_methods, reason = "says which of the two this is")]
    let inside = std::env::var(EXPECTED);
    match inside {
        Ok(expected) => {
            let engine = DockerEngine::local();
            let found = engine.host_data_dir(Path::new("/data/databases")).await;
            assert_eq!(found.unwrap(), PathBuf::from(expected));
            let elsewhere = engine.host_data_dir(Path::new("/nowhere")).await;
            assert!(!elsewhere.unwrap_err().is_transient());
        }
        Err(_) => assert_eq!(exit_code_inside_a_container().await, 0),
    }
}

async fn exit_code_inside_a_container() -> i64 {
    let name = format!("forge-test-{}", RandomIds.fresh());
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(&name);
    std::fs::create_dir_all(&folder).unwrap();
    let program = std::env::current_exe().unwrap();
    let on_host = |path: PathBuf| async move {
        let found = DockerEngine::local().host_data_dir(&path).await.unwrap();
        found.to_str().unwrap().to_owned()
    };
    let (folder_on_host, program) = (on_host(folder.clone()).await, on_host(program).await);
    let container = Foreign::start(
        &name,
        ContainerCreateBody {
            image: Some(worker_image()),
            // Root inside, for the engine's socket.
            user: Some("0:0".to_owned()),
            entrypoint: Some(vec!["/test".to_owned(), "--exact".to_owned()]),
            cmd: Some(vec![SELF.to_owned()]),
            env: Some(vec![format!("{EXPECTED}={folder_on_host}/databases")]),
            host_config: Some(HostConfig {
                network_mode: Some("none".to_owned()),
                binds: Some(vec![
                    format!("{program}:/test:ro"),
                    format!("{folder_on_host}:/data"),
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
    std::fs::remove_dir_all(folder).unwrap();
    match ended.unwrap() {
        Ok(end) => end.status_code,
        Err(bollard::errors::Error::DockerContainerWaitError { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}
