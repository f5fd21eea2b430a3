//! Steps on a database's files.
//!
//! Steps that move or remove files hold the exclusive access lock: SQL is drained first, and the
//! lock is held until the outcome is in the log.
use crate::clock::Deadline;
use crate::data::{AccessError, ExclusiveGuard, FolderError, FolderPlace, Target};
use crate::domain::database::{Condition, Isolation};
use crate::domain::job::{JobErrorCode, StepOutcome};
use crate::engine::{DataFileError, Engine};
use crate::jobs::{Done, Step, StepContext, StepError};
use crate::open_files;
use futures_util::future::BoxFuture;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Files are created and moved within milliseconds; a disk that needs longer is faulty.
const FILE_TIME: Duration = Duration::from_secs(30);
/// The first database of a kind waits for what all of them are copied from.
const CREATE_TIME: Duration = Duration::from_secs(120);
/// How long a step waits for running SQL: the longest statement deadline is 60 s,
/// but retrying the step is better than waiting that long.
const DRAIN_TIME: Duration = Duration::from_secs(10);

pub(in crate::jobs) const RESERVE_FOLDER: Step = Step {
    name: "reserve_folder",
    time_limit: FILE_TIME,
    ensure: |context| reserve_folder(context),
    undo: Some(|context| discard(context)),
};

pub(in crate::jobs) const CREATE_FILE: Step = Step {
    name: "create_file",
    time_limit: CREATE_TIME,
    ensure: |context| create_file(context),
    undo: None, // goes with its folder
};

pub(in crate::jobs) const PROBE: Step = Step {
    name: "probe",
    time_limit: FILE_TIME,
    ensure: |context| probe(context),
    undo: None,
};

pub(in crate::jobs) const CLOSE: Step = Step {
    name: "close",
    time_limit: FILE_TIME,
    ensure: |context| close(context),
    undo: Some(|context| open(context)),
};

pub(in crate::jobs) const OPEN: Step = Step {
    name: "open",
    time_limit: FILE_TIME,
    ensure: |context| open(context),
    undo: Some(|context| close(context)),
};

pub(in crate::jobs) const MOVE_TO_TRASH: Step = Step {
    name: "move_to_trash",
    time_limit: FILE_TIME,
    ensure: |context| move_to_trash(context),
    undo: Some(|context| take_back_out(context)),
};

pub(in crate::jobs) const RESTORE_FROM_TRASH: Step = Step {
    name: "restore_from_trash",
    time_limit: FILE_TIME,
    ensure: |context| restore_from_trash(context),
    undo: Some(|context| put_back_in(context)),
};

pub(in crate::jobs) const SET_ASIDE: Step = Step {
    name: "set_aside",
    time_limit: FILE_TIME,
    ensure: |context| set_aside(context),
    undo: Some(|context| put_back(context)),
};

pub(in crate::jobs) const PURGE: Step = Step {
    name: "purge",
    time_limit: FILE_TIME,
    ensure: |context| purge(context),
    undo: None, // removed files do not come back: `has_no_way_back` lets the job only go forward
};

fn reserve_folder(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let folders = context.job_context.data.folders().clone();
        let id = context.database.id;
        blocking(context, move || folders.ensure_reserved(id)).await?;
        Ok(Done::with(StepOutcome::Nothing))
    })
}

fn create_file(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let engine = engine_of(context)?;
        let folder = context
            .job_context
            .data
            .folders()
            .living(context.database.id);
        let durability = context.database.durability;
        blocking(context, move || engine.create_file(&folder, durability)).await?;
        Ok(Done::with(StepOutcome::FilesCreated))
    })
}

fn probe(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let engine = engine_of(context)?;
        let folder = context
            .job_context
            .data
            .folders()
            .living(context.database.id);
        blocking(context, move || engine.probe(&folder)).await?;
        Ok(Done::with(StepOutcome::Nothing))
    })
}

fn close(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        // A worker that answers SQL has the files open until it is removed.
        let guard = match sql_needs_worker(context) {
            true => exclusive_before_removal(context).await?,
            false => lock_exclusively(context).await?,
        };
        Ok(Done::holding(StepOutcome::Stopped, guard))
    })
}

fn open(_: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    // The first SQL opens the files; this step only changes the state in the log.
    Box::pin(async { Ok(Done::with(StepOutcome::Started)) })
}

fn move_to_trash(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let guard = match lock_exclusively(context).await {
            // If the disk is too full for a checkpoint, the WAL is moved too.
            Err(StepError { error, .. }) if error.code == JobErrorCode::DiskFull => {
                acquire_exclusive_without_checkpoint(context).await?
            }
            taken => taken?,
        };
        let folders = context.job_context.data.folders().clone();
        let id = context.database.id;
        blocking(context, move || folders.ensure_trashed(id)).await?;
        Ok(Done::holding(StepOutcome::Trashed, guard))
    })
}

