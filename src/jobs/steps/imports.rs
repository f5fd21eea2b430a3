//! Steps that bring the rows of a file into a table.
//!
//! They run as any client's SQL does, in turns of the writer. How far they have come is kept in the
//! database, so that the first step goes on after a crash; the second one forgets it, when the
//! outcome of the first is in the log.
use crate::data::imports::{ImportCall, TableImportError, discard, finish, import_rows};
use crate::data::{QueryError, Target};
use crate::domain::import::TableImport;
use crate::domain::job::{JobErrorCode, JobKind, StepOutcome};
use crate::jobs::progress::Progress;
use crate::jobs::{Done, Step, StepContext, StepError};
use futures_util::future::BoxFuture;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long an import may take: 64 GiB at 20 MB/s.
const IMPORT_TIME: Duration = Duration::from_secs(3600);
/// How long it may take to drop a table.
const FORGET_TIME: Duration = Duration::from_secs(120);

pub(in crate::jobs) const IMPORT_ROWS: Step = Step {
    name: "import_rows",
    time_limit: IMPORT_TIME,
    ensure: |context| import(context),
    undo: Some(|context| take_back(context)),
};

pub(in crate::jobs) const FORGET_POSITION: Step = Step {
    name: "forget_position",
    time_limit: FORGET_TIME,
    ensure: |context| forget(context),
    undo: None,
};

fn import(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let file = Imported::of(context)?;
        let total = file.bytes;
        let progress = |bytes: u64, rows: u64| {
            let progress = Progress {
                done: bytes.min(total),
                total,
                unit: "bytes",
                rows: Some(rows),
            };
            context
                .job_context
                .progress
                .report(context.job.id, progress);
        };
        progress(0, 0);
        let import = import_rows(file.call(&context.interrupted), progress).await?;
        Ok(Done::with(StepOutcome::Imported { import }))
    })
}

fn forget(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        finish(Imported::of(context)?.call(&context.interrupted)).await?;
        Ok(Done::with(StepOutcome::Nothing))
    })
}

fn take_back(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let never = CancellationToken::new();
        discard(Imported::of(context)?.call(&never)).await?;
        Ok(Done::with(StepOutcome::Nothing))
    })
}

/// What a job imports.
struct Imported<'c> {
    context: &'c StepContext,
    import: &'c TableImport,
    database: Target,
    file: PathBuf,
    bytes: u64,
    tag: String,
}

impl<'c> Imported<'c> {
    fn of(context: &'c StepContext) -> Result<Self, StepError> {
        let JobKind::ImportTable { upload, import } = &context.job.kind else {
            return Err(StepError::permanent(
                JobErrorCode::Internal,
                "the job is of another kind",
            ));
        };
        let data = &context.job_context.data;
        let database = data
            .target(&context.database)
            .map_err(|error| StepError::permanent(JobErrorCode::Internal, error.to_string()))?;
        Ok(Self {
            context,
            import,
            database,
            file: data.uploads().file(*upload),
            bytes: data
                .uploads()
                .find(*upload)
                .map_or(0, |upload| upload.bytes),
            tag: context.job.id.0.simple().to_string(),
        })
    }

    fn call<'s>(&'s self, interrupted: &'s CancellationToken) -> ImportCall<'s> {
        let data = &self.context.job_context.data;
        ImportCall {
            plane: data,
            database: &self.database,
            import: self.import,
            file: &self.file,
            unpacked_bytes: data.uploads().bounds().unpacked_bytes,
            tag: &self.tag,
            interrupted,
        }
    }
}

impl From<TableImportError> for StepError {
    fn from(error: TableImportError) -> Self {
        let detail = error.to_string();
        match error {
            TableImportError::Interrupted => Self::interrupted(),
            TableImportError::Refused(_) | TableImportError::Row { .. } => {
                Self::permanent(JobErrorCode::ImportRefused, detail)
            }
            TableImportError::FileGone => Self::permanent(JobErrorCode::UploadGone, detail),
            TableImportError::Broken(_) => Self::permanent(JobErrorCode::Internal, detail),
            TableImportError::Query(error) => {
                let code = code_of(&error);
                match code {
                    Some(code) => Self::permanent(code, detail),
                    None => Self::transient(JobErrorCode::Overloaded, detail),
                }
            }
        }
    }
}

/// The code of what the database refuses for good; `None` where it may work later.
fn code_of(error: &QueryError) -> Option<JobErrorCode> {
    use QueryError::{
        Constraint, DataMissing, DeferredForeignKey, DiskFull, Expired, InRow, NotAllowed,
        NotSupported, PayloadTooLarge, QuotaExceeded, Sql, TemporaryFilesFull,
    };
    let is_full = matches!(error, QuotaExceeded | TemporaryFilesFull { .. });
    let is_refused = matches!(
        error,
        Sql { .. }
            | Constraint { .. }
            | DeferredForeignKey
            | InRow { .. }
            | NotAllowed { .. }
            | NotSupported { .. }
            | PayloadTooLarge { .. }
    );
    if is_full {
        Some(JobErrorCode::QuotaExceeded)
    } else if is_refused {
        Some(JobErrorCode::ImportRefused)
    } else if *error == DiskFull {
        Some(JobErrorCode::DiskFull)
    } else if *error == DataMissing {
        Some(JobErrorCode::DataMissing)
    } else if *error == Expired {
        Some(JobErrorCode::DatabaseGone)
    } else {
        None
    }
}
