//! SQL and row operations on ready databases. Writes no events.
//!
//! A request goes through [`DataPlane::enter`], whose caller then looks at the state once more, to
//! [`DataPlane::query`]. Reads run on any of a database's readers: a short one on the thread that
//! serves HTTP, others on a thread of their own. Results of any size are [`DataPlane::stream`]ed
//! on threads that are for streams alone. Writes stand in one line per database and are
//! kept in groups, one commit for each group; a transaction of several requests borrows the writer
//! from that line. A step that moves files [`DataPlane::take`]s the database alone.
mod config;
mod folders;
mod layout;
pub mod legacy_rows;
pub(crate) mod transactions;

pub use crate::engine::access_lock::{ExclusiveGuard, GateError, SharedGuard};
pub use crate::engine::sql::{
    Access, BatchError, BatchMode, BatchStatement, BegunTransaction, Format, Int64Form,
    MAX_PARAMETERS, NewTransaction, Param, Params, QueryAnswer, QueryError, QueryOptions,
    QueryRequest, RowStream, ScriptError, Shape, StreamStopper, Streamed, Target,
    TransactionBatchError, TransactionEnd, TransactionError, TransactionKey, TransactionMode,
};
pub use config::DataConfig;
pub use folders::{FolderError, Folders, Place};
pub use layout::{DataFile, LayoutError, check_layout};

use crate::clock::Deadline;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::Gates;
use crate::engine::sql::{Form, Statement};
use crate::engine::sqlite::audit::History;
use crate::engine::sqlite::open::open_database::OpenDatabase;
use crate::engine::sqlite::open::open_databases::OpenDatabases;
use crate::engine::sqlite::threads::pool::{Lateness, Threads};
use crate::engine::sqlite::{self, Sqlite};
use crate::engine::{Engine, FileError};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use transactions::Transactions;

/// Serves SQL on the databases under one data folder. Clones are the same plane.
#[derive(Debug, Clone)]
pub struct DataPlane {
    pub(crate) config: Arc<DataConfig>,
    pub(crate) folders: Arc<Folders>,
    pub(crate) gates: Arc<Gates>,
    pub(crate) open: Arc<OpenDatabases>,
    pub(crate) threads: Arc<Threads>,
    pub(crate) stream_threads: Arc<Threads>,
    pub(crate) history: Arc<History>,
    pub(crate) transactions: Arc<Transactions>,
    /// Runs the writes.
    pub(crate) tokio: Handle,
}

/// How the data plane is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataPlaneHealth {
    /// Connections that are open.
    pub connections: usize,
    /// Bytes of the temporary files of statements.
    pub temp_bytes: u64,
    /// Rows that are being streamed.
    pub streams: usize,
    /// Threads that are held by a statement that nothing stops.
    pub stuck_threads: usize,
    /// Transactions of several requests that are open.
    pub transactions: usize,
}

impl DataPlane {
    /// A data plane on `data_dir`, which must exist. Opened in the runtime that is to run its
    /// writes.
    ///
    /// # Errors
    /// When the folders of databases cannot be made or reached.
    pub fn open(data_dir: &Path, config: DataConfig) -> Result<Self, FolderError> {
        if !sqlite::set_up_process() {
            tracing::warn!("SQLite was in use before: a statement's memory is not bounded");
        }
        let folders = Folders::open(data_dir, config.owner)?;
        let transactions = Transactions::new(
            config.max_transactions,
            config.max_transactions_per_database,
        );
        let gates = Arc::default();
        let lateness = Lateness {
            grace: config.stuck_grace,
            blocked: config.blocked_grace,
        };
        Ok(Self {
            transactions: Arc::new(transactions),
            threads: Threads::new(config.threads, config.max_stuck, lateness),
            stream_threads: Threads::new(config.streams, config.max_stuck, lateness),
            open: OpenDatabases::new(&config, Arc::clone(&gates)),
            config: Arc::new(config),
            folders: Arc::new(folders),
            gates,
            history: Arc::default(),
            tokio: Handle::current(),
        })
    }

