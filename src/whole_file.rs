//! Small files that are replaced as a whole.
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Puts `contents` in the place of `file`: readers find the old contents or the new ones, also
/// after a power loss. Only the owner may read it. Blocks.
///
/// It is written as `<file>.new` first, so one file is replaced by one thread at a time.
///
/// # Errors
/// When the disk refuses; the old file is in its place then.
pub fn replace(file: &Path, contents: &[u8]) -> io::Result<()> {
    let fresh = file.with_added_extension("new");
    let mut writing = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    writing.write_all(contents)?;
    writing.sync_all()?;
    fs::rename(&fresh, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(
            folder.path().join("key.new"),
            "what a crash left of a longer one",
        )
        .unwrap();
        for contents in ["the first", "2nd"] {
            replace(&file, contents.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), contents);
        }
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_the_old_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        replace(&file, b"old").unwrap();
        fs::create_dir(folder.path().join("key.new")).unwrap();
        replace(&file, b"new").unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }
}
