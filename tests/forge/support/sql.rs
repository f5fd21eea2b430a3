//! A data plane on a folder of its own, with one database, and short ways to ask it.
use super::sqlite;
use dbforge::clock::Deadline;
use dbforge::data::{
    Access, DataConfig, DataPlane, Params, QueryAnswer, QueryError, QueryOptions, QueryRequest,
    SqliteConfig, Target,
};
use dbforge::domain::database::{Durability, Isolation};
use dbforge::domain::ids::DatabaseId;
use dbforge::engine::registry::Engines;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

/// A data plane with databases.
pub(crate) struct Sql {
    pub(crate) plane: DataPlane,
    pub(crate) target: Target,
    /// Holds the data folder, and beside it nothing.
    pub(crate) home: TempDir,
}

impl Sql {
    /// With every bound at its default, but for reads, which look each time.
    pub(crate) fn new() -> Self {
        Self::with(looking_each_time())
    }

    pub(crate) fn with(config: SqliteConfig) -> Self {
        sqlite::set_up();
        let home = tempfile::tempdir().unwrap();
        let data_dir = home.path().join("data");
        fs::create_dir(&data_dir).unwrap();
        let config = DataConfig {
            sqlite: config,
            ..DataConfig::default()
        };
        let plane = DataPlane::open(&data_dir, config, Engines::standard()).unwrap();
        let target = create(&plane);
        Self {
            plane,
            target,
            home,
        }
    }

    /// The same data plane, speaking of another database.
    pub(crate) async fn ask_of(&self, target: &Target, sql: &str) -> Result<Value, QueryError> {
        let answer = self
            .request(target, sql, Params::None, read_write())
            .await?;
        Ok(serde_json::from_slice(&answer.body).unwrap())
    }

    pub(crate) async fn ask(&self, sql: &str) -> Result<Value, QueryError> {
        self.ask_of(&self.target, sql).await
    }

    /// The rows alone.
    pub(crate) async fn rows(&self, sql: &str) -> Value {
        self.ask(sql).await.unwrap()["rows"].take()
    }

    /// `params` as JSON.
    pub(crate) async fn ask_with(&self, sql: &str, params: &str) -> Result<Value, QueryError> {
        let params = serde_json::from_str(params).unwrap();
        let answer = self
            .request(&self.target, sql, params, read_write())
            .await?;
        Ok(serde_json::from_slice(&answer.body).unwrap())
    }

    pub(crate) async fn ask_as(
        &self,
        sql: &str,
        options: QueryOptions,
    ) -> Result<Value, QueryError> {
        let answer = self
            .request(&self.target, sql, Params::None, options)
            .await?;
        Ok(serde_json::from_slice(&answer.body).unwrap())
    }

    pub(crate) async fn request(
        &self,
        target: &Target,
        sql: &str,
        params: Params,
        options: QueryOptions,
    ) -> Result<QueryAnswer, QueryError> {
        let guard = self.plane.enter(target.database, soon()).await.unwrap();
        let request = QueryRequest {
            sql: sql.to_owned(),
            params,
            options,
        };
        self.plane.query(&guard, target, request).await
    }
}

/// A new database of the plane's, ready for SQL.
pub(crate) fn create(plane: &DataPlane) -> Target {
    let database = DatabaseId(Uuid::new_v4());
    let folder = plane.folders().ensure_reserved(database).unwrap();
    let engine = plane.engines().find("sqlite").unwrap();
    engine.create_file(&folder, Durability::Full).unwrap();
    let isolation = isolation();
    if isolation == Isolation::Worker {
        serve(&folder, database);
    }
    Target {
        database,
        engine: engine.name(),
        isolation,
        durability: Durability::Full,
        size_bytes: 64 << 20,
    }
}

/// Which process answers the databases of tests of SQL: `DBFORGE_TEST_ISOLATION=worker` runs them
/// on workers.
#[expect(
    clippy::disallowed_methods,
    reason = "a switch of the tests, which is no setting"
)]
fn isolation() -> Isolation {
    match std::env::var("DBFORGE_TEST_ISOLATION").as_deref() {
        Ok("worker") => Isolation::Worker,
        _ => Isolation::Gateway,
    }
}

/// Starts the process that serves a database. It ends with the thread that starts it.
#[expect(
    clippy::zombie_processes,
    reason = "it is there until this thread ends, and is no one's to wait for then"
)]
pub(crate) fn serve(folder: &Path, database: DatabaseId) {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(folder.join("run"))
        .unwrap();
    Command::new(env!("CARGO_BIN_EXE_dbforge"))
        .args(["worker", "serve", "--fenced", "--fence", "strict"])
        .args(["--memory-bytes", "268435456", "--temp-bytes", "8589934592"])
        .arg("--folder")
        .arg(folder)
        .args(["--database", &database.to_string()])
        .spawn()
        .unwrap();
    let patience = Deadline::after(Duration::from_secs(20));
    while UnixStream::connect(folder.join("run/sql.sock")).is_err() {
        assert!(!patience.has_passed(), "the worker does not listen");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn read_write() -> QueryOptions {
    QueryOptions::for_access(Access::ReadWrite)
}

pub(crate) fn read_only() -> QueryOptions {
    QueryOptions::for_access(Access::ReadOnly)
}

/// Readers look before every read whether their file was moved, so that tests need not wait.
pub(crate) fn looking_each_time() -> SqliteConfig {
    SqliteConfig {
        look_every: Duration::ZERO,
        ..SqliteConfig::default()
    }
}

pub(crate) fn within(timeout: Duration) -> QueryOptions {
    QueryOptions {
        timeout: Some(timeout),
        ..read_write()
    }
}

/// Far enough for anything that is not stuck.
pub(crate) fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(20))
}
