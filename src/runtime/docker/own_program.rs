//! This program, as a file for containers of images that do not have it.
use super::answer::NAME;
use crate::runtime::RuntimeError;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::sync::OnceCell;

/// What the name of each version's file begins with; a part of its hash follows.
const PREFIX: &str = "dbforge-";
/// Read at once.
const PIECE: usize = 1 << 20;

/// The file, made when it is first needed.
#[derive(Debug, Default)]
pub(super) struct OwnProgram(OnceCell<PathBuf>);

impl OwnProgram {
    /// Whether the file is there already.
    pub(super) fn is_known(&self) -> bool {
        self.0.initialized()
    }

    /// A copy of `program` in `folder`. It keeps its name, so a container made for it can be
    /// started for as long as it exists.
    pub(super) async fn file(
        &self,
        program: &Path,
        folder: PathBuf,
    ) -> Result<&Path, RuntimeError> {
        let program = program.to_owned();
        let copy = || async {
            let copied = tokio::task::spawn_blocking(move || copy(&program, &folder)).await;
            copied.unwrap_or_else(|error| Err(io::Error::other(error)))
        };
        let file = self.0.get_or_try_init(copy).await;
        file.map(PathBuf::as_path)
            .map_err(|error| RuntimeError::Failed {
                runtime: NAME,
                action: "copy this program for the worker".to_owned(),
                reason: error.to_string(),
            })
    }
}

fn copy(program: &Path, folder: &Path) -> io::Result<PathBuf> {
    let name = format!("{PREFIX}{}", hash(program)?);
    let file = folder.join(&name);
    if file.exists() {
        return Ok(file);
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let fresh = folder.join(format!(".{name}.new"));
    fs::copy(program, &fresh)?;
    fs::set_permissions(&fresh, Permissions::from_mode(0o555))?;
    File::open(&fresh)?.sync_all()?;
    fs::rename(&fresh, &file)?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn hash(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hex::encode(&hasher.finalize()[..8])),
            read => hasher.update(&piece[..read]),
        }
    }
}

/// Removes the files in `folder` that were made by other versions than `current`, unless one of
/// `used` (paths as the host sees them) has the same name.
pub(super) async fn remove_unused(folder: PathBuf, current: PathBuf, used: Vec<String>) {
    let removed = tokio::task::spawn_blocking(move || {
        let names: Vec<&str> = used.iter().filter_map(|it| it.rsplit('/').next()).collect();
        let listed = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in listed.map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str());
            let is_unused = name.is_some_and(|it| it.starts_with(PREFIX) && !names.contains(&it));
            if is_unused && path != current {
                // One that stays costs a few megabytes.
                let _ = fs::remove_file(path);
            }
        }
    });
    let _ = removed.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_is_made_once_and_those_that_no_container_has_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let (program, folder) = (home.path().join("program"), home.path().join("bin"));
        let mut copies = Vec::new();
        for version in ["first", "second", "third"] {
            fs::write(&program, version).unwrap();
            let file = copy(&program, &folder).unwrap();
            assert_eq!(copy(&program, &folder).unwrap(), file);
            assert_eq!(fs::read_to_string(&file).unwrap(), version);
            let mode = fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o555);
            copies.push(file);
        }
        let used = format!("/host/{}", copies[0].file_name().unwrap().display());
        remove_unused(folder, copies[2].clone(), vec![used]).await;
        let stay: Vec<bool> = copies.iter().map(|copy| copy.exists()).collect();
        assert_eq!(stay, [true, false, true]);
    }
}
