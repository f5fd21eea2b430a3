//! Steps that put a file in the place of what a database holds.
//!
//! The file is opened in a child process alone, which builds a database in a hidden folder beside
//! the others. What it built is checked there; then the step takes the database's access lock
//! exclusively and exchanges the files by a rename. The old file goes to the trash, as a database
//! of its own. Cut off anywhere, the step goes on: whether the exchange was made is seen by what
//! lies in the hidden folder.
use super::files::{acquire_exclusive_without_checkpoint, blocking, engine_of, lock_exclusively};
use crate::data::ExclusiveGuard;
use crate::domain::database::Condition;
use crate::domain::ids::{DatabaseId, UploadId};
use crate::domain::job::{JobErrorCode, JobKind, StepOutcome};
use crate::domain::load::{LoadForm, LoadMode, LoadSummary};
use crate::engine::loading::{LoadOrder, LoadReport};
use crate::engine::{DataFile, DataFileError, Engine};
use crate::jobs::progress::Progress;
use crate::jobs::{Done, Step, StepContext, StepError};
use crate::runtime::child::{
    ChildError, ChildFailure, ChildFailureCode, ChildLimits, ChildOrder, ChildProgress,
};
use crate::whole_file;
use crate::worker::Operation;
use futures_util::future::BoxFuture;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a load may take: 64 GiB at 20 MB/s.
const LOAD_TIME: Duration = Duration::from_secs(3600);
/// Processor time of a child.
const CPU_SECONDS: u64 = 3600;
/// Address space of a child: the longest statement, what SQLite makes of it, and its caches.
const MEMORY_BYTES: u64 = 2 << 30;
/// Files that a child has open: the upload, the database, temporary files.
const OPEN_FILES: u64 = 64;
/// What a child may write past the size of the database: its WAL, at the end.
const MORE_FILE_BYTES: u64 = 16 << 20;

/// In the hidden folder: what the child has told of a database that is whole.
const REPORT: &str = "report.json";
/// In the hidden folder: the exchange was begun, and the new contents are in place.
const MOVED: &str = "moved";
/// In the hidden folder: where the other half of an exchange waits.
const OLD: &str = "old";

pub(in crate::jobs) const LOAD: Step = Step {
    name: "load",
    time_limit: LOAD_TIME,
    ensure: |context| load(context),
    undo: Some(|context| unload(context)),
};

pub(in crate::jobs) const LOAD_NEW: Step = Step {
    name: "load",
    time_limit: LOAD_TIME,
    ensure: |context| load_new(context),
    undo: Some(|context| clear(context)),
};

pub(in crate::jobs) const EXCHANGE: Step = Step {
    name: "exchange",
    time_limit: Duration::from_secs(60),
    ensure: |context| exchange(context),
    undo: Some(|context| exchange_back(context)),
};

fn load(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let JobKind::LoadDatabase {
            upload,
            form,
            mode,
            kept,
        } = context.job.kind
        else {
            return Err(wrong_kind());
        };
        if !engine_of(context)?.capabilities().loads {
            return Err(not_loaded(context));
        }
        let building = building(context).await?;
        let is_exchanged = building.is_built() && !building.has_file(context)?;
        let mut guard = None;
        if !is_exchanged {
            // What is inserted into a copy must not miss a write.
            if mode == LoadMode::Insert {
                guard = Some(lock_exclusively(context).await?);
            }
            if mode == LoadMode::Insert || !building.is_built() {
                let living = context
                    .job_context
                    .data
                    .folders()
                    .living(context.database.id);
                let base = (mode == LoadMode::Insert).then_some(living);
                build(context, &building, upload, form, base).await?;
            }
        }
        let guard = match guard {
            Some(guard) => guard,
            None => lock_exclusively(context).await?,
        };
        exchange_files(context, &building, kept, mode).await?;
        let load = building.report()?;
        Ok(Done::holding(StepOutcome::Loaded { load }, guard))
    })
}

