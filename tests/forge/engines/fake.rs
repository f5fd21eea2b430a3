//! An engine whose databases answer SQL in their workers, over a socket in the database's folder.
//!
//! Its language has two statements: `INSERT <text>` keeps a line, `SELECT` answers all of them.
use super::fake_worker::SOCKET;
use async_trait::async_trait;
use dbforge::data::{
    BatchError, BatchMode, DataFile, QueryAnswer, QueryError, SharedGuard, Streamed, Target,
    TransactionError, TransactionMode,
};
use dbforge::domain::database::{Durability, Isolation, Limits};
use dbforge::domain::ids::DatabaseId;
use dbforge::engine::sql::{
    Call, Counters, Form, SqlExecutor, SqlTransaction, Statement, TransactionPlace,
};
use dbforge::engine::{
    Availability, Capabilities, DataFileError, DatabasesFolder, Engine, ReadyWhen, ServedEngine,
};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

pub(crate) const NAME: &str = "fake";

/// The file in which its worker keeps what it was told.
pub(crate) const FILE: &str = "lines.fake";

/// What that file begins with.
pub(crate) const HEADER: &str = "a fake database\n";

/// What its databases may use when nobody says: other than SQLite's.
pub(crate) const LIMITS: Limits = Limits {
    size_bytes: 3 << 20,
    memory_bytes: 96 << 20,
    cpu_millis: 300,
};

#[derive(Debug)]
pub(crate) struct FakeEngine;

impl Engine for FakeEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            ready_when: ReadyWhen::WorkerHealthy,
            isolations: &[Isolation::Worker],
            protocols: &["http"],
            default_limits: LIMITS,
            least_limits: Limits::LEAST,
            legacy_api: false,
            file_exports: false,
            loads: false,
        }
    }

    fn availability(&self) -> Availability {
        Availability::of_version("1.0".to_owned())
    }

    fn create_file(&self, folder: &Path, _: Durability) -> Result<(), DataFileError> {
        for rest in ["", "-wal", "-journal"] {
            let _ = fs::remove_file(folder.join(format!("{FILE}.new{rest}")));
        }
        let (file, new) = (folder.join(FILE), folder.join(format!("{FILE}.new")));
        if file.symlink_metadata().is_ok() {
            return self.probe(folder);
        }
        let make = || -> io::Result<()> {
            let mut options = OpenOptions::new();
            let mut made = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            made.write_all(HEADER.as_bytes())?;
            made.sync_all()?;
            fs::rename(&new, &file)
        };
        make().map_err(|error| failed("make the file", &error))
    }

    fn probe(&self, folder: &Path) -> Result<(), DataFileError> {
        let seen = self
            .data_file(folder)
            .map_err(|error| failed("look", &error))?;
        if seen != DataFile::InPlace {
            return Err(DataFileError::Missing);
        }
        let text = fs::read(folder.join(FILE)).map_err(|error| failed("read", &error))?;
        if text.starts_with(HEADER.as_bytes()) {
            return Ok(());
        }
        Err(DataFileError::NotADatabase {
            reason: "it begins otherwise".to_owned(),
        })
    }

    fn check_in_worker(&self, folder: &Path) -> Result<(), DataFileError> {
        self.probe(folder)
    }

    fn is_empty(&self, folder: &Path) -> Result<bool, DataFileError> {
        self.probe(folder)?;
        Ok(self.size_bytes(folder) == HEADER.len() as u64)
    }

    fn checkpoint_and_close(&self, folder: &Path) -> Result<(), DataFileError> {
        match BlockingStream::connect(folder.join(SOCKET)) {
            Ok(_) => Err(DataFileError::Busy),
            Err(_) => Ok(()),
        }
    }

    fn data_file(&self, folder: &Path) -> io::Result<DataFile> {
        if folder.is_symlink() {
            return Ok(DataFile::Link);
        }
        Ok(match folder.join(FILE).symlink_metadata() {
            Ok(file) if file.is_symlink() => DataFile::Link,
            Ok(file) if file.nlink() > 1 => DataFile::TwoNames,
            Ok(file) if file.is_file() && file.len() > 0 => DataFile::InPlace,
            _ => DataFile::Missing,
        })
    }

    fn size_bytes(&self, folder: &Path) -> u64 {
        folder.join(FILE).metadata().map_or(0, |file| file.len())
    }
}

impl ServedEngine for FakeEngine {
    fn sql(&self, databases: &DatabasesFolder) -> Option<Box<dyn SqlExecutor>> {
        Some(Box::new(FakeSql(databases.clone())))
    }
}

fn failed(action: &'static str, error: &io::Error) -> DataFileError {
    DataFileError::Io {
        action,
        reason: error.to_string(),
    }
}

