//! Whether a worker could work: is its database there, and is it one?
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What every SQLite file begins with: <https://www.sqlite.org/fileformat2.html#magic_header_string>.
const SQLITE_HEADER: &[u8; 16] = b"SQLite format 3\0";

/// The database's file in its folder.
const DATABASE_FILE: &str = "main.db";

/// Checks that `folder` holds a database: a regular `main.db` that begins as SQLite's files do, or
/// is empty, as a new one is until its first page is written.
///
/// It reads 16 bytes and takes no lock, so it may run often.
///
/// # Errors
/// What is wrong with the file; the engine shows it as the check's output.
pub fn health(folder: &Path) -> Result<(), Unfit> {
    let path = folder.join(DATABASE_FILE);
    // Not followed: a link in a database's folder leads to what is not the database's.
    let kind = path
        .symlink_metadata()
        .map_err(|source| Unfit::unreadable(&path, source))?
        .file_type();
    if !kind.is_file() {
        return Err(Unfit::NotAFile { path });
    }
    let mut start = Vec::with_capacity(SQLITE_HEADER.len());
    File::open(&path)
        .and_then(|file| {
            file.take(SQLITE_HEADER.len() as u64)
                .read_to_end(&mut start)
        })
        .map_err(|source| Unfit::unreadable(&path, source))?;
    if start.is_empty() || start == SQLITE_HEADER {
        Ok(())
    } else {
        Err(Unfit::NotADatabase { path })
    }
}

/// Why a worker could not work.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The file is missing, or is not ours to read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The database's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A link, a folder, a pipe.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// The database's file.
        path: PathBuf,
    },
    /// It begins otherwise than SQLite's files do.
    #[error("{} is not an SQLite database", path.display())]
    NotADatabase {
        /// The database's file.
        path: PathBuf,
    },
}

impl Unfit {
    fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            source,
        }
    }
}