fn load_new(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let Some(upload) = context.job.kind.upload() else {
            return Err(wrong_kind());
        };
        if !engine_of(context)?.capabilities().loads {
            return Err(not_loaded(context));
        }
        let building = building(context).await?;
        if !building.is_built() {
            build(context, &building, upload, None, None).await?;
        }
        // It answers SQL from the moment that its outcome is in the log.
        let (engine, folders) = (
            engine_of(context)?,
            context.job_context.data.folders().clone(),
        );
        let (id, from) = (context.database.id, building.folder.clone());
        blocking(context, move || {
            engine.replace(&folders.living(id), &from, &from.join(OLD))
        })
        .await?;
        let load = building.report()?;
        Ok(Done::with(StepOutcome::Loaded { load }))
    })
}

/// Has a child build the database, unless an earlier run of the step has it whole.
async fn build(
    context: &StepContext,
    building: &Building,
    upload: UploadId,
    form: Option<LoadForm>,
    base: Option<PathBuf>,
) -> Result<(), StepError> {
    building.renew(context).await?;
    let data = &context.job_context.data;
    let size_bytes = context.database.limits.size_bytes;
    let order = ChildOrder {
        limits: ChildLimits {
            memory_bytes: MEMORY_BYTES,
            cpu_seconds: CPU_SECONDS,
            file_bytes: size_bytes.saturating_add(MORE_FILE_BYTES),
            open_files: OPEN_FILES,
        },
        folder: building.folder.clone(),
        operation: Operation::Load {
            engine: context.database.engine.to_string(),
            order: LoadOrder {
                source: data.uploads().file(upload),
                form,
                most_unpacked: data.uploads().bounds().unpacked_bytes,
                target: building.folder.clone(),
                base,
                durability: context.database.durability,
                size_bytes,
            },
        },
    };
    let report = |progress: ChildProgress| context.tell(progress);
    let stop = context.interrupted.cancelled();
    let ran = context.job_context.children.run(&order, stop, report).await;
    let report: LoadReport = ran?;
    let (file, text) = (building.folder.join(REPORT), serde_json::to_vec(&report));
    let text = text.map_err(|error| internal(&error))?;
    blocking(context, move || {
        whole_file::replace(&file, &text).map_err(|error| disk_error("write the report", &error))
    })
    .await
}

/// Puts the new database in the place of the old one, which goes to the trash.
async fn exchange_files(
    context: &StepContext,
    building: &Building,
    kept: DatabaseId,
    mode: LoadMode,
) -> Result<(), StepError> {
    if !building.has_file(context)? {
        return Ok(()); // by an earlier run
    }
    let (engine, folders) = (
        engine_of(context)?,
        context.job_context.data.folders().clone(),
    );
    let (id, from) = (context.database.id, building.folder.clone());
    let name = context.database.name.clone();
    blocking(context, move || {
        let living = folders.living(id);
        if mode == LoadMode::IntoEmpty && !is_empty(engine.as_ref(), &living)? {
            return Err(StepError::permanent(
                JobErrorCode::NotEmpty,
                format!(
                    "database `{name}` is not empty; use mode=replace, which moves what is there to \
                     the trash, or mode=insert"
                ),
            ));
        }
        let outgoing = folders.ensure_kept(kept)?;
        Ok(engine.replace(&living, &from, &outgoing)?)
    })
    .await
}

/// A database of two names is what an exchange that was cut off has left: it was looked at before.
fn is_empty(engine: &dyn Engine, living: &Path) -> Result<bool, DataFileError> {
    match engine.is_empty(living) {
        Err(DataFileError::Missing) => Ok(true),
        looked => looked,
    }
}

/// Takes back what a load may have done.
fn unload(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let Some(kept) = context.job.kind.exchanges_with() else {
            return Err(wrong_kind());
        };
        let building = building(context).await?;
        // A database of two names is not opened: what is in its WAL stays with it.
        let guard = match lock_exclusively(context).await {
            Err(StepError { error, .. }) if error.code == JobErrorCode::DataMissing => {
                acquire_exclusive_without_checkpoint(context).await?
            }
            taken => taken?,
        };
        let is_exchanged = building.is_built() && !building.has_file(context)?;
        let (engine, folders) = (
            engine_of(context)?,
            context.job_context.data.folders().clone(),
        );
        let (id, job, folder) = (context.database.id, context.job.id, building.folder);
        blocking(context, move || {
            if is_exchanged {
                let (living, before) = (folders.living(id), folders.trashed(kept));
                engine.replace(&living, &before, &folder.join(OLD))?;
            }
            // Where the exchange was only begun, this takes the second name away.
            folders.ensure_not_kept(kept)?;
            Ok::<_, StepError>(folders.ensure_not_building(job)?)
        })
        .await?;
        Ok(Done::holding(StepOutcome::Nothing, guard))
    })
}

