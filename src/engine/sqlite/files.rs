//! The files of a database: made, asked, settled.
use super::sandbox::c_calls;
use super::sandbox::c_calls::NotOpened;
use crate::domain::database::Durability;
use crate::engine::{DataFile, DataFileError};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

/// The database's file in its folder.
pub const MAIN_FILE: &str = "main.db";
/// What was committed and has not been brought into the main file yet.
pub const WAL_FILE: &str = "main.db-wal";

/// Under this name a database is made; only a whole one gets the real name.
const NEW_FILE: &str = "main.db.new";

/// How long opening waits for another process that has the file locked.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn create(folder: &Path, durability: Durability) -> Result<(), DataFileError> {
    let main = folder.join(MAIN_FILE);
    if main.symlink_metadata().is_ok() {
        return probe(folder);
    }
    if !has_room_for_one_more(folder) {
        return Err(DataFileError::DiskFull);
    }
    let new = folder.join(NEW_FILE);
    for rest in ["", "-wal", "-shm", "-journal"] {
        let file = folder.join(format!("{NEW_FILE}{rest}"));
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DataFileError::of_io(
                    "remove what an earlier try left",
                    &error,
                ));
            }
            _ => {}
        }
    }
    write_new(&new, durability).map_err(|error| sqlite_error("create the database", &error))?;
    keep(&new, folder).map_err(|error| DataFileError::of_io("write the database", &error))?;
    fs::rename(&new, &main)
        .and_then(|()| File::open(folder)?.sync_all())
        .map_err(|error| DataFileError::of_io("put the database in place", &error))
}

/// A new database leaves the last of the disk to what makes room.
fn has_room_for_one_more(folder: &Path) -> bool {
    // A file system that does not tell says itself when it is full.
    rustix::fs::statvfs(folder).map_or(true, |it| {
        it.f_bavail.saturating_mul(it.f_frsize) >= ROOM_LEFT_BY_A_NEW_ONE
    })
}

/// Beside the reserve of the event log: the log of some hundred deletes.
const ROOM_LEFT_BY_A_NEW_ONE: u64 = 2 << 20;

/// An empty database whose header says WAL: what is opened later needs no change first.
fn write_new(file: &Path, durability: Durability) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    super::process::set_up_process();
    let sqlite = Connection::open_with_flags(file, flags)?;
    let synchronous = match durability {
        Durability::Full => "FULL",
        Durability::Relaxed => "NORMAL",
    };
    sqlite.pragma_update(None, "synchronous", synchronous)?;
    sqlite.pragma_update(None, "journal_mode", "WAL")?;
    sqlite.close().map_err(|(_, error)| error)
}

/// Gives the file to whom the folder belongs, to nobody else, and to the disk.
fn keep(file: &Path, folder: &Path) -> io::Result<()> {
    fs::set_permissions(file, Permissions::from_mode(0o600))?;
    let (owner, made) = (fs::metadata(folder)?, fs::metadata(file)?);
    if (owner.uid(), owner.gid()) != (made.uid(), made.gid()) {
        chown(file, Some(owner.uid()), Some(owner.gid()))?;
    }
    File::open(file)?.sync_all()
}

pub(super) fn probe(folder: &Path) -> Result<(), DataFileError> {
    let file = folder.join(MAIN_FILE);
    require_plain(&file)?;
    open(&file)
        .and_then(|it| {
            it.query_row("SELECT count(*) FROM sqlite_schema", [], |row| {
                row.get::<_, i64>(0)
            })
        })
        .map(|_| ())
        .map_err(|error| sqlite_error("ask the database", &error))
}

/// Neither a table nor a number of the owner's own in the header.
pub(super) fn is_empty(folder: &Path) -> Result<bool, DataFileError> {
    let file = folder.join(MAIN_FILE);
    require_plain(&file)?;
    let marks = "SELECT (SELECT count(*) FROM sqlite_schema)
                     + abs((SELECT user_version FROM pragma_user_version))
                     + abs((SELECT application_id FROM pragma_application_id))";
    open(&file)
        .and_then(|connection| connection.query_row(marks, [], |row| row.get::<_, i64>(0)))
        .map(|it| it == 0)
        .map_err(|error| sqlite_error("ask the database", &error))
}

pub(super) fn checkpoint_and_close(folder: &Path) -> Result<(), DataFileError> {
    // What lies behind a link is none of ours.
    if folder.is_symlink() {
        return Ok(());
    }
    let file = folder.join(MAIN_FILE);
    match require_plain(&file) {
        Err(DataFileError::Missing) => return Ok(()),
        other => other?,
    }
    if !folder.join(WAL_FILE).exists() {
        return Ok(());
    }
    let settled = || -> rusqlite::Result<bool> {
        let sqlite = open(&file)?;
        let is_busy: bool =
            sqlite.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        sqlite.close().map_err(|(_, error)| error)?;
        Ok(!is_busy)
    };
    match settled() {
        Ok(true) => Ok(()),
        Ok(false) => Err(DataFileError::Busy),
        Err(error) => Err(sqlite_error("settle the database", &error)),
    }
}

