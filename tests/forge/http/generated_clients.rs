//! `/openapi.json` is valid, and real generators make clients of it that work: in Python and in
//! TypeScript, type-checked, against a running gateway.
//!
//! `docker/setup.sh generators` brings what is needed.
use crate::support::gateway_process::GatewayProcess;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// What is installed lies in the target folder, somewhere above the program.
fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_dbforge"))
        .ancestors()
        .map(|it| it.join(path))
        .find(|it| it.exists())
        .unwrap_or_else(|| panic!("{path} is installed: docker/setup.sh generators"))
}

fn python_tool(name: &str) -> Command {
    Command::new(installed("generators/bin").join(name))
}

fn node_tool(name: &str) -> Command {
    Command::new(installed("generators-npm/node_modules/.bin").join(name))
}

/// A gateway, its description, and a folder for what is made of it.
struct Scene {
    gateway: GatewayProcess,
    description: Value,
    folder: TempDir,
    _data: TempDir,
}

impl Scene {
    fn new() -> Self {
        let (data, folder) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let gateway = GatewayProcess::start(data.path());
        let text = gateway.get_text("/openapi.json").unwrap();
        std::fs::write(folder.path().join("openapi.json"), &text).unwrap();
        Self {
            description: serde_json::from_str(&text).unwrap(),
            gateway,
            folder,
            _data: data,
        }
    }

    fn copy(&self, file: &str) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/generated");
        std::fs::copy(fixtures.join(file), self.folder.path().join(file)).unwrap();
    }

    /// Runs a tool in the folder and returns what it prints.
    #[track_caller]
    fn run(&self, tool: &mut Command) -> String {
        let output = tool
            .current_dir(self.folder.path())
            .env("DBFORGE_URL", &self.gateway.url)
            .env("DBFORGE_TOKEN", &self.gateway.token)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{tool:?}\n{said}\n{errors}");
        said
    }

    /// Each operation: its path, its tag, its id.
    fn operations(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let paths = self.description["paths"].as_object().unwrap();
        paths.iter().flat_map(|(path, item)| {
            let operations = item.as_object().unwrap().values();
            operations.map(move |operation| {
                let tag = operation["tags"][0].as_str().unwrap();
                let id = operation["operationId"].as_str().unwrap();
                (path.as_str(), tag, id)
            })
        })
    }
}

#[test]
fn the_description_is_valid_openapi() {
    let scene = Scene::new();
    let said = scene.run(python_tool("openapi-spec-validator").arg("openapi.json"));
    assert_eq!(said.trim(), "openapi.json: OK");
    let declared: Vec<_> = scene.description["tags"]
        .as_array()
        .unwrap()
        .iter()
        .collect();
    for (path, tag, _) in scene.operations() {
        assert!(declared.iter().any(|it| it["name"] == tag), "{path}: {tag}");
    }
}

#[test]
fn a_generated_python_client_creates_queries_writes_and_deletes() {
    let scene = Scene::new();
    scene.run(python_tool("openapi-python-client").args([
        "generate",
        "--path=openapi.json",
        "--meta=none",
        "--output-path=dbforge_client",
    ]));
    // The generator leaves out, with a warning, what it cannot use.
    let generated = scene.folder.path().join("dbforge_client/api");
    for (path, tag, id) in scene.operations() {
        let file = generated.join(tag).join(format!("{id}.py"));
        assert!(file.exists(), "{path} became no {}", file.display());
    }
    scene.copy("drive.py");
    scene.run(python_tool("mypy").args(["--strict", "drive.py", "dbforge_client"]));
    let said = scene.run(python_tool("python").arg("drive.py"));
    assert_eq!(said.trim(), "sql_error SQL Error: no such table: nowhere");
}

#[test]
fn a_generated_typescript_client_creates_queries_writes_and_deletes() {
    let scene = Scene::new();
    scene.run(node_tool("openapi-typescript").args(["openapi.json", "--output", "api.d.ts"]));
    scene.copy("drive.ts");
    scene.copy("package.json");
    let modules = installed("generators-npm/node_modules");
    std::os::unix::fs::symlink(modules, scene.folder.path().join("node_modules")).unwrap();
    scene.run(node_tool("tsc").args([
        "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node", "drive.ts",
        "api.d.ts",
    ]));
    let said = scene.run(Command::new("node").arg("drive.js"));
    assert_eq!(said.trim(), "sql_error SQL Error: no such table: nowhere");
}