/// Removes what was built of a database that is not created.
fn clear(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let (folders, job) = (context.job_context.data.folders().clone(), context.job.id);
        blocking(context, move || folders.ensure_not_building(job)).await?;
        Ok(Done::with(StepOutcome::Nothing))
    })
}

fn exchange(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let Some(with) = context.job.kind.exchanges_with() else {
            return Err(wrong_kind());
        };
        let guard = lock_exclusively(context).await?;
        let _other = lock_other(context, with).await?;
        swap(context, with, false).await?;
        Ok(Done::holding(StepOutcome::Exchanged, guard))
    })
}

fn exchange_back(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let Some(with) = context.job.kind.exchanges_with() else {
            return Err(wrong_kind());
        };
        let guard = lock_exclusively(context).await?;
        let _other = lock_other(context, with).await?;
        swap(context, with, true).await?;
        let (folders, job) = (context.job_context.data.folders().clone(), context.job.id);
        blocking(context, move || folders.ensure_not_building(job)).await?;
        Ok(Done::holding(StepOutcome::Nothing, guard))
    })
}

/// Exchanges the contents of the job's database with those of one in the trash; or sees to it that
/// an exchange that was begun has not happened.
async fn swap(context: &StepContext, with: DatabaseId, back: bool) -> Result<(), StepError> {
    let (engine, folders) = (
        engine_of(context)?,
        context.job_context.data.folders().clone(),
    );
    let (id, job) = (context.database.id, context.job.id);
    blocking(context, move || {
        let building = folders.ensure_building(job)?;
        let (moved, old) = (building.join(MOVED), building.join(OLD));
        let (living, trashed) = (folders.living(id), folders.trashed(with));
        let failed = |error: io::Error| disk_error("exchange the databases", &error);
        match fs::create_dir(&old) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let has_old = engine.data_file(&old).map_err(failed)? != DataFile::Missing;
        if back {
            let is_new = engine.data_file(&trashed).map_err(failed)? == DataFile::Missing;
            if is_new && has_old {
                engine.replace(&living, &old, &trashed)?;
            }
            return Ok(());
        }
        if !moved.exists() {
            if !folders.has_trashed(with) {
                return Err(StepError::permanent(
                    JobErrorCode::DataMissing,
                    "what was there before is no longer in the trash",
                ));
            }
            engine.replace(&living, &trashed, &old)?;
            whole_file::replace(&moved, b"").map_err(failed)?;
        }
        // The trash has none now, so that this is a rename.
        Ok(engine.replace(&trashed, &old, &building)?)
    })
    .await
}

async fn lock_other(context: &StepContext, other: DatabaseId) -> Result<ExclusiveGuard, StepError> {
    let current = context.job_context.control.current();
    let Some(database) = current.state.database(other) else {
        return Err(StepError::permanent(
            JobErrorCode::DataMissing,
            "what was there before is no longer in the trash",
        ));
    };
    if !matches!(database.condition, Condition::Trashed { .. }) {
        return Err(StepError::permanent(
            JobErrorCode::DatabaseGone,
            format!("database `{}` is no longer in the trash", database.name),
        ));
    }
    let context = StepContext {
        job_context: Arc::clone(&context.job_context),
        job: Arc::clone(&context.job),
        database: Arc::clone(database),
        interrupted: context.interrupted.clone(),
    };
    acquire_exclusive_without_checkpoint(&context).await
}

/// The hidden folder of a job.
struct Building {
    folder: PathBuf,
}

