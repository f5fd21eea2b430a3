//! Whole databases as files.
use crate::data::exports::{ExportedFile, FileInMaking, Resumption};
use crate::data::{QueryError, SharedGuard, Target};
use crate::engine::exporting::{ExportOrder, ExportReport, FileKind};
use crate::runtime::child::{ChildError, ChildFailureCode, ChildLimits, ChildOrder};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::sql::RunError;
use crate::shares::{Pass, holder, waiting};
use crate::worker::Operation;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked at whether a file may go on being made.
const LOOK: Duration = Duration::from_millis(100);
/// Bytes of address space of a process that makes a file: a value of a gigabyte is in memory three
/// times.
const MEMORY_BYTES: u64 = 8 << 30;
/// Files that it has open: those of two databases, and one more.
const OPEN_FILES: u64 = 64;

/// A file of a whole database on its way to a client.
pub struct FileDownload {
    /// The name of the database.
    pub database: String,
    /// The file.
    pub file: Arc<ExportedFile>,
    /// Whether it was made for this request.
    pub is_new: bool,
    /// Cancelled when the caller's token ends.
    pub token_ended: CancellationToken,
}

impl Service {
    /// Makes a file of a whole database, or finds one that a download goes on of. Needs the scope
    /// `read`. Dropped before it ends, it leaves nothing.
    ///
    /// # Errors
    /// When the caller may not, there is no such database, as many files are being made as may, or
    /// the file could not be made.
    pub async fn export_file(
        self: &Arc<Self>,
        caller: &Caller,
        reference: &str,
        kind: FileKind,
        resumption: Option<Resumption>,
    ) -> Result<FileDownload, RunError> {
        caller.sql_access()?;
        let entered = self.enter(caller, reference).await?;
        let id = entered.guard.database();
        let kept = resumption.and_then(|which| self.data.kept_file(id, kind, &which));
        let (file, is_new) = match kept {
            Some(file) => (file, false),
            None => {
                let making = self.data.begin_file(&entered.target)?;
                let made = self.make_file(entered.guard, &entered.target, making, kind);
                let made = pin!(waiting(made));
                (self.while_living(id, made).await?, true)
            }
        };
        let current = self.control.current();
        let name = current.state.database(id).map(|it| it.name.to_string());
        let token_ended = Pass::here().map(|pass| pass.account().ended().clone());
        Ok(FileDownload {
            database: name.unwrap_or_else(|| reference.to_owned()),
            file,
            is_new,
            token_ended: token_ended.unwrap_or_default(),
        })
    }

    /// Copies the database while others write, and makes the file of the copy.
    async fn make_file(
        &self,
        guard: SharedGuard,
        target: &Target,
        making: FileInMaking,
        kind: FileKind,
    ) -> Result<Arc<ExportedFile>, QueryError> {
        let hold = self.data.hold_snapshot(&guard, target)?;
        let copied = self.take_step(
            target,
            &making,
            ExportOrder::Copy {
                folder: self.data.folders().living(target.database),
                copy: making.copy(),
            },
            || hold.has_to_end().then_some(QueryError::YieldedToWrites),
        );
        copied.await?;
        // From here on the database is not needed.
        drop((hold, guard));
        let written = self.take_step(
            target,
            &making,
            ExportOrder::Write {
                copy: making.copy(),
                out: making.out(),
                kind,
            },
            || None,
        );
        let report = written.await?;
        let made_for = holder();
        let finished =
            tokio::task::spawn_blocking(move || making.finish(kind, report.left_out, made_for));
        finished.await.map_err(|error| QueryError::Broken {
            reason: error.to_string(),
        })?
    }

    /// Has a child take one step; ended early when `has_to_end` says so, or the disk fills.
    async fn take_step(
        &self,
        target: &Target,
        making: &FileInMaking,
        order: ExportOrder,
        has_to_end: impl Fn() -> Option<QueryError>,
    ) -> Result<ExportReport, QueryError> {
        let time = making.time();
        let order = ChildOrder {
            limits: ChildLimits {
                memory_bytes: MEMORY_BYTES,
                cpu_seconds: time.as_secs(),
                file_bytes: making.most_bytes(),
                open_files: OPEN_FILES,
            },
            folder: making.folder().to_owned(),
            operation: Operation::Export {
                engine: target.engine.to_owned(),
                order,
            },
        };
        let why = OnceLock::new();
        let stop = async {
            let ends = async {
                loop {
                    if let Some(error) = has_to_end() {
                        return error;
                    }
                    if !making.has_room() {
                        return QueryError::DiskFull;
                    }
                    tokio::time::sleep(LOOK).await;
                }
            };
            let ended = tokio::time::timeout(time, ends).await;
            let error = ended.unwrap_or_else(|_| QueryError::timeout(time));
            why.get_or_init(|| error);
        };
        let done = self.children.run(&order, stop, |_| {}).await;
        done.map_err(|error| why.get().cloned().unwrap_or_else(|| told(error)))
    }
}

/// Why a child did not do it, in words for the caller.
fn told(error: ChildError) -> QueryError {
    let reason = error.to_string();
    let ChildError::Failed(failure) = error else {
        return QueryError::Broken { reason };
    };
    match failure.code {
        ChildFailureCode::Refused => QueryError::NoForm { reason },
        ChildFailureCode::QuotaExceeded => QueryError::NoForm {
            reason: "the file would be larger than an export may be".to_owned(),
        },
        ChildFailureCode::DiskFull => QueryError::DiskFull,
        ChildFailureCode::DataMissing => QueryError::DataMissing,
        ChildFailureCode::NotEmpty | ChildFailureCode::OutOfMemory | ChildFailureCode::Internal => {
            QueryError::Broken { reason }
        }
    }
}
