//! Imports: the rows of an uploaded file into one table.
use super::preview::Preview;
use super::{CommandError, CommandRequest, Enqueued, Outcome};
use crate::domain::command::Command;
use crate::domain::ids::UploadId;
use crate::domain::import::TableImport;
use crate::domain::state::State;
use crate::domain::token::Scope;
use crate::service::Service;
use crate::service::caller::Caller;

impl Service {
    /// Whether the caller may import rows into a database: looked at before the file is sent.
    ///
    /// # Errors
    /// When it may not, or the database's engine takes no rows.
    pub fn may_import(&self, caller: &Caller, reference: &str) -> Result<(), CommandError> {
        caller.require(Scope::Write)?;
        let current = self.control.current();
        let database = caller.find_database(&current.state, reference)?;
        let engine = self.data.engine_of(database).ok();
        if engine.is_some_and(|engine| engine.capabilities().loads) {
            return Ok(());
        }
        Err(CommandError::NotLoaded {
            engine: database.engine.to_string(),
        })
    }

    /// Imports the rows of an upload, by a job.
    ///
    /// # Errors
    /// As [`Self::may_import`], or when the command is refused.
    pub async fn import_table(
        &self,
        request: &CommandRequest,
        reference: &str,
        upload: UploadId,
        import: TableImport,
    ) -> Result<Outcome<Enqueued>, CommandError> {
        let caller = &request.caller;
        caller.require(Scope::Write)?;
        let import = Box::new(import);
        let command = |state: &State| {
            let database = caller.find_database(state, reference)?.id;
            Ok(Command::ImportTable {
                database,
                upload,
                import: import.clone(),
            })
        };
        self.enqueue(request, command).await
    }

    /// What importing a file that was not sent yet would bring about.
    ///
    /// # Errors
    /// As [`Self::import_table`].
    pub fn preview_import(
        &self,
        request: &CommandRequest,
        reference: &str,
        upload: UploadId,
        import: TableImport,
    ) -> Result<Preview, CommandError> {
        let current = self.control.current();
        let database = request.caller.find_database(&current.state, reference)?.id;
        let command = Command::ImportTable {
            database,
            upload,
            import: Box::new(import),
        };
        self.preview(request, &command)
    }
}