/// Asks workers.
#[derive(Debug)]
struct FakeSql(DatabasesFolder);

impl FakeSql {
    /// Sends statements that are kept together, and receives the lines that the last one answered.
    async fn ask(
        &self,
        target: &Target,
        call: &Call,
        statements: &[Statement],
    ) -> Result<String, QueryError> {
        let socket = self.0.of(target.database).join(SOCKET);
        let asked = async {
            let mut worker = UnixStream::connect(socket).await?;
            let texts: Vec<&str> = statements.iter().map(|it| it.sql.as_ref()).collect();
            worker.write_all(texts.join("\n").as_bytes()).await?;
            worker.shutdown().await?;
            let mut answer = String::new();
            worker.read_to_string(&mut answer).await?;
            io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout_at(call.deadline.instant(), asked).await;
        let answer = answer.map_err(|_| QueryError::Timeout {
            timeout_ms: call.timeout.as_millis().try_into().unwrap(),
        })?;
        // Nothing listens, or what did is gone in the middle.
        let answer = answer.map_err(|_| QueryError::Starting)?;
        match answer.split_once(' ') {
            Some(("ok", lines)) => Ok(lines.to_owned()),
            Some(("error", message)) => Err(QueryError::Sql {
                message: message.to_owned(),
                hint: None,
            }),
            _ => Err(QueryError::Starting),
        }
    }
}

fn refuse_writes(call: &Call, statement: &Statement) -> Result<(), QueryError> {
    if statement.sql.starts_with("INSERT") && !call.may_write {
        return Err(QueryError::ReadOnly);
    }
    Ok(())
}

fn answer(statement: &Statement, lines: &str) -> QueryAnswer {
    let rows: Vec<[&str; 1]> = lines.lines().map(|line| [line]).collect();
    let rows_affected = u64::from(statement.sql.starts_with("INSERT"));
    let body = serde_json::json!({
        "columns": [{"name": "line", "type": null}],
        "rows": rows,
        "row_count": rows.len(),
        "rows_affected": rows_affected,
        "last_insert_rowid": null,
        "truncated": false,
        "elapsed_ms": 0,
    });
    QueryAnswer {
        body: body.to_string().into(),
        row_count: rows.len() as u64,
        rows_affected,
        truncated: false,
        elapsed: Duration::ZERO,
        counters: Counters::default(),
        hidden: Vec::new(),
    }
}

#[async_trait]
impl SqlExecutor for FakeSql {
    async fn query(
        &self,
        _: &SharedGuard,
        target: &Target,
        call: &Call,
        statement: Statement,
    ) -> Result<QueryAnswer, QueryError> {
        refuse_writes(call, &statement)?;
        let lines = self.ask(target, call, std::slice::from_ref(&statement));
        Ok(answer(&statement, &lines.await?))
    }

    async fn batch(
        &self,
        _: &SharedGuard,
        target: &Target,
        call: &Call,
        statements: Vec<Statement>,
        _: BatchMode,
    ) -> Result<Vec<QueryAnswer>, BatchError> {
        for statement in &statements {
            refuse_writes(call, statement)?;
        }
        let last = self.ask(target, call, &statements).await?;
        let (of_last, others) = statements.split_last().unwrap();
        let mut answers: Vec<_> = others.iter().map(|it| answer(it, "")).collect();
        answers.push(answer(of_last, &last));
        Ok(answers)
    }

    async fn split(&self, script: &str, most: usize) -> Result<Vec<Range<usize>>, QueryError> {
        let mut begin = 0;
        let mut places = Vec::new();
        for line in script.split_inclusive('\n').take(most) {
            places.push(begin..begin + line.trim_end().len());
            begin += line.len();
        }
        Ok(places)
    }

    async fn stream(
        &self,
        guard: &SharedGuard,
        target: &Target,
        call: &Call,
        _: &Form,
        statement: Statement,
    ) -> Result<Streamed, QueryError> {
        let whole = self.query(guard, target, call, statement).await;
        whole.map(Streamed::Whole)
    }

    async fn begin(
        &self,
        _: &SharedGuard,
        _: &Target,
        _: &Call,
        _: TransactionMode,
        _: Arc<dyn TransactionPlace>,
    ) -> Result<Box<dyn SqlTransaction>, TransactionError> {
        Err(TransactionError::Query(QueryError::NotSupported {
            engine: NAME.to_owned(),
            what: "transactions of several requests",
        }))
    }

    async fn close(&self, _: DatabaseId) -> Result<(), DataFileError> {
        Ok(())
    }

    async fn close_all(&self) {}
}
