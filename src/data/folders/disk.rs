//! Folders on the disk: made, listed, synced, and removed as far as that goes.
use super::error::{FolderError, failed};
use crate::domain::ids::DatabaseId;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

pub(super) fn ensure_folder(folder: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        other => other,
    }
}

/// Makes sure that a folder is gone with everything in it. Links are removed, not followed.
pub(super) fn remove(folder: &Path) -> Result<(), FolderError> {
    let Err(error) = absent_is_fine(fs::remove_dir_all(folder)) else {
        return Ok(());
    };
    // That has stopped at the first file that stays, and does not say at which.
    let mut stays = None;
    remove_each(folder, &mut stays);
    match stays {
        Some((path, source)) => Err(FolderError::NotRemoved {
            file: shown_in(folder, &path),
            source,
        }),
        None if folder.symlink_metadata().is_ok() => {
            Err(failed("remove the database's folder")(error))
        }
        None => Ok(()),
    }
}

/// Removes what can be removed, and keeps the first path that cannot.
fn remove_each(path: &Path, stays: &mut Option<(PathBuf, io::Error)>) {
    let is_folder = path.symlink_metadata().is_ok_and(|it| it.is_dir());
    if is_folder {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            remove_each(&entry.path(), stays);
        }
    }
    let removed = if is_folder {
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    };
    if let Err(source) = absent_is_fine(removed)
        && stays.is_none()
    {
        *stays = Some((path.to_owned(), source));
    }
}

/// A path within a database's folder, as users may see it.
fn shown_in(folder: &Path, path: &Path) -> String {
    match path.strip_prefix(folder) {
        Ok(inner) if !inner.as_os_str().is_empty() => inner.display().to_string(),
        _ => "the folder itself".to_owned(),
    }
}

pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

pub(super) fn list(folder: &Path) -> io::Result<Vec<DatabaseId>> {
    let mut databases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let name = name.to_str().unwrap_or_default();
        // A UUID has other spellings; only ours is a database's folder.
        databases.extend(
            name.parse()
                .ok()
                .filter(|it: &DatabaseId| it.to_string() == name),
        );
    }
    databases.sort_unstable();
    Ok(databases)
}
