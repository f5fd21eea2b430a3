//! Exports: the rows of a table or a query as they are read, and whole databases as files.
//!
//! An export never holds its database for longer than reading takes, however slow its client is:
//! what the client has not taken yet waits in a file.
mod bounds;
mod form;
mod rows;
mod spill;
mod tables;

pub use bounds::ExportBounds;
pub use form::ExportForm;
pub use rows::{ExportSource, ExportedRows, RowExportStopper};

use self::bounds::Turns;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where exports wait for their clients, in the data folder. Nothing in it outlives the process.
pub(super) const EXPORTS_FOLDER: &str = "exports";

/// The exports of one data folder. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Exports(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    folder: PathBuf,
    bounds: ExportBounds,
    rows: Turns,
}

impl Exports {
    /// Removes what an earlier process left, and begins anew.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn open(data_dir: &Path, bounds: ExportBounds) -> io::Result<Self> {
        let folder = data_dir.canonicalize()?.join(EXPORTS_FOLDER);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        DirBuilder::new().mode(0o700).create(&folder)?;
        let rows = Turns::new(bounds.rows_in_all, bounds.rows_per_database);
        Ok(Self(Arc::new(Inside {
            folder,
            bounds,
            rows,
        })))
    }
}