async fn building(context: &StepContext) -> Result<Building, StepError> {
    let (folders, job) = (context.job_context.data.folders().clone(), context.job.id);
    let folder = blocking(context, move || folders.ensure_building(job)).await?;
    Ok(Building { folder })
}

impl Building {
    /// Whether a child has built a whole database.
    fn is_built(&self) -> bool {
        self.folder.join(REPORT).exists()
    }

    /// Whether the database is still here, and was not put into its place.
    fn has_file(&self, context: &StepContext) -> Result<bool, StepError> {
        let seen = engine_of(context)?.data_file(&self.folder);
        let seen = seen.map_err(|error| disk_error("look for the database", &error))?;
        Ok(seen != DataFile::Missing)
    }

    /// Removes what an earlier run has left.
    async fn renew(&self, context: &StepContext) -> Result<(), StepError> {
        let (folders, job) = (context.job_context.data.folders().clone(), context.job.id);
        blocking(context, move || {
            folders.ensure_not_building(job)?;
            folders.ensure_building(job).map(drop)
        })
        .await
    }

    /// What the child has told.
    fn report(&self) -> Result<LoadSummary, StepError> {
        let text = fs::read(self.folder.join(REPORT)).map_err(|error| internal(&error))?;
        let report: LoadReport = serde_json::from_slice(&text).map_err(|error| internal(&error))?;
        let LoadReport {
            form,
            statements,
            tables,
            rows,
            size_bytes,
            foreign_key_violations,
            notes,
        } = report;
        Ok(LoadSummary {
            form,
            statements,
            tables,
            rows,
            size_bytes,
            foreign_key_violations,
            notes,
        })
    }
}

impl StepContext {
    /// Tells how far a child is.
    fn tell(&self, progress: ChildProgress) {
        let progress = Progress {
            done: progress.bytes.min(progress.of_bytes),
            total: progress.of_bytes,
            unit: "bytes",
            rows: Some(progress.rows),
        };
        self.job_context.progress.report(self.job.id, progress);
    }
}

impl From<ChildError> for StepError {
    fn from(error: ChildError) -> Self {
        let detail = error.to_string();
        match error {
            ChildError::Stopped => Self::interrupted(),
            ChildError::Failed(ChildFailure { code, .. }) => match code {
                ChildFailureCode::Refused | ChildFailureCode::OutOfMemory => {
                    Self::permanent(JobErrorCode::ImportRefused, detail)
                }
                ChildFailureCode::NotEmpty => Self::permanent(JobErrorCode::NotEmpty, detail),
                ChildFailureCode::QuotaExceeded => {
                    Self::permanent(JobErrorCode::QuotaExceeded, detail)
                }
                ChildFailureCode::DataMissing => Self::permanent(JobErrorCode::UploadGone, detail),
                ChildFailureCode::DiskFull => Self::transient(JobErrorCode::DiskFull, detail),
                ChildFailureCode::Internal => Self::permanent(JobErrorCode::Internal, detail),
            },
            ChildError::Died { .. } => Self::transient(JobErrorCode::Internal, detail),
            ChildError::NotRun(source) if crate::open_files::are_used_up(&source) => {
                Self::transient(JobErrorCode::Overloaded, detail)
            }
            ChildError::NotRun(_) => Self::transient(JobErrorCode::Internal, detail),
        }
    }
}

fn wrong_kind() -> StepError {
    StepError::permanent(JobErrorCode::Internal, "the job is of another kind")
}

fn not_loaded(context: &StepContext) -> StepError {
    let name = &context.database.engine;
    StepError::permanent(
        JobErrorCode::ImportRefused,
        format!("databases of engine `{name}` are not loaded from files"),
    )
}

fn internal(error: &dyn std::error::Error) -> StepError {
    StepError::permanent(JobErrorCode::Internal, error.to_string())
}

fn disk_error(action: &'static str, error: &io::Error) -> StepError {
    let code = if error.kind() == io::ErrorKind::StorageFull {
        JobErrorCode::DiskFull
    } else {
        JobErrorCode::Internal
    };
    StepError::transient(code, format!("could not {action}"))
}
