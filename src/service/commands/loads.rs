//! Loads: an uploaded file in the place of what a database holds.
use super::preview::Preview;
use super::{CommandError, CommandRequest, Enqueued, Outcome};
use crate::data::uploads::{Upload, UploadError};
use crate::data::{Access, QueryOptions};
use crate::domain::command::Command;
use crate::domain::ids::{DatabaseId, UploadId};
use crate::domain::load::{LoadForm, LoadMode};
use crate::domain::state::State;
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::{AccessDenied, Caller};
use std::sync::Arc;

impl Service {
    /// Whether the caller may load a file into a database, and the database takes one: looked at
    /// before the file is sent. Returns the database. Where it is not looked inside, the job does.
    ///
    /// # Errors
    /// When it does not; [`CommandError::NotEmpty`] when it has tables already.
    pub async fn may_load(
        &self,
        caller: &Caller,
        reference: &str,
        mode: LoadMode,
        looks_inside: bool,
    ) -> Result<DatabaseId, CommandError> {
        may_load_in(caller, mode)?;
        let current = self.control.current();
        let database = caller.find_database(&current.state, reference)?;
        let engine = self.data.engine_of(database).ok();
        if !engine.is_some_and(|engine| engine.capabilities().loads) {
            return Err(CommandError::NotLoaded {
                engine: database.engine.to_string(),
            });
        }
        if mode == LoadMode::IntoEmpty && looks_inside {
            let entered = self.enter(caller, reference).await?;
            let options = QueryOptions::for_access(Access::ReadOnly);
            let schema = self.data.schema(&entered.guard, &entered.target, &options);
            // A database that cannot be asked is judged by the job.
            if schema.await.is_ok_and(|schema| !schema.tables.is_empty()) {
                return Err(CommandError::NotEmpty(database.name.to_string()));
            }
        }
        Ok(database.id)
    }

    /// Loads an upload into a database, by a job.
    ///
    /// # Errors
    /// As [`Self::may_load`], or when the command is refused.
    pub async fn load_database(
        &self,
        request: &CommandRequest,
        reference: &str,
        upload: &Arc<Upload>,
        form: Option<LoadForm>,
        mode: LoadMode,
    ) -> Result<Outcome<Enqueued>, CommandError> {
        let caller = &request.caller;
        may_load_in(caller, mode)?;
        let upload = upload.id;
        let command = |state: &State| {
            let database = caller.find_database(state, reference)?.id;
            Ok(Command::LoadDatabase {
                database,
                upload,
                form,
                mode,
            })
        };
        self.enqueue(request, command).await
    }

    /// What loading a file that was not sent yet would bring about.
    ///
    /// # Errors
    /// As [`Self::load_database`].
    pub fn preview_load(
        &self,
        request: &CommandRequest,
        reference: &str,
        upload: UploadId,
        form: Option<LoadForm>,
        mode: LoadMode,
    ) -> Result<Preview, CommandError> {
        let current = self.control.current();
        let database = request.caller.find_database(&current.state, reference)?.id;
        let command = Command::LoadDatabase {
            database,
            upload,
            form,
            mode,
        };
        self.preview(request, &command)
    }

    /// The upload that a command names.
    ///
    /// # Errors
    /// When the caller has none of that id.
    pub fn upload_to_load(&self, caller: &Caller, id: &str) -> Result<Arc<Upload>, CommandError> {
        let found = id.parse().ok().and_then(|id| self.data.uploads().find(id));
        let found = found.filter(|upload| caller.may_use(upload));
        found.ok_or_else(|| CommandError::Upload(Arc::new(UploadError::NotFound(id.to_owned()))))
    }

    /// Lets an upload that came with a call go with its job; at once where there is none.
    pub async fn leave_to_job(&self, upload: &Upload, has_job: bool) {
        let (uploads, id) = (self.data.uploads().clone(), upload.id);
        if has_job {
            uploads.note_submitted(id);
            return;
        }
        let removed = tokio::task::spawn_blocking(move || uploads.remove(id)).await;
        if !matches!(removed, Ok(Ok(()))) {
            tracing::warn!(upload.id = %id, "failed to remove an upload");
        }
    }
}

/// Writing takes `write`; what moves a database's contents to the trash takes `manage`, too.
fn may_load_in(caller: &Caller, mode: LoadMode) -> Result<(), AccessDenied> {
    caller.require(Scope::Write)?;
    match mode {
        LoadMode::Replace => caller.require(Scope::Manage),
        LoadMode::IntoEmpty | LoadMode::Insert => Ok(()),
    }
}
