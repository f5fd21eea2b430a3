//! The folders of the data folder: plain ones, on one file system.
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Every folder of ours. What is missing is made when it is needed.
const FOLDERS: &[&str] = &[
    "databases",
    "trash",
    "backups",
    "uploads",
    "exports",
    ".forge",
];

/// Between these a database moves by one rename.
const MOVES_BETWEEN: [&str; 2] = ["databases", "trash"];

/// Why a data folder cannot be served from.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// SQLite follows no link, and a rename out of one leads elsewhere.
    #[error(
        "{} is a link, which is not followed: put the folder itself there, or set DBFORGE_DATA_DIR \
         to where all of it may lie", folder.display()
    )]
    Link {
        /// Which folder.
        folder: PathBuf,
    },
    /// Something else has its name.
    #[error("{} is no folder: move it away", folder.display())]
    NoFolder {
        /// What lies there.
        folder: PathBuf,
    },
    /// A database could not be moved to the trash.
    #[error(
        "{} and {} are on two file systems, between which a database cannot be moved: put both \
         on one", folders[0].display(), folders[1].display()
    )]
    TwoFileSystems {
        /// Which.
        folders: [PathBuf; 2],
    },
    /// The system does not tell.
    #[error("{} cannot be looked at: {source}", folder.display())]
    Unknown {
        /// Which folder.
        folder: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// Looks at the folders in `data_dir`, as far as they are there.
///
/// # Errors
/// What keeps databases from being served out of them.
pub fn check_layout(data_dir: &Path) -> Result<(), LayoutError> {
    for name in FOLDERS {
        look_at(data_dir.join(name))?;
    }
    let folders = MOVES_BETWEEN.map(|it| data_dir.join(it));
    let devices = folders
        .clone()
        .map(|it| look_at(it).map(|it| it.map(|it| it.dev())));
    if let [Ok(Some(one)), Ok(Some(other))] = devices
        && one != other
    {
        return Err(LayoutError::TwoFileSystems { folders });
    }
    Ok(())
}

fn look_at(folder: PathBuf) -> Result<Option<Metadata>, LayoutError> {
    match folder.symlink_metadata() {
        Ok(it) if it.is_symlink() => Err(LayoutError::Link { folder }),
        Ok(it) if it.is_dir() => Ok(Some(it)),
        Ok(_) => Err(LayoutError::NoFolder { folder }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LayoutError::Unknown { folder, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn each_folder_is_a_folder_itself_and_no_link() {
        let home = std::env::temp_dir().join(format!("dbforge-{}", uuid::Uuid::new_v4()));
        let (data_dir, elsewhere) = (home.join("data"), home.join("elsewhere"));
        fs::create_dir_all(&data_dir).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        check_layout(&data_dir).unwrap();
        for name in FOLDERS {
            let folder = data_dir.join(name);
            for target in [elsewhere.clone(), home.join("nowhere")] {
                symlink(target, &folder).unwrap();
                let found = check_layout(&data_dir);
                assert!(matches!(found, Err(LayoutError::Link { .. })), "{found:?}");
                fs::remove_file(&folder).unwrap();
            }
            fs::write(&folder, "").unwrap();
            let found = check_layout(&data_dir);
            assert!(
                matches!(found, Err(LayoutError::NoFolder { .. })),
                "{found:?}"
            );
            fs::remove_file(&folder).unwrap();
            fs::create_dir(&folder).unwrap();
            check_layout(&data_dir).unwrap();
        }
        fs::remove_dir_all(home).unwrap();
    }
}