    /// Goes into a database together with others. Who entered looks at the state again: what it
    /// saw before may have changed while it waited.
    ///
    /// # Errors
    /// [`GateError::Closed`] when a step on its files takes longer than `deadline`.
    pub async fn enter(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<SharedGuard, GateError> {
        self.gates.enter(database, deadline).await
    }

    /// Takes a database's files alone: rolls its transactions back, waits until all SQL on it has
    /// ended, closes it, and brings everything into its main file.
    ///
    /// # Errors
    /// When SQL does not end before `deadline`, or the file cannot be settled. The caller has to
    /// let the files be, and may try again.
    pub async fn take(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, GateError> {
        let guard = self.take_unsettled(database, deadline).await?;
        let folder = self.folders.living(database);
        let all = Arc::clone(&self.open);
        let settled = tokio::task::spawn_blocking(move || {
            let mut settled = Sqlite.settle(&folder);
            while settled == Err(FileError::NoFiles) && all.close_idle(all.connections() / 2) {
                settled = Sqlite.settle(&folder);
            }
            settled
        });
        match settled.await {
            Ok(Ok(())) => Ok(guard),
            Ok(Err(FileError::NoFiles)) => Err(GateError::NoFiles),
            Ok(Err(FileError::DiskFull)) => Err(GateError::DiskFull),
            Ok(Err(error)) => Err(GateError::NotSettled {
                reason: error.to_string(),
            }),
            Err(error) => Err(GateError::NotSettled {
                reason: error.to_string(),
            }),
        }
    }

    /// The same, but what was written last stays in the WAL, as after a crash. That takes no room on
    /// a disk, and is enough for files that are on their way out.
    ///
    /// # Errors
    /// When SQL does not end before `deadline`.
    pub async fn take_unsettled(
        &self,
        database: DatabaseId,
        deadline: Deadline,
    ) -> Result<ExclusiveGuard, GateError> {
        let draining = self.transactions.drain(database);
        let guard = self.gates.take(database, deadline).await?;
        drop(draining);
        if let Some(open) = self.open.take(database) {
            let closed = tokio::task::spawn_blocking(move || open.close()).await;
            closed.map_err(|error| GateError::NotSettled {
                reason: error.to_string(),
            })?;
        }
        Ok(guard)
    }

    /// Runs one statement on the database behind `guard`.
    ///
    /// # Errors
    /// What [`QueryError`] lists; nothing of the statement is kept then, but for
    /// [`QueryError::OutcomeUnknown`].
    pub async fn query(
        &self,
        guard: &SharedGuard,
        target: &Target,
        request: QueryRequest,
    ) -> Result<QueryAnswer, QueryError> {
        let call = self.call(&request.options);
        self.refuse_early(&request.sql)?;
        let open = self.open_behind(guard, target)?;
        let statement = Statement {
            sql: request.sql.into(),
            params: request.params,
            ..Statement::default()
        };
        let may_write = request.options.may_write();
        self.one(guard, &open, &call, statement, may_write).await
    }

    /// Runs one statement where it belongs.
    pub(crate) async fn one(
        &self,
        guard: &SharedGuard,
        open: &Arc<OpenDatabase>,
        call: &Call,
        statement: Statement,
        may_write: bool,
    ) -> Result<QueryAnswer, QueryError> {
        let sql = &statement.sql;
        let writes = begins_like_a_write(sql) || may_write && optimizes(sql);
        if !writes {
            match self.read(guard, open, call, &statement).await {
                Err(QueryError::ReadOnly) if may_write => {}
                other => return other,
            }
        } else if !may_write {
            return Err(QueryError::ReadOnly);
        }
        let mut answers = self
            .write(guard, open, call, vec![statement])
            .await
            .map_err(|it| it.error)?;
        Ok(answers.pop().expect("one answer for one statement").into())
    }

    /// The folders of databases, for the steps that move them.
    #[must_use]
    pub fn folders(&self) -> &Folders {
        &self.folders
    }

    /// Closes half of the connections that nobody uses, where file descriptors run short. Returns
    /// whether there were any. Blocks.
    #[must_use]
    pub fn close_idle(&self) -> bool {
        self.open.close_idle(self.open.connections() / 2)
    }

    /// The bounds it works within.
    #[must_use]
    pub fn config(&self) -> &DataConfig {
        &self.config
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> DataPlaneHealth {
        DataPlaneHealth {
            connections: self.open.connections(),
            temp_bytes: self.open.temp_bytes(),
            streams: self.stream_threads.taken(),
            stuck_threads: self.threads.stuck() + self.stream_threads.stuck(),
            transactions: self.transactions.count(),
        }
    }

    /// How many transactions of several requests have ended so, since the start.
    #[must_use]
    pub fn ended_transactions(&self, end: TransactionEnd) -> u64 {
        self.transactions.ended(end)
    }

    /// Closes what is open and idle; called once, at shutdown, when requests have ended. What
    /// still runs closes when it ends.
    pub async fn close(&self) {
        self.end_transactions();
        let open = self.open.take_all();
        // Closing brings the WAL into the main file, which syncs; a failure there loses nothing,
        // since what was answered is in the WAL.
        let _ = tokio::task::spawn_blocking(move || drop(open)).await;
    }

    pub(crate) fn open_behind(
        &self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<Arc<OpenDatabase>, QueryError> {
        assert_eq!(
            guard.database(),
            target.database,
            "SQL runs behind the gate of its own database"
        );
        let get = || self.open.get(guard, target, &self.folders, &self.config);
        let mut open = get();
        if !open.is_in_place_for_reads() {
            // What lies there now is opened, or said to be missing. The handles on what is gone
            // close behind the gate, as all do; SQLite leaves the WAL of a file that was moved.
            self.open.forget(target.database, &open);
            let closing = (std::mem::replace(&mut open, get()), guard.clone());
            tokio::task::spawn_blocking(move || drop(closing));
        }
        if let Some(reason) = open.bench.reason() {
            return Err(QueryError::Benched { reason });
        }
        Ok(open)
    }

    pub(crate) fn refuse_early(&self, sql: &str) -> Result<(), QueryError> {
        if sql.len() > self.config.max_statement_bytes {
            return Err(QueryError::PayloadTooLarge {
                what: "the statement",
                limit: format!("{} bytes", self.config.max_statement_bytes),
            });
        }
        if sql.contains('\0') {
            return Err(QueryError::InvalidRequest {
                message: "the statement holds a NUL byte".to_owned(),
            });
        }
        Ok(())
    }

    pub(crate) fn call(&self, options: &QueryOptions) -> Call {
        let config = &self.config;
        let timeout = options
            .timeout
            .unwrap_or(config.default_timeout)
            .min(config.largest_timeout);
        Call {
            deadline: Deadline::after(timeout),
            timeout,
            form: Form {
                format: options.format,
                shape: options.shape,
                int64: options.int64,
                max_rows: options
                    .max_rows
                    .unwrap_or(config.default_max_rows)
                    .min(config.largest_max_rows),
                may_truncate: options.max_rows.is_some(),
                max_bytes: options
                    .max_bytes
                    .unwrap_or(config.default_max_bytes)
                    .min(config.largest_max_bytes),
            },
        }
    }
}

/// What holds for one request on its way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) deadline: Deadline,
    pub(crate) timeout: Duration,
    pub(crate) form: Form,
}

/// Whether to try the line of writes first. A guess that saves a detour: a reader refuses what
/// writes, and the line takes what reads.
pub(crate) fn begins_like_a_write(sql: &str) -> bool {
    const WORDS: &[&str] = &[
        "insert", "update", "delete", "replace", "create", "drop", "alter", "reindex", "analyze",
    ];
    let word = without_comments(sql)
        .split(|it: char| !it.is_ascii_alphabetic())
        .next()
        .unwrap_or_default();
    WORDS.iter().any(|it| it.eq_ignore_ascii_case(word))
}

/// Whether it is `PRAGMA optimize`, which a reader answers without doing anything.
fn optimizes(sql: &str) -> bool {
    let Some((pragma, rest)) = without_comments(sql).split_at_checked("pragma".len()) else {
        return false;
    };
    let name = rest.trim_start().to_ascii_lowercase();
    let name = name.strip_prefix("main.").unwrap_or(&name);
    pragma.eq_ignore_ascii_case("pragma") && name.starts_with("optimize")
}

/// A statement from its first word on.
fn without_comments(sql: &str) -> &str {
    let mut rest = sql.trim_start();
    loop {
        let behind = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n')
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/")
        } else if let Some(empty) = rest.strip_prefix(';') {
            Some(("", empty))
        } else {
            return rest;
        };
        // A comment without an end is all that there is.
        let Some((_, behind)) = behind else { return "" };
        rest = behind.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_sent_by_its_first_word() {
        for write in [
            "INSERT INTO t VALUES (1)",
            " \n delete from t",
            "Create\tTable x(a)",
            "-- why\n /* and; */ ;DROP TABLE t",
        ] {
            assert!(begins_like_a_write(write), "{write}");
        }
        for read in [
            "SELECT 1",
            "",
            "with x as (select 1) insert into t select * from x",
            "INSERTED",
            "-- insert",
            "/* insert",
            "/* insert */ select 1",
        ] {
            assert!(!begins_like_a_write(read), "{read}");
        }
    }
}
