//! The folders of databases: reserved, trashed, restored, purged.
//!
//! Every call blocks, may be repeated, and may be cut off anywhere and run again. What moves moves
//! by one rename inside one filesystem. A folder that is in a place already is never written over.
mod disk;
mod error;

pub use error::FolderError;

use self::disk::{absent_is_fine, ensure_folder, list, remove, sync};
use self::error::failed;
use crate::data::layout::{LayoutError, check_layout};
use crate::domain::ids::{DatabaseId, JobId};
use crate::engine::DatabasesFolder;
use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

/// Where the folders of databases are.
#[derive(Debug, Clone)]
pub struct Folders {
    living: DatabasesFolder,
    trash: PathBuf,
    owner: Option<(u32, u32)>,
}

/// Where one database's folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FolderPlace {
    /// Among the living.
    Living,
    /// In the trash.
    Trash,
    /// Nowhere.
    Nowhere,
}

/// A folder on its way in or out begins with one of these, so that none is taken for a database.
const RESERVING: &str = ".reserving-";
const PURGING: &str = ".purging-";
/// In front of a job's id: where that job builds a database.
const BUILDING: &str = ".building-";
/// Prefix of what was moved to the trash although no database was known by it.
const STRANGER: &str = "unknown-";

impl Folders {
    /// The folders under `data_dir`; makes what is missing of `databases/` and `trash/`. The
    /// folders of databases are given to `owner` (user, group).
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(data_dir: &Path, owner: Option<(u32, u32)>) -> Result<Self, FolderError> {
        let opened = || -> io::Result<Self> {
            for name in ["databases", "trash"] {
                ensure_folder(&data_dir.join(name), 0o711)?;
            }
            sync(data_dir)?;
            // SQLite follows no link anywhere in a path, so ours has none.
            let data_dir = data_dir.canonicalize()?;
            Ok(Self {
                living: DatabasesFolder::new(data_dir.join("databases")),
                trash: data_dir.join("trash"),
                owner,
            })
        };
        opened().map_err(failed("open the folder of databases"))
    }

    /// Looks whether both folders are still what they were at the start.
    ///
    /// # Errors
    /// What keeps databases from being served out of them.
    pub fn check_layout(&self) -> Result<(), LayoutError> {
        check_layout(self.living.path().parent().unwrap_or(Path::new("/")))
    }

