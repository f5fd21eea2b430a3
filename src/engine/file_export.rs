//! Whole databases as files. Called in a process of its own, which is killed when it is not wanted
//! any more.
use super::DataFileError;
use std::io::{self, Write};
use std::path::Path;

/// Takes databases out of an engine as files. Every call blocks.
///
/// First a copy is made, as fast as the disk allows: only that touches the database. All else is
/// made of the copy.
pub trait FileExporter: Send + Sync {
    /// Copies the database in `folder`, as it is committed now, into the folder `copy`, which is
    /// empty. Writes go on meanwhile.
    ///
    /// # Errors
    /// When it is missing or damaged, or the disk refuses.
    fn copy(&self, folder: &Path, copy: &Path) -> Result<(), FileExportError>;

    /// Writes what is in `copy` to the new file `out`: compact, and of the engine's own kind.
    ///
    /// # Errors
    /// As [`Self::copy`].
    fn write_file(&self, copy: &Path, out: &Path) -> Result<(), FileExportError>;

    /// Writes what is in `copy` as SQL. Returns the names of tables whose rows cannot be written.
    ///
    /// # Errors
    /// As [`Self::copy`], and when something in it has no form in SQL.
    fn write_sql(&self, copy: &Path, out: &mut dyn Write) -> Result<Vec<String>, FileExportError>;
}

/// Why a database did not become a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileExportError {
    /// Its files could not be worked on.
    #[error(transparent)]
    Data(#[from] DataFileError),
    /// Something in it has no form in this format.
    #[error("{0}")]
    NoForm(String),
}

impl From<io::Error> for FileExportError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull {
            return DataFileError::DiskFull.into();
        }
        DataFileError::Io {
            action: "write the export",
            reason: error.to_string(),
        }
        .into()
    }
}
