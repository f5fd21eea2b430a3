//! A file that nobody can remove until it is let go of.
use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder with a file in it; both stay, for root and for everybody else.
pub(crate) struct Unremovable {
    folder: PathBuf,
}

impl Unremovable {
    /// Makes `stays/file` below `parent`.
    pub(crate) fn below(parent: &Path) -> Self {
        let folder = parent.join("stays");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        // This holds everybody but root, the flag holds root.
        fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
        set_immutable(&folder, true);
        let removed = fs::remove_file(folder.join("file"));
        assert!(removed.is_err(), "this machine removes what it must not");
        Self { folder }
    }

    /// Lets go of it, wherever it lies by now.
    pub(crate) fn release(&mut self, now_in: &Path) {
        self.folder = now_in.join("stays");
        set_immutable(&self.folder, false);
        fs::set_permissions(&self.folder, Permissions::from_mode(0o700)).unwrap();
    }
}

/// Of use for root alone, and only root may.
fn set_immutable(folder: &Path, immutable: bool) {
    let file = File::open(folder).unwrap();
    if let Ok(mut flags) = ioctl_getflags(&file) {
        flags.set(IFlags::IMMUTABLE, immutable);
        let _ = ioctl_setflags(&file, flags);
    }
}
