//! Drift: an operator's approval, and what the reconciler set aside.
use super::{CommandError, CommandRequest};
use crate::control::Accepted;
use crate::data::FolderPlace;
use crate::domain::command::Command;
use crate::jobs::drift::ReconcilerPass;
use crate::jobs::reconciler::Finding;
use crate::service::Service;

impl Service {
    /// Lets the reconciler act once, however much there is to do.
    ///
    /// # Errors
    /// When the caller may not.
    pub async fn allow_drift(&self, request: &CommandRequest) -> Result<Accepted, CommandError> {
        request.caller.require_admin()?;
        let drift = &self.workers.drift;
        let held_back = u32::try_from(drift.last().plan.halted.len()).unwrap_or(u32::MAX);
        let command = Command::AllowPass { held_back };
        let accepted = self.carry_out(request, |_| Ok(command)).await?;
        // Said again with the same key, it was said once.
        if !accepted.replayed {
            drift.allow_once();
        }
        Ok(accepted)
    }

    /// Removes a worker that the reconciler has set aside.
    ///
    /// # Errors
    /// When the caller may not, there is none in quarantine, or the runtime does not remove it.
    pub async fn remove_quarantined_worker(
        &self,
        request: &CommandRequest,
        worker: String,
    ) -> Result<Accepted, CommandError> {
        request.caller.require_admin()?;
        if let Some(earlier) = self.find_earlier(request).await? {
            return Ok(earlier);
        }
        let current = self.control.current();
        if !current.state.quarantined.contains(&worker) {
            return Err(CommandError::WorkerNotFound(worker));
        }
        // Gone first: the log must not say so of one that is still there. A call cut off in between
        // is made up for by the reconciler, which sees that it is gone.
        self.runtime.remove_quarantined(&worker).await?;
        self.carry_out(request, |_| Ok(Command::EndQuarantine { worker }))
            .await
    }

    /// Moves a folder that belongs to no database to the trash.
    ///
    /// # Errors
    /// When the caller may not, or the reconciler has found no such folder.
    pub async fn trash_unknown_folder(
        &self,
        request: &CommandRequest,
        folder: String,
    ) -> Result<Accepted, CommandError> {
        request.caller.require_admin()?;
        if let Some(earlier) = self.find_earlier(request).await? {
            return Ok(earlier);
        }
        if !is_unknown(&self.workers.drift.last(), &folder) {
            return Err(CommandError::FolderNotFound(folder));
        }
        if self.control.current().read_only.is_some() {
            return Err(CommandError::FoldersLeftAlone);
        }
        let folders = self.data.folders().clone();
        let name = folder.clone();
        let moved = tokio::task::spawn_blocking(move || folders.trash_stranger(&name)).await;
        let trashed_as = moved
            .map_err(CommandError::internal)?
            .map_err(CommandError::internal)?
            .ok_or_else(|| CommandError::FolderNotFound(folder.clone()))?;
        let command = Command::RecordTrashedFolder { folder, trashed_as };
        let accepted = self.carry_out(request, |_| Ok(command)).await?;
        self.workers.drift.look_again();
        Ok(accepted)
    }
}

fn is_unknown(pass: &ReconcilerPass, folder: &str) -> bool {
    let wanted = Finding::UnknownFolder {
        place: FolderPlace::Living,
        name: folder.to_owned(),
    };
    pass.plan.findings.contains(&wanted)
}
