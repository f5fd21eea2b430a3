//! The compose stack with the real Traefik, brought up and taken down by the project's own files.
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A stack beside any other: its own name, port and folder. Taken down when dropped.
struct Stack {
    folder: TempDir,
    name: String,
    port: u16,
}

impl Stack {
    fn new() -> Self {
        let folder = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            name: format!("dbforge-test-{}", std::process::id()),
            port: free.local_addr().unwrap().port(),
            folder,
        }
    }

    /// One of the project's commands with this stack's settings.
    fn command(&self, program: &str, what: &str) -> Command {
        let mut command = Command::new(program);
        command
            .arg(what)
            .current_dir(ROOT)
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .env("DBFORGE_ENV_FILE", "/dev/null")
            .env("DBFORGE_HTTP_PORT", self.port.to_string())
            .env("DBFORGE_DATA_DIR", self.data_dir())
            .env("DBFORGE_GATEWAY_IMAGE", "db-gateway:test")
            .env("DBFORGE_WORKER_IMAGE", crate::support::worker_image())
            .env("FORCE", "1");
        command
    }

    #[track_caller]
    fn run(&self, program: &str, what: &str) -> String {
        let output = self.command(program, what).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {what}: {said}{wrong}");
        said
    }

    // `make up` builds the images of users before this; the tests have theirs.
    #[track_caller]
    fn up(&self) -> String {
        self.run("compose/stack.sh", "up")
    }

    #[track_caller]
    fn down(&self) -> String {
        self.run("make", "down")
    }

    #[track_caller]
    fn clean(&self) -> String {
        self.run("make", "clean")
    }

    fn data_dir(&self) -> std::path::PathBuf {
        self.folder.path().join("db-data")
    }

    /// Asks through Traefik, by the name in the Host header.
    fn ask(&self, method: &str, path: &str, host: &str, body: Option<&str>) -> (u16, String) {
        let token = std::fs::read_to_string(self.data_dir().join(".forge/root-token"));
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("Host", host)
            .header("Content-Type", "application/json")
            .header("Prefer", "wait=30")
            .header("X-API-Key", token.unwrap().trim())
            .body(body.unwrap_or_default().to_owned())
            .unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut response = agent.run(request).unwrap();
        let status = response.status().as_u16();
        (status, response.body_mut().read_to_string().unwrap())
    }

    fn containers_and_networks(&self) -> String {
        let mut listed = String::new();
        for what in ["ps --all", "network ls"] {
            let output = Command::new("docker")
                .args(what.split(' '))
                .args(["--quiet", "--filter"])
                .arg(format!("label=com.docker.compose.project={}", self.name))
                .output()
                .unwrap();
            listed += &String::from_utf8_lossy(&output.stdout);
        }
        listed
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Whatever a failed test has left; after a good one there is nothing.
        let _ = self.command("make", "clean").output();
    }
}

#[test]
fn the_stack_comes_up_answers_through_traefik_and_leaves_nothing_behind() {
    let stack = Stack::new();
    let said = stack.up();
    assert!(said.contains("db.localhost"), "{said}");

    let (status, body) = stack.ask("GET", "/", "db.localhost", None);
    assert_eq!(
        (status, body.as_str()),
        (200, r#"{"message":"Praetorian DB-Forge is online."}"#)
    );
    let create = Some(r#"{"name":"shop"}"#);
    let (status, body) = stack.ask("POST", "/v1/databases", "db.localhost", create);
    assert_eq!(status, 201, "{body}");
    let insert = Some(r#"{"sql":"SELECT 'through Traefik'"}"#);
    let query = "/v1/databases/shop/query";
    let (status, body) = stack.ask("POST", query, "db.localhost", insert);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("through Traefik"), "{body}");
    let (status, _) = stack.ask("GET", "/readyz", "shop.db.localhost", None);
    assert_eq!(status, 200, "a database's own host leads to the gateway");
    let (status, body) = stack.ask("POST", "/query", "shop.db.localhost", insert);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("through Traefik"), "{body}");
    let (status, _) = stack.ask("GET", "/readyz", "elsewhere.localhost", None);
    assert_eq!(status, 404, "no other host does");

    let before = stack.containers_and_networks();
    stack.up();
    assert_eq!(
        stack.containers_and_networks(),
        before,
        "a second `up` is harmless"
    );

    let instance = std::fs::read_to_string(stack.data_dir().join(".forge/instance")).unwrap();
    stack.down();
    assert!(
        stack.data_dir().join("databases").is_dir(),
        "`down` keeps the data"
    );
    stack.up();
    let (status, body) = stack.ask("POST", query, "db.localhost", insert);
    assert_eq!(status, 200, "{body}");

    stack.clean();
    assert_eq!(stack.containers_and_networks(), "");
    assert_eq!(workers_of(instance.trim()), "");
    assert!(
        is_empty_or_gone(&stack.data_dir()),
        "`clean` removes the data"
    );
}

fn workers_of(instance: &str) -> String {
    let output = Command::new("docker")
        .args(["ps", "--all", "--quiet", "--filter"])
        .arg(format!("label=dbforge.instance={instance}"))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn is_empty_or_gone(folder: &Path) -> bool {
    std::fs::read_dir(folder).map_or(true, |mut it| it.next().is_none())
}
