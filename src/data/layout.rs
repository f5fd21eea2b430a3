//! The folders of the data folder: plain ones, on one file system, and the files in them.
use crate::engine::sqlite::MAIN_FILE;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Every folder of ours. What is missing is made when it is needed.
const FOLDERS: &[&str] = &["databases", "trash", "backups", ".forge"];

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

/// How the file of a database stands in its folder. Only a file in its place is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataFile {
    /// A plain file with one name, in a plain folder.
    InPlace,
    /// There is none, or it is empty: it was made with a header.
    Missing,
    /// It, or its folder, is a link, which is not followed.
    Link,
    /// It has a second name, under which it may be another's.
    TwoNames,
}

impl DataFile {
    /// Looks into the folder of a database.
    ///
    /// # Errors
    /// When the disk refuses to tell.
    pub fn look_in(folder: &Path) -> io::Result<Self> {
        let look = |path: &Path| match path.symlink_metadata() {
            Ok(it) => Ok(Some(it)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let (Some(folder), file) = (look(folder)?, folder.join(MAIN_FILE)) else {
            return Ok(Self::Missing);
        };
        if folder.is_symlink() {
            return Ok(Self::Link);
        }
        Ok(match look(&file)? {
            Some(it) if it.is_symlink() => Self::Link,
            Some(it) if it.is_file() && it.nlink() > 1 => Self::TwoNames,
            Some(it) if it.is_file() && it.len() > 0 => Self::InPlace,
            _ => Self::Missing,
        })
    }

    /// What is seen and what helps; nothing where it is in its place.
    #[must_use]
    pub fn trouble(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::InPlace => None,
            Self::Missing => Some((
                "is missing",
                "bring it back from a backup, or purge the database",
            )),
            Self::Link => Some((
                "is a link or lies behind one, which is not followed",
                "put the folder itself in its place; a purge removes the link and nothing behind it",
            )),
            Self::TwoNames => Some((
                "has a second name (a hard link), so that two databases may be one",
                "remove the other name, or put a copy in its place",
            )),
        }
    }
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
    fn a_file_is_in_its_place_only_without_links_and_second_names() {
        let home = std::env::temp_dir().join(format!("dbforge-{}", uuid::Uuid::new_v4()));
        let (folder, elsewhere) = (home.join("folder"), home.join("elsewhere"));
        fs::create_dir_all(&elsewhere).unwrap();
        let look = || DataFile::look_in(&folder).unwrap();
        let file = folder.join(MAIN_FILE);
        assert_eq!(look(), DataFile::Missing);
        fs::write(elsewhere.join(MAIN_FILE), "whole").unwrap();
        symlink(&elsewhere, &folder).unwrap();
        assert_eq!(look(), DataFile::Link, "the folder");
        fs::remove_file(&folder).unwrap();
        fs::create_dir(&folder).unwrap();
        assert_eq!(look(), DataFile::Missing);
        symlink(elsewhere.join(MAIN_FILE), &file).unwrap();
        assert_eq!(look(), DataFile::Link, "the file");
        fs::remove_file(&file).unwrap();
        fs::hard_link(elsewhere.join(MAIN_FILE), &file).unwrap();
        assert_eq!(look(), DataFile::TwoNames);
        fs::remove_file(elsewhere.join(MAIN_FILE)).unwrap();
        assert_eq!(look(), DataFile::InPlace);
        fs::write(&file, "").unwrap();
        assert_eq!(look(), DataFile::Missing, "empty");
        fs::remove_dir_all(home).unwrap();
    }

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