    /// The folder that holds the living ones: on the one filesystem that holds everything.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.living.path()
    }

    /// Where the folders of living databases are.
    #[must_use]
    pub fn databases(&self) -> &DatabasesFolder {
        &self.living
    }

    /// The folder of a living database.
    #[must_use]
    pub fn living(&self, database: DatabaseId) -> PathBuf {
        self.living.of(database)
    }

    /// The folder of a database in the trash.
    #[must_use]
    pub fn trashed(&self, database: DatabaseId) -> PathBuf {
        self.trash.join(database.to_string())
    }

    /// Where a database's folder is.
    ///
    /// # Errors
    /// When the disk refuses to tell, or it is in two places.
    pub fn place(&self, database: DatabaseId) -> Result<FolderPlace, FolderError> {
        // A link stands where the folder should, wherever it leads.
        let look = |it: &Path| match it.symlink_metadata() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed("look for a folder")(error)),
        };
        match (
            look(&self.living(database))?,
            look(&self.trashed(database))?,
        ) {
            (true, false) => Ok(FolderPlace::Living),
            (false, true) => Ok(FolderPlace::Trash),
            (false, false) => Ok(FolderPlace::Nowhere),
            (true, true) => Err(FolderError::InTwoPlaces { database }),
        }
    }

    /// Every database that has a living folder. Names that are no database's are left out.
    ///
    /// # Errors
    /// When the list cannot be read to its end.
    pub fn list_living(&self) -> Result<Vec<DatabaseId>, FolderError> {
        list(self.living.path()).map_err(failed("list the folders of databases"))
    }

    /// Every database that has a folder in the trash.
    ///
    /// # Errors
    /// When the list cannot be read to its end.
    pub fn list_trashed(&self) -> Result<Vec<DatabaseId>, FolderError> {
        list(&self.trash).map_err(failed("list the trash"))
    }

    /// Everything that lies among the living and in the trash, by name.
    ///
    /// # Errors
    /// When a list cannot be read to its end.
    pub fn entries(&self) -> Result<Vec<(FolderPlace, String)>, FolderError> {
        let rooms = [
            (FolderPlace::Living, self.living.path()),
            (FolderPlace::Trash, &self.trash),
        ];
        let read = || -> io::Result<Vec<(FolderPlace, String)>> {
            let mut found = Vec::new();
            for (place, room) in rooms {
                for entry in fs::read_dir(room)? {
                    let name = entry?.file_name().to_string_lossy().into_owned();
                    found.push((place, name));
                }
            }
            found.sort_unstable();
            Ok(found)
        };
        read().map_err(failed("list the folders of databases"))
    }

    /// Moves something that lies among the living and is no database's to the trash, under a
    /// name that no database has, and returns that name; `None` when it is not there any more.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn trash_stranger(&self, name: &str) -> Result<Option<String>, FolderError> {
        let from = self.living.path().join(name);
        if from.symlink_metadata().is_err() {
            return Ok(None);
        }
        let to = (0..)
            .map(|n| format!("{STRANGER}{n}-{name}"))
            .find(|it| !self.trash.join(it).exists())
            .expect("the numbers do not end");
        self.move_folder(&from, &self.trash.join(&to))?;
        Ok(Some(to))
    }

    /// Makes sure that the database has a living folder, 0700, its owner's.
    ///
    /// # Errors
    /// When the disk refuses, or the database is in the trash.
    pub fn ensure_reserved(&self, database: DatabaseId) -> Result<PathBuf, FolderError> {
        let folder = self.living(database);
        match self.place(database)? {
            FolderPlace::Living => return Ok(folder),
            FolderPlace::Trash => return Err(FolderError::InTwoPlaces { database }),
            FolderPlace::Nowhere => {}
        }
        let new = self.living.path().join(format!("{RESERVING}{database}"));
        let reserved = || -> io::Result<()> {
            ensure_folder(&new, 0o700)?;
            if let Some((user, group)) = self.owner {
                chown(&new, Some(user), Some(group))?;
            }
            sync(&new)?;
            fs::rename(&new, &folder)?;
            sync(self.living.path())
        };
        reserved().map_err(failed("reserve the database's folder"))?;
        Ok(folder)
    }

    /// Makes sure that the database is in the trash.
    ///
    /// # Errors
    /// When the disk refuses, or there is nothing to move.
    pub fn ensure_trashed(&self, database: DatabaseId) -> Result<(), FolderError> {
        match self.place(database)? {
            FolderPlace::Trash => self.sync_both(),
            FolderPlace::Living => {
                self.move_folder(&self.living(database), &self.trashed(database))
            }
            FolderPlace::Nowhere => Err(FolderError::Missing { database }),
        }
    }

    /// Makes sure that the database is out of the trash.
    ///
    /// # Errors
    /// When the disk refuses, or there is nothing to move.
    pub fn ensure_restored(&self, database: DatabaseId) -> Result<(), FolderError> {
        match self.place(database)? {
            FolderPlace::Living => self.sync_both(),
            FolderPlace::Trash => self.move_folder(&self.trashed(database), &self.living(database)),
            FolderPlace::Nowhere => Err(FolderError::Missing { database }),
        }
    }

    /// Makes sure that the database is out of its place, living or in the trash, and still whole:
    /// half a database must never be found in its place.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure_set_aside(&self, database: DatabaseId) -> Result<(), FolderError> {
        let set_aside = || -> io::Result<()> {
            for (room, folder) in self.places(database) {
                absent_is_fine(fs::rename(&folder, going(room, database)))?;
            }
            Ok(())
        };
        set_aside().map_err(failed("set the database's folder aside"))?;
        self.sync_both()
    }

    /// Makes sure that a database that was set aside is in its place again.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure_put_back(&self, database: DatabaseId) -> Result<(), FolderError> {
        let put_back = || -> io::Result<()> {
            for (room, folder) in self.places(database) {
                absent_is_fine(fs::rename(going(room, database), &folder))?;
            }
            Ok(())
        };
        put_back().map_err(failed("put the database's folder back"))?;
        self.sync_both()
    }

    /// Makes sure that nothing is left of the database, wherever it is. What can be removed is,
    /// whatever else cannot.
    ///
    /// # Errors
    /// When the disk refuses; [`FolderError::NotRemoved`] names the first file that stays.
    pub fn ensure_purged(&self, database: DatabaseId) -> Result<(), FolderError> {
        // What an earlier try has left of one that was set aside goes first: it is in the way.
        for (room, folder) in self.places(database) {
            if folder.symlink_metadata().is_ok() {
                remove(&going(room, database))?;
            }
        }
        self.ensure_set_aside(database)?;
        for (room, _) in self.places(database) {
            remove(&going(room, database))?;
        }
        remove(&self.living.path().join(format!("{RESERVING}{database}")))?;
        self.sync_both()
    }

    /// Makes sure that a job has a folder to build a database in, 0700, the databases' owner's.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure_building(&self, job: JobId) -> Result<PathBuf, FolderError> {
        let folder = self.building(job);
        self.ensure_owned(&folder)?;
        Ok(folder)
    }

    /// Where a job builds a database.
    #[must_use]
    pub fn building(&self, job: JobId) -> PathBuf {
        self.living.path().join(format!("{BUILDING}{job}"))
    }

    /// Makes sure that there is a folder in the trash for what is to be kept.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure_kept(&self, database: DatabaseId) -> Result<PathBuf, FolderError> {
        let folder = self.trashed(database);
        self.ensure_owned(&folder)?;
        Ok(folder)
    }

    /// Makes sure that nothing is kept in the trash after all.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure_not_kept(&self, database: DatabaseId) -> Result<(), FolderError> {
        remove(&self.trashed(database))
    }

    /// Whether the trash has a folder of this database.
    #[must_use]
    pub fn has_trashed(&self, database: DatabaseId) -> bool {
        self.trashed(database).is_dir()
    }

    /// Makes sure that nothing is left of what a job has built.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn ensure_not_building(&self, job: JobId) -> Result<(), FolderError> {
        remove(&self.building(job))
    }

    /// The jobs that have a folder to build a database in.
    ///
    /// # Errors
    /// When the list cannot be read to its end.
    pub fn list_building(&self) -> Result<Vec<JobId>, FolderError> {
        let read = || -> io::Result<Vec<JobId>> {
            let mut jobs = Vec::new();
            for entry in fs::read_dir(self.living.path())? {
                let name = entry?.file_name();
                let id = name.to_str().and_then(|it| it.strip_prefix(BUILDING));
                jobs.extend(id.and_then(|id| id.parse::<JobId>().ok()));
            }
            Ok(jobs)
        };
        read().map_err(failed("list the folders of databases"))
    }

    fn ensure_owned(&self, folder: &Path) -> Result<(), FolderError> {
        let owned = || -> io::Result<()> {
            ensure_folder(folder, 0o700)?;
            if let Some((user, group)) = self.owner {
                chown(folder, Some(user), Some(group))?;
            }
            sync(folder)
        };
        owned().map_err(failed("make a folder for the database"))
    }

    /// Where a database may be: the room, and its folder in it.
    fn places(&self, database: DatabaseId) -> [(&Path, PathBuf); 2] {
        [
            (self.living.path(), self.living(database)),
            (&self.trash, self.trashed(database)),
        ]
    }

    fn move_folder(&self, from: &Path, to: &Path) -> Result<(), FolderError> {
        fs::rename(from, to).map_err(failed("move the database's folder"))?;
        self.sync_both()
    }

    /// An earlier try may have been cut off between the move and this.
    fn sync_both(&self) -> Result<(), FolderError> {
        sync(self.living.path())
            .and_then(|()| sync(&self.trash))
            .map_err(failed("sync the folder of databases"))
    }
}

/// Where a database's folder lies once it is set aside.
fn going(room: &Path, database: DatabaseId) -> PathBuf {
    room.join(format!("{PURGING}{database}"))
}
