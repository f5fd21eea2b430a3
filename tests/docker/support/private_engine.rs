//! A Docker engine that a test may kill: its own dockerd, beside the machine's, which it must not
//! touch.
use crate::support::worker_image;
use bollard::Docker;
use bollard::query_parameters::{ImportImageOptionsBuilder, RemoveContainerOptionsBuilder};
use dbforge::clock::Stopwatch;
use futures_util::TryStreamExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Its programs live where a user's PATH often does not look.
const DOCKERD: &str = "/usr/sbin/dockerd";
/// It starts in half a second; on a busy machine in many times that.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gone at the end, with everything that it ran.
pub(crate) struct PrivateEngine {
    folder: TempDir,
    child: Option<Child>,
}

impl PrivateEngine {
    /// Whether one can be had: only root starts an engine.
    pub(crate) fn can_be_had() -> bool {
        rustix::process::geteuid().is_root() && PathBuf::from(DOCKERD).exists()
    }

    /// Starts it, with the workers' image in it.
    pub(crate) async fn start() -> Self {
        // Not below the target folder: a socket's path has at most 107 bytes.
        let folder = TempDir::with_prefix("forge-engine-").unwrap();
        let mut engine = Self {
            folder,
            child: None,
        };
        engine.start_again().await;
        let image = worker_image();
        let from = crate::support::docker().await;
        // 55 MB, from the machine's engine.
        let bytes = from.export_image(&image).map_err(std::io::Error::other);
        let options = ImportImageOptionsBuilder::new().build();
        let to = engine.docker().await.unwrap();
        let bytes: Vec<_> = bytes.try_collect().await.unwrap();
        let bytes = futures_util::stream::iter(bytes.into_iter().map(Ok::<_, std::io::Error>));
        let loaded = to.import_image_stream(options, bytes, None);
        loaded.try_collect::<Vec<_>>().await.unwrap();
        engine
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// What its clients are told in `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A client of it; none while it does not answer.
    pub(crate) async fn docker(&self) -> Option<Docker> {
        let path = self.socket();
        let docker =
            Docker::connect_with_unix(path.to_str()?, 60, bollard::API_DEFAULT_VERSION).ok()?;
        docker.negotiate_version().await.ok()
    }

    /// As a power switch would, for the process and its containerd. Its containers run on
    /// without it.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// On what the killed one has left.
    pub(crate) async fn start_again(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        // The next one would take whatever has such a number today for a living twin.
        for left in ["pid", "exec/containerd/containerd.pid"] {
            let _ = std::fs::remove_file(at(left));
        }
        let log = std::fs::File::options()
            .append(true)
            .create(true)
            .open(at("log"))
            .unwrap();
        // In a network of its own: told to have no bridge, a dockerd removes `docker0`, and that
        // is the other engine's on this machine.
        let child = Command::new("unshare")
            .arg("--net")
            .arg(DOCKERD)
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .arg("--host")
            .arg(self.host())
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        let start = Stopwatch::start();
        while self.docker().await.is_none() {
            assert!(start.elapsed() < PATIENCE, "{}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A dockerd that was killed may have lost containers, which run on: they name its folder.
    fn end_what_it_forgot(&self) {
        let folder = self.folder.path().to_str().unwrap();
        let end = |id: i32| {
            let id = rustix::process::Pid::from_raw(id).unwrap();
            let _ = rustix::process::kill_process(id, rustix::process::Signal::KILL);
        };
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let path = entry.path();
            let Some(id) = entry.file_name().to_str().and_then(|it| it.parse().ok()) else {
                continue;
            };
            let command = std::fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            if !command.contains(folder) {
                continue;
            }
            let children = path.join(format!("task/{id}/children"));
            let children = std::fs::read_to_string(children).unwrap_or_default();
            children
                .split_whitespace()
                .flat_map(str::parse)
                .for_each(end);
            end(id);
        }
    }

    /// Removes what it ran; its containers would outlive it.
    async fn empty(&self) {
        let Some(docker) = self.docker().await else {
            return;
        };
        let options = bollard::query_parameters::ListContainersOptionsBuilder::new()
            .all(true)
            .build();
        for container in docker
            .list_containers(Some(options))
            .await
            .unwrap_or_default()
        {
            let force = RemoveContainerOptionsBuilder::new().force(true).build();
            let id = container.id.unwrap_or_default();
            let _ = docker.remove_container(&id, Some(force)).await;
        }
    }
}

impl Drop for PrivateEngine {
    #[expect(
        clippy::print_stderr,
        reason = "why a test failed may stand in the engine's log alone"
    )]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            eprintln!("the private engine said last:\n{}", last.join("\n"));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let tokio = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                tokio.block_on(self.empty());
            });
        });
        if let Some(mut child) = self.child.take() {
            let id = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            let _ = child.wait();
        }
        self.end_what_it_forgot();
        // A dockerd that was killed forgets that it mounted its own folder.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.folder.path().join("data"))
            .stderr(Stdio::null())
            .status();
    }
}
