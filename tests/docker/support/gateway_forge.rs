//! The whole gateway as a process, on a real engine.
use crate::support::gateway_process::GatewayProcess;
use crate::support::{docker, worker_image};
use bollard::Docker;
use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use tempfile::TempDir;

/// A gateway with its data folder; its containers are gone when it is.
pub(crate) struct Forge {
    gateway: Option<GatewayProcess>,
    folder: TempDir,
    /// Another engine than the machine's.
    engine: Option<PathBuf>,
    pub(crate) tokio: tokio::runtime::Runtime,
}

impl Forge {
    pub(crate) fn start() -> Self {
        Self::on(None)
    }

    /// On the engine behind a socket.
    pub(crate) fn on(engine: Option<PathBuf>) -> Self {
        // Below the target folder: the engine must be able to mount it.
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut forge = Self {
            gateway: None,
            folder,
            engine,
            tokio: tokio::runtime::Runtime::new().unwrap(),
        };
        forge.start_gateway();
        forge
    }

    pub(crate) fn start_gateway(&mut self) {
        let image = worker_image();
        let mut settings = vec![
            ("DBFORGE_RUNTIME", "docker"),
            ("DBFORGE_WORKER_IMAGE", image.as_str()),
        ];
        let engine = self.engine.as_ref();
        let engine = engine.map(|it| format!("unix://{}", it.display()));
        settings.extend(engine.as_deref().map(|it| ("DOCKER_HOST", it)));
        self.gateway = Some(GatewayProcess::start_with(self.folder.path(), &settings));
    }

    pub(crate) fn kill_gateway(&mut self) {
        self.gateway.take().unwrap().kill();
    }

    /// Waits until no job has anything left to do.
    pub(crate) fn until_every_job_ends(&self) {
        self.gateway().poll("every job ends", || {
            ["queued", "running", "retry_wait"].iter().all(|state| {
                let (_, jobs) = self
                    .gateway()
                    .get(&format!("/v1/jobs?state={state}"))
                    .unwrap();
                jobs["data"].as_array().unwrap().is_empty()
            })
        });
    }

    pub(crate) fn gateway(&self) -> &GatewayProcess {
        self.gateway.as_ref().unwrap()
    }

    /// Creates databases at the same time and waits for all of them.
    pub(crate) fn create(&self, names: &[&str]) {
        std::thread::scope(|scope| {
            for name in names {
                scope.spawn(move || {
                    let (status, body) = self
                        .gateway()
                        .post("/v1/databases", &json!({"name": name}))
                        .unwrap();
                    assert_eq!(status, 202, "{body}");
                });
            }
        });
        for name in names {
            self.gateway().poll("its create job ends", || {
                let (_, jobs) = self
                    .gateway()
                    .get(&format!("/v1/jobs?database={name}"))
                    .unwrap();
                jobs["data"][0]["state"] == "succeeded"
            });
        }
    }

    /// The worker that the API names, as the engine tells it.
    pub(crate) fn worker_of(&self, name: &str) -> Option<ContainerInspectResponse> {
        let (_, database) = self
            .gateway()
            .get(&format!("/v1/databases/{name}"))
            .unwrap();
        let id = database["worker"]["id"].as_str()?.to_owned();
        self.tokio.block_on(async {
            let docker = self.docker().await;
            docker
                .inspect_container(&id, None::<InspectContainerOptions>)
                .await
                .ok()
        })
    }

    pub(crate) fn instance(&self) -> String {
        let instance = std::fs::read_to_string(self.folder.path().join(".forge/instance"));
        instance.unwrap().trim().to_owned()
    }

    /// The engine as a test sees it.
    pub(crate) async fn docker(&self) -> Docker {
        match &self.engine {
            None => docker().await,
            Some(socket) => {
                let socket = socket.to_str().unwrap();
                Docker::connect_with_unix(socket, 60, bollard::API_DEFAULT_VERSION)
                    .unwrap()
                    .negotiate_version()
                    .await
                    .unwrap()
            }
        }
    }

    /// The names of the folders in `databases` or `trash`.
    pub(crate) fn folders(&self, room: &str) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.folder.path().join(room)).unwrap();
        let name = |it: std::io::Result<std::fs::DirEntry>| it.unwrap().file_name();
        entries.map(|it| name(it).into_string().unwrap()).collect()
    }

    /// The names of this forge's containers, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        let label = format!("dbforge.instance={}", self.instance());
        self.tokio.block_on(async {
            let filters = HashMap::from([("label", vec![label.as_str()])]);
            let options = ListContainersOptionsBuilder::new()
                .all(true)
                .filters(&filters)
                .build();
            let found = self
                .docker()
                .await
                .list_containers(Some(options))
                .await
                .unwrap();
            found.into_iter().flat_map(|it| it.names.unwrap()).collect()
        })
    }
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.gateway = None;
        for name in self.containers() {
            let name = name.trim_start_matches('/').to_owned();
            self.tokio.block_on(async {
                let force = RemoveContainerOptionsBuilder::new().force(true).build();
                let _ = self
                    .docker()
                    .await
                    .remove_container(&name, Some(force))
                    .await;
            });
        }
    }
}