fn restore_from_trash(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let guard = lock_exclusively(context).await?;
        let folders = context.job_context.data.folders().clone();
        let id = context.database.id;
        blocking(context, move || folders.ensure_restored(id)).await?;
        Ok(Done::holding(StepOutcome::Undeleted, guard))
    })
}

/// Reverses a move to the trash. If the folder does not exist, nothing was moved.
fn take_back_out(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        if is_nowhere(context).await? {
            return Ok(Done::with(StepOutcome::Nothing));
        }
        restore_from_trash(context).await
    })
}

/// Reverses a move out of the trash. If the folder does not exist, nothing was moved.
fn put_back_in(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        if is_nowhere(context).await? {
            return Ok(Done::with(StepOutcome::Nothing));
        }
        move_to_trash(context).await
    })
}

async fn is_nowhere(context: &StepContext) -> Result<bool, StepError> {
    let folders = context.job_context.data.folders().clone();
    let id = context.database.id;
    let place = blocking(context, move || folders.place(id)).await?;
    Ok(place == FolderPlace::Nowhere)
}

fn set_aside(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let guard = acquire_exclusive_without_checkpoint(context).await?;
        let folders = context.job_context.data.folders().clone();
        let id = context.database.id;
        blocking(context, move || folders.ensure_set_aside(id)).await?;
        Ok(Done::holding(StepOutcome::SetAside, guard))
    })
}

fn put_back(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let guard = acquire_exclusive_without_checkpoint(context).await?;
        let folders = context.job_context.data.folders().clone();
        let id = context.database.id;
        blocking(context, move || folders.ensure_put_back(id)).await?;
        Ok(Done::holding(StepOutcome::Nothing, guard))
    })
}

fn purge(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let guard = acquire_exclusive_without_checkpoint(context).await?;
        let folders = context.job_context.data.folders().clone();
        let id = context.database.id;
        blocking(context, move || folders.ensure_purged(id)).await?;
        Ok(Done::holding(StepOutcome::Purged, guard))
    })
}

/// Rolls back a creation. Clients may have written before the worker failed: a file with data
/// goes to the trash, an empty one is removed.
fn discard(context: &StepContext) -> BoxFuture<'_, Result<Done, StepError>> {
    Box::pin(async {
        let engine = engine_of(context)?;
        let guard = lock_exclusively(context).await?;
        let folders = context.job_context.data.folders().clone();
        let (id, condition) = (context.database.id, context.database.condition);
        let outcome = blocking(context, move || {
            let was_open = condition != Condition::Creating;
            let holds_something = match folders.place(id)? {
                FolderPlace::Living => {
                    was_open && !engine.is_empty(&folders.living(id)).unwrap_or(false)
                }
                // This step ran before, but its result was not recorded.
                FolderPlace::Trash => true,
                FolderPlace::Nowhere => false,
            };
            if holds_something {
                folders.ensure_trashed(id)?;
                return Ok::<_, FolderError>(StepOutcome::Trashed);
            }
            folders.ensure_purged(id)?;
            Ok(StepOutcome::Nothing)
        })
        .await?;
        Ok(Done::holding(outcome, guard))
    })
}

/// Looks whether the database's worker can be started here.
pub(super) async fn check_start(context: &StepContext) -> Result<(), StepError> {
    let Ok(engine) = engine_of(context) else {
        return Ok(()); // its worker waits for a gateway that knows it
    };
    let folder = context
        .job_context
        .data
        .folders()
        .living(context.database.id);
    blocking(context, move || engine.check_start(&folder)).await
}

pub(super) async fn lock_exclusively(context: &StepContext) -> Result<ExclusiveGuard, StepError> {
    let deadline = Deadline::after(DRAIN_TIME);
    let target = target_of(context)?;
    let guard = context.job_context.data.take(&target, deadline);
    Ok(context.awaited(DRAIN_TIME, guard).await?)
}

pub(super) async fn acquire_exclusive_without_checkpoint(
    context: &StepContext,
) -> Result<ExclusiveGuard, StepError> {
    let deadline = Deadline::after(DRAIN_TIME);
    let data = &context.job_context.data;
    let target = target_of(context)?;
    let guard = data.exclusive_without_checkpoint(&target, deadline);
    Ok(context.awaited(DRAIN_TIME, guard).await?)
}

pub(super) fn engine_of(context: &StepContext) -> Result<Arc<dyn Engine>, StepError> {
    let engine = context.job_context.data.engine_of(&context.database);
    engine.cloned().map_err(|_| no_engine(context))
}

/// Whether the database's SQL is answered by its worker.
fn sql_needs_worker(context: &StepContext) -> bool {
    let engines = context.job_context.data.engines();
    engines.isolation_of(&context.database) == Isolation::Worker
}