/// A database is one regular file with one name: neither a link nor a second name for another's.
/// It was made with a header, so an empty file is what an accident left of one.
pub(super) fn require_plain(file: &Path) -> Result<(), DataFileError> {
    match file.symlink_metadata() {
        Ok(it) if it.is_file() && it.nlink() == 1 && it.len() > 0 => Ok(()),
        Ok(_) => Err(DataFileError::Missing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DataFileError::Missing),
        Err(error) => Err(DataFileError::of_io("look for the database's file", &error)),
    }
}

/// For our own statements alone; strangers' SQL gets a `SqliteConnection`.
fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    super::process::set_up_process();
    let sqlite = Connection::open_with_flags(file, flags)?;
    sqlite.busy_timeout(BUSY_TIMEOUT)?;
    Ok(sqlite)
}

pub(super) fn sqlite_error(action: &'static str, error: &rusqlite::Error) -> DataFileError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DataFileError::NotADatabase {
            reason: error.to_string(),
        },
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DataFileError::Busy,
        Some(ErrorCode::DiskFull) => DataFileError::DiskFull,
        Some(ErrorCode::CannotOpen) => match c_calls::why_it_was_not_opened() {
            NotOpened::NoFiles => DataFileError::NoFiles,
            NotOpened::DiskFull => DataFileError::DiskFull,
            NotOpened::Missing | NotOpened::Refused => DataFileError::Io {
                action,
                reason: error.to_string(),
            },
        },
        _ => DataFileError::Io {
            action,
            reason: error.to_string(),
        },
    }
}

/// Puts one database in the place of another, which is kept. Both are closed, with nothing in a WAL.
///
/// What is replaced gets a second name first, so that at every moment a whole database has the name
/// that is served: one that is cut off between has two names, is not opened, and is gone on with.
pub(super) fn replace(
    living: &Path,
    incoming: &Path,
    outgoing: &Path,
) -> Result<(), DataFileError> {
    let [living_file, incoming_file, outgoing_file] =
        [living, incoming, outgoing].map(|folder| folder.join(MAIN_FILE));
    if incoming_file.symlink_metadata().is_err() {
        return Ok(());
    }
    let failed = |error: io::Error| DataFileError::of_io("replace the database", &error);
    for folder in [living, incoming] {
        let wal = folder.join(WAL_FILE);
        if wal.metadata().is_ok_and(|it| it.len() > 0) {
            return Err(DataFileError::Busy);
        }
        for rest in ["-wal", "-shm"] {
            match fs::remove_file(folder.join(format!("{MAIN_FILE}{rest}"))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    let has_one = living_file.symlink_metadata().is_ok();
    if has_one && outgoing_file.symlink_metadata().is_err() {
        match fs::hard_link(&living_file, &outgoing_file) {
            Ok(()) => {}
            // A file system without second names.
            Err(_) => fs::rename(&living_file, &outgoing_file).map_err(failed)?,
        }
        sync_folder(outgoing).map_err(failed)?;
    }
    fs::rename(&incoming_file, &living_file).map_err(failed)?;
    for folder in [living, incoming, outgoing] {
        sync_folder(folder).map_err(failed)?;
    }
    Ok(())
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        opened => opened?.sync_all(),
    }
}

/// Looks into the folder of a database.
///
/// # Errors
/// When the disk refuses to tell.
pub(super) fn data_file(folder: &Path) -> io::Result<DataFile> {
    let look = |path: &Path| match path.symlink_metadata() {
        Ok(it) => Ok(Some(it)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    };
    let (Some(folder), file) = (look(folder)?, folder.join(MAIN_FILE)) else {
        return Ok(DataFile::Missing);
    };
    if folder.is_symlink() {
        return Ok(DataFile::Link);
    }
    Ok(match look(&file)? {
        Some(it) if it.is_symlink() => DataFile::Link,
        Some(it) if it.is_file() && it.nlink() > 1 => DataFile::TwoNames,
        Some(it) if it.is_file() && it.len() > 0 => DataFile::InPlace,
        _ => DataFile::Missing,
    })
}

/// Bytes of the database's files.
pub(super) fn size_bytes(folder: &Path) -> u64 {
    let files = [MAIN_FILE, WAL_FILE].map(|name| folder.join(name));
    let sizes = files
        .iter()
        .filter_map(|file| Some(file.metadata().ok()?.len()));
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_is_in_its_place_only_without_links_and_second_names() {
        let home = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (home.path().join("folder"), home.path().join("elsewhere"));
        fs::create_dir_all(&elsewhere).unwrap();
        let look = || data_file(&folder).unwrap();
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
    }
}
