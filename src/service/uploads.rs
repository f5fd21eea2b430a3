//! Files that are uploaded to be imported.
use super::Service;
use super::caller::{AccessDenied, Caller};
use crate::clock::Deadline;
use crate::data::uploads::{Receiving, Upload, UploadError, UploadSender};
use crate::domain::ids::UploadId;
use crate::domain::token::Scope;
use std::sync::Arc;

/// Why a caller does not get an upload.
#[derive(Debug, thiserror::Error)]
pub enum FileRequestError {
    /// The caller may not.
    #[error(transparent)]
    Denied(#[from] AccessDenied),
    /// It is not taken, or not there.
    #[error(transparent)]
    Upload(#[from] UploadError),
}

impl Service {
    /// Begins to receive a file of `announced` bytes, where that is known. Nothing of it has to be
    /// there yet.
    ///
    /// # Errors
    /// When the caller may not change anything, or the file is not taken.
    pub fn receive_upload(
        &self,
        caller: &Caller,
        announced: Option<u64>,
    ) -> Result<Receiving, FileRequestError> {
        may_upload(caller)?;
        let id = UploadId(self.control.fresh_request().0);
        let uploads = self.data.uploads();
        Ok(uploads.receive(id, caller.token_id(), announced)?)
    }

    /// Stores a file whose bytes have all come.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn store_upload(
        &self,
        caller: &Caller,
        received: Receiving,
        content_type: Option<String>,
        is_of_a_call: bool,
    ) -> Result<Arc<Upload>, UploadError> {
        let sender = UploadSender {
            token: caller.token_id(),
            actor: caller.actor(),
            content_type,
            is_of_a_call,
        };
        received.finish(sender, self.control.clock().now()).await
    }

    /// The caller's uploads, oldest first; every one for an admin.
    ///
    /// # Errors
    /// When the caller may not have any.
    pub fn uploads(&self, caller: &Caller) -> Result<Vec<Arc<Upload>>, AccessDenied> {
        may_upload(caller)?;
        let mut uploads = self.data.uploads().all();
        uploads.retain(|upload| caller.may_use(upload));
        Ok(uploads)
    }

    /// An upload that the caller may use.
    ///
    /// # Errors
    /// When there is none of that id.
    pub fn upload(&self, caller: &Caller, id: &str) -> Result<Arc<Upload>, FileRequestError> {
        may_upload(caller)?;
        let found = id.parse().ok().and_then(|id| self.data.uploads().find(id));
        let found = found.filter(|upload| caller.may_use(upload));
        found.ok_or_else(|| UploadError::NotFound(id.to_owned()).into())
    }

    /// Removes an upload.
    ///
    /// # Errors
    /// When there is none, or a job uses it.
    pub async fn remove_upload(&self, caller: &Caller, id: &str) -> Result<(), FileRequestError> {
        let id = self.upload(caller, id)?.id;
        let current = self.control.current();
        if current
            .state
            .jobs()
            .any(|job| job.kind.upload() == Some(id))
        {
            return Err(UploadError::InUse(id).into());
        }
        let uploads = self.data.uploads().clone();
        let removed = tokio::task::spawn_blocking(move || uploads.remove(id)).await;
        Ok(removed.map_err(|error| UploadError::Io {
            action: "remove the upload",
            source: std::io::Error::other(error),
        })??)
    }

    /// How long a client that uploads may send nothing from now on.
    #[must_use]
    pub fn upload_patience(&self) -> Deadline {
        Deadline::after(self.data.uploads().bounds().upload_idle)
    }
}

fn may_upload(caller: &Caller) -> Result<(), AccessDenied> {
    if caller.has_scope(Scope::Manage) {
        return Ok(());
    }
    caller.require(Scope::Write)
}

impl Caller {
    /// Whether an upload is the caller's, or the caller is an admin.
    #[must_use]
    pub fn may_use(&self, upload: &Upload) -> bool {
        upload.token == self.token_id() || self.has_scope(Scope::Admin) && self.covers_all()
    }
}