/// Waits until the worker has answered what it was asked, if there may be something. Requests that
/// wait for a worker which is not there are not waited for: the next one answers them.
pub(super) async fn drain_worker(
    context: &StepContext,
) -> Result<Option<ExclusiveGuard>, StepError> {
    let data = &context.job_context.data;
    let target = target_of(context)?;
    if !data.has_asked_worker(&target) {
        return Ok(None);
    }
    exclusive_before_removal(context).await.map(Some)
}

async fn exclusive_before_removal(context: &StepContext) -> Result<ExclusiveGuard, StepError> {
    let deadline = Deadline::after(DRAIN_TIME);
    let target = target_of(context)?;
    let data = &context.job_context.data;
    let guard = data.exclusive_before_removal(&target, deadline);
    Ok(context.awaited(DRAIN_TIME, guard).await?)
}

/// Forgets what was known of the worker, which is gone.
pub(super) async fn forget_worker(context: &StepContext) -> Result<(), StepError> {
    let target = target_of(context)?;
    context.job_context.data.forget_worker(&target).await;
    Ok(())
}

fn target_of(context: &StepContext) -> Result<Target, StepError> {
    let target = context.job_context.data.target(&context.database);
    target.map_err(|_| no_engine(context))
}

fn no_engine(context: &StepContext) -> StepError {
    let name = &context.database.engine;
    StepError::permanent(
        JobErrorCode::Internal,
        format!("engine `{name}` is not available in this gateway"),
    )
}

/// Runs file operations on a blocking thread. When file descriptors run out, it closes idle
/// databases and tries again.
pub(super) async fn blocking<T, E>(
    context: &StepContext,
    work: impl Fn() -> Result<T, E> + Send + 'static,
) -> Result<T, StepError>
where
    T: Send + 'static,
    E: Into<StepError>,
{
    let data = context.job_context.data.clone();
    let worked = tokio::task::spawn_blocking(move || {
        loop {
            let worked = work().map_err(Into::into);
            match worked {
                Err(StepError { error, .. })
                    if error.code == JobErrorCode::Overloaded && data.close_idle() => {}
                worked => return worked,
            }
        }
    });
    worked.await.unwrap_or_else(|error| {
        Err(StepError::permanent(
            JobErrorCode::Internal,
            format!("a file operation was interrupted: {error}"),
        ))
    })
}

impl From<AccessError> for StepError {
    fn from(error: AccessError) -> Self {
        let code = match error {
            AccessError::NoFiles => JobErrorCode::Overloaded,
            AccessError::DiskFull => JobErrorCode::DiskFull,
            AccessError::Closed | AccessError::NotDrained | AccessError::NotCheckpointed { .. } => {
                JobErrorCode::DatabaseBusy
            }
        };
        Self::transient(code, error.to_string())
    }
}

impl From<FolderError> for StepError {
    fn from(error: FolderError) -> Self {
        let code = match &error {
            FolderError::Missing { .. } => JobErrorCode::DataMissing,
            FolderError::InTwoPlaces { .. } => JobErrorCode::Internal,
            FolderError::NotRemoved { source, .. } if open_files::are_used_up(source) => {
                JobErrorCode::Overloaded
            }
            FolderError::NotRemoved { .. } => JobErrorCode::FileNotRemoved,
            FolderError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                JobErrorCode::DiskFull
            }
            FolderError::Io { source, .. } if open_files::are_used_up(source) => {
                JobErrorCode::Overloaded
            }
            FolderError::Io { .. } => JobErrorCode::Internal,
        };
        Self::of_files(code, &error, error.is_transient())
    }
}

impl From<DataFileError> for StepError {
    fn from(error: DataFileError) -> Self {
        let code = match &error {
            DataFileError::Missing => JobErrorCode::DataMissing,
            DataFileError::DiskFull => JobErrorCode::DiskFull,
            DataFileError::NoFiles => JobErrorCode::Overloaded,
            DataFileError::Busy => JobErrorCode::DatabaseBusy,
            DataFileError::OtherVersion { .. } | DataFileError::Unavailable { .. } => {
                JobErrorCode::EngineUnavailable
            }
            DataFileError::NotADatabase { .. } | DataFileError::Io { .. } => JobErrorCode::Internal,
        };
        Self::of_files(code, &error, error.is_transient())
    }
}

impl StepError {
    /// The error of the disk goes to the log; users get what was tried.
    fn of_files(code: JobErrorCode, error: &dyn std::error::Error, is_transient: bool) -> Self {
        if let Some(source) = error.source() {
            tracing::warn!(%source, "{error}");
        }
        if is_transient {
            Self::transient(code, error.to_string())
        } else {
            Self::permanent(code, error.to_string())
        }
    }
}
