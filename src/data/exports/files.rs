//! Whole databases as files, as the data plane makes and keeps them.
use super::kept::{ExportedFile, FileInMaking, Resumption};
use crate::data::DataPlane;
use crate::domain::ids::DatabaseId;
use crate::engine::access_lock::SharedGuard;
use crate::engine::exporting::FileKind;
use crate::engine::registry::SnapshotHold;
use crate::engine::sql::{QueryError, Target};
use std::sync::Arc;

impl DataPlane {
    /// Begins to make a file of a database.
    ///
    /// # Errors
    /// When its engine makes none, as many are being made as may, or the disk has no room.
    pub fn begin_file(&self, target: &Target) -> Result<FileInMaking, QueryError> {
        let engine = self.engines.find(target.engine);
        if !engine.is_some_and(|engine| engine.capabilities().file_exports) {
            return Err(QueryError::NotSupported {
                engine: target.engine.to_owned(),
                what: "exports of whole databases",
            });
        }
        let living = self.folders.living(target.database);
        let bytes = engine.map_or(0, |engine| engine.size_bytes(&living));
        self.exports.files.begin(target.database, bytes)
    }

    /// Counts a reader of a database that is in another process. While the result lives, writes do
    /// not wait for that reader.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub fn hold_snapshot(
        &self,
        guard: &SharedGuard,
        target: &Target,
    ) -> Result<SnapshotHold, QueryError> {
        self.executor_of(target)?.hold_snapshot(guard, target)
    }

    /// A file that a download goes on of, if it is still there.
    #[must_use]
    pub fn kept_file(
        &self,
        database: DatabaseId,
        kind: FileKind,
        resumption: &Resumption,
    ) -> Option<Arc<ExportedFile>> {
        self.exports.files.find(database, kind, resumption)
    }
}
