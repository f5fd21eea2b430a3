//! Copies of whole folders: by reference where the file system can share blocks.
use rustix::fs::ioctl_ficlone;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, fchown, lchown};
use std::path::Path;

/// Copies the folder `from` to `to`, which does not exist, for `owner` (user and group) alone.
/// What is neither folder nor plain file is left out. Not synced.
pub(super) fn copy_folder(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    if let Some((user, group)) = owner {
        lchown(to, Some(user), Some(group))?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (from, to, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            copy_folder(&from, &to, owner)?;
        } else if kind.is_file() {
            copy_file(&from, &to, owner)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut options = OpenOptions::new();
    let mut copy = options.write(true).create_new(true).mode(0o600).open(to)?;
    if ioctl_ficlone(&copy, &source).is_err() {
        io::copy(&mut source, &mut copy)?; // copy_file_range, where the kernel has it
    }
    if let Some((user, group)) = owner {
        fchown(&copy, Some(user), Some(group))?;
    }
    Ok(())
}

/// Brings everything that was written to the file system of `folder` to the disk: one call for a
/// thousand files.
pub(super) fn sync_all_in(folder: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(folder)?)?;
    Ok(())
}

/// Removes a folder with everything in it; one that is not there is as good.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Bytes of the plain files below `folder`, but for what is in a folder named `except`. What goes
/// away meanwhile counts as nothing.
pub(super) fn bytes_below(folder: &Path, except: &str) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let bytes_of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() && entry.file_name() != except => {
            bytes_below(&entry.path(), except)
        }
        Ok(found) if found.is_file() => found.len(),
        _ => 0,
    };
    entries.flatten().map(bytes_of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    #[test]
    fn a_copy_has_every_file_and_no_link_and_is_for_its_owner_alone() {
        let home = tempfile::tempdir().unwrap();
        let (from, to) = (home.path().join("from"), home.path().join("to"));
        fs::create_dir_all(from.join("base/1")).unwrap();
        fs::write(from.join("base/1/1259"), [7; 10_000]).unwrap();
        fs::write(from.join("PG_VERSION"), "15\n").unwrap();
        symlink("/etc/passwd", from.join("link")).unwrap();
        copy_folder(&from, &to, None).unwrap();
        sync_all_in(&to).unwrap();
        assert_eq!(fs::read(to.join("base/1/1259")).unwrap(), [7; 10_000]);
        assert!(to.join("link").symlink_metadata().is_err());
        let file = to.join("PG_VERSION").metadata().unwrap();
        assert_eq!(
            (file.permissions().mode() & 0o777, file.nlink()),
            (0o600, 1)
        );
        assert_eq!(bytes_below(&to, "pg_wal"), 10_003);
        assert_eq!(bytes_below(&to, "base"), 3);
        copy_folder(&from, &to, None).unwrap_err();
    }
}
