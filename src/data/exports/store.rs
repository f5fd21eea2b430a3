//! The exports of a data folder.
use super::bounds::{ExportBounds, Turns};
use super::kept::Files;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where exports are made and wait for their clients, in the data folder. Nothing in it outlives the
/// process.
const EXPORTS_FOLDER: &str = "exports";

/// The exports of one data folder. Clones are the same.
#[derive(Debug, Clone)]
pub(in crate::data) struct Exports {
    pub(super) folder: Arc<PathBuf>,
    pub(super) bounds: Arc<ExportBounds>,
    pub(super) rows: Turns,
    pub(super) files: Files,
}

impl Exports {
    /// Removes what an earlier process left, and begins anew. `owner` is the user and group of the
    /// processes that make files.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(in crate::data) fn open(
        data_dir: &Path,
        bounds: ExportBounds,
        owner: Option<(u32, u32)>,
    ) -> io::Result<Self> {
        let folder = data_dir.canonicalize()?.join(EXPORTS_FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Those that make files in it may have another user.
        DirBuilder::new().mode(0o711).create(&folder)?;
        Ok(Self {
            rows: Turns::new(bounds.rows_in_all, bounds.rows_per_database),
            files: Files::new(folder.clone(), bounds.clone(), owner),
            folder: Arc::new(folder),
            bounds: Arc::new(bounds),
        })
    }
}
