//! A database's folder: its cluster made, looked at and measured.
use super::control_file::ControlFile;
use super::copying::{self, remove};
use crate::engine::{DataFile, DataFileError};
use crate::whole_file;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};

/// The cluster in a database's folder.
pub(in crate::engine::postgres) const CLUSTER: &str = "pgdata";
/// The folder of the server's socket.
const SOCKET_FOLDER: &str = "run";
/// The server's socket in it. PostgreSQL names it after the port that it does not listen on.
const SOCKET: &str = ".s.PGSQL.5432";
/// Held by the server for as long as it runs.
const LOCK: &str = "lock";

/// What a server that was killed leaves. Their process may be another one's by now, for which a new
/// server would wait.
pub(in crate::engine::postgres) const LEFTOVERS: &[&str] = &[
    "pgdata/postmaster.pid",
    "run/.s.PGSQL.5432.lock",
    "run/.s.PGSQL.5432",
];

/// Under this name a cluster is made; only a whole one gets the real name.
const NEW_CLUSTER: &str = "pgdata.new";
/// What a cluster was copied from.
const ORIGIN: &str = "origin";
/// The write-ahead log of a cluster: bounded by the server's settings, so it counts for no limit.
const WAL: &str = "pg_wal";
/// What makes a folder a cluster.
pub(super) const VERSION_FILE: &str = "PG_VERSION";
const CONTROL_FILE: &str = "global/pg_control";

/// What a new cluster needs, with what the first server writes, and something for the event log.
const ROOM_FOR_ONE_MORE: u64 = 96 << 20;

/// Whether a folder has a cluster, whatever its state.
pub(in crate::engine::postgres) fn has_cluster(folder: &Path) -> bool {
    folder.join(CLUSTER).symlink_metadata().is_ok()
}

/// Copies `template` into `folder`, which has no cluster.
pub(in crate::engine::postgres) fn create(
    folder: &Path,
    template: &Path,
) -> Result<(), DataFileError> {
    let (cluster, new) = (folder.join(CLUSTER), folder.join(NEW_CLUSTER));
    if !has_room_for_one_more(folder) {
        return Err(DataFileError::DiskFull);
    }
    let origin = ControlFile::read(&template.join(CONTROL_FILE))?.next_xid;
    let made = || -> io::Result<()> {
        remove(&new)?;
        let found = folder.metadata()?;
        let owner = (found.uid(), found.gid());
        copying::copy_folder(template, &new, Some(owner))?;
        let run = folder.join(SOCKET_FOLDER);
        match DirBuilder::new().mode(0o700).create(&run) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => chown(&run, Some(owner.0), Some(owner.1))?,
        }
        whole_file::replace(&folder.join(ORIGIN), origin.to_string().as_bytes())?;
        copying::sync_all_in(folder)?;
        fs::rename(&new, &cluster)?;
        File::open(folder)?.sync_all()
    };
    made().map_err(|error| DataFileError::of_io("create the database", &error))
}

/// Looks whether a server of `major` can be started on the cluster in `folder`.
pub(in crate::engine::postgres) fn probe(
    folder: &Path,
    major: Option<u32>,
) -> Result<(), DataFileError> {
    let seen =
        data_file(folder).map_err(|error| DataFileError::of_io("look for the database", &error))?;
    if seen != DataFile::InPlace {
        return Err(DataFileError::Missing);
    }
    ControlFile::read(&folder.join(CLUSTER).join(CONTROL_FILE))?;
    let found = major_of(&folder.join(CLUSTER))?;
    match major {
        Some(major) if major != found => Err(DataFileError::OtherVersion {
            found: format!("PostgreSQL {found}"),
            served: format!("PostgreSQL {major}"),
        }),
        _ => Ok(()),
    }
}

/// The major version whose servers can use a cluster.
pub(in crate::engine::postgres) fn major_of(cluster: &Path) -> Result<u32, DataFileError> {
    let text = fs::read_to_string(cluster.join(VERSION_FILE));
    let text = text.map_err(|error| DataFileError::of_io("read the database's version", &error))?;
    text.trim()
        .parse()
        .map_err(|_| DataFileError::NotADatabase {
            reason: "its file PG_VERSION holds no version".to_owned(),
        })
}

/// Whether nothing was ever written to it: no transaction that writes has run since it was made,
/// and the control file can tell, because the server was shut down properly.
pub(in crate::engine::postgres) fn is_empty(folder: &Path) -> Result<bool, DataFileError> {
    probe(folder, None)?;
    let control = ControlFile::read(&folder.join(CLUSTER).join(CONTROL_FILE))?;
    let origin = fs::read_to_string(folder.join(ORIGIN)).unwrap_or_default();
    Ok(control.is_shut_down && origin.trim().parse() == Ok(control.next_xid))
}

/// There is nothing to settle in the files of a server that has ended; one that runs holds the
/// lock.
pub(in crate::engine::postgres) fn require_closed(folder: &Path) -> Result<(), DataFileError> {
    if folder.is_symlink() {
        return Ok(());
    }
    let lock = match File::open(folder.join(LOCK)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DataFileError::of_io("look whether the server runs", &error)),
    };
    match flock(&lock, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(DataFileError::Busy),
        Err(error) => Err(DataFileError::of_io(
            "look whether the server runs",
            &error.into(),
        )),
    }
}

/// How the cluster stands in its folder, by the two files that every server reads first.
pub(in crate::engine::postgres) fn data_file(folder: &Path) -> io::Result<DataFile> {
    let look = |path: &Path| match path.symlink_metadata() {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    };
    let cluster = folder.join(CLUSTER);
    for folder in [folder, &cluster, &cluster.join("global")] {
        match look(folder)? {
            Some(found) if found.is_symlink() => return Ok(DataFile::Link),
            Some(found) if found.is_dir() => {}
            _ => return Ok(DataFile::Missing),
        }
    }
    for name in [VERSION_FILE, CONTROL_FILE] {
        match look(&cluster.join(name))? {
            Some(file) if file.is_symlink() => return Ok(DataFile::Link),
            Some(file) if file.is_file() && file.nlink() > 1 => return Ok(DataFile::TwoNames),
            Some(file) if file.is_file() && file.len() > 0 => {}
            _ => return Ok(DataFile::Missing),
        }
    }
    Ok(DataFile::InPlace)
}

/// Bytes of the cluster without its write-ahead log.
pub(in crate::engine::postgres) fn size_bytes(folder: &Path) -> u64 {
    copying::bytes_below(&folder.join(CLUSTER), WAL)
}

/// The server's socket, by a way that is short enough for the system, however deep the folder lies:
/// through a descriptor of the folder, which must stay open until the socket is connected.
///
/// # Errors
/// When there is no such folder.
pub fn socket(folder: &Path) -> io::Result<(File, PathBuf)> {
    use std::os::fd::AsRawFd as _;
    let run = File::open(folder.join(SOCKET_FOLDER))?;
    let path = format!("/proc/self/fd/{}/{SOCKET}", run.as_raw_fd());
    Ok((run, PathBuf::from(path)))
}

fn has_room_for_one_more(folder: &Path) -> bool {
    // A file system that does not tell says itself when it is full.
    rustix::fs::statvfs(folder).map_or(true, |found| {
        found.f_bavail.saturating_mul(found.f_frsize) >= ROOM_FOR_ONE_MORE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A folder with what makes it a database, as far as it is read without a server.
    fn with_cluster(folder: &Path, version: &str, state: u32, next_xid: u64) {
        let cluster = folder.join(CLUSTER);
        fs::create_dir_all(cluster.join("global")).unwrap();
        fs::write(cluster.join(VERSION_FILE), version).unwrap();
        let mut control = vec![0_u8; 8192];
        control[8..12].copy_from_slice(&1300_u32.to_ne_bytes());
        control[16..20].copy_from_slice(&state.to_ne_bytes());
        control[64..72].copy_from_slice(&next_xid.to_ne_bytes());
        fs::write(cluster.join(CONTROL_FILE), control).unwrap();
        fs::write(folder.join(ORIGIN), "739").unwrap();
    }

    #[test]
    fn files_of_another_major_version_are_refused_by_name() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        with_cluster(folder, "14\n", 1, 739);
        probe(folder, None).unwrap();
        let error = probe(folder, Some(15)).unwrap_err();
        assert!(!error.is_transient());
        let text = error.to_string();
        assert!(
            text.contains("of PostgreSQL 14") && text.contains("has PostgreSQL 15"),
            "{text}"
        );
        fs::write(folder.join("pgdata/PG_VERSION"), "tea").unwrap();
        let error = probe(folder, Some(15)).unwrap_err();
        assert!(
            matches!(error, DataFileError::NotADatabase { .. }),
            "{error}"
        );
    }

    #[test]
    fn only_a_cluster_that_was_closed_and_never_written_to_is_empty() {
        for (state, next_xid, empty) in [(1, 739, true), (1, 740, false), (6, 739, false)] {
            let home = tempfile::tempdir().unwrap();
            with_cluster(home.path(), "15", state, next_xid);
            assert_eq!(is_empty(home.path()).unwrap(), empty, "{state} {next_xid}");
        }
    }

    #[test]
    fn a_folder_whose_server_runs_is_in_use() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path();
        require_closed(folder).unwrap();
        let lock = File::create(folder.join(LOCK)).unwrap();
        require_closed(folder).unwrap();
        flock(&lock, FlockOperation::LockExclusive).unwrap();
        assert_eq!(require_closed(folder), Err(DataFileError::Busy));
        drop(lock);
        require_closed(folder).unwrap();
    }

    #[test]
    fn a_cluster_is_in_its_place_only_without_links_and_second_names() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("database");
        assert_eq!(data_file(&folder).unwrap(), DataFile::Missing);
        with_cluster(&folder, "15", 1, 739);
        assert_eq!(data_file(&folder).unwrap(), DataFile::InPlace);
        let (cluster, elsewhere) = (folder.join(CLUSTER), home.path().join("elsewhere"));
        fs::rename(&cluster, &elsewhere).unwrap();
        symlink(&elsewhere, &cluster).unwrap();
        assert_eq!(data_file(&folder).unwrap(), DataFile::Link);
        fs::remove_file(&cluster).unwrap();
        fs::rename(&elsewhere, &cluster).unwrap();
        fs::hard_link(cluster.join(VERSION_FILE), home.path().join("other")).unwrap();
        assert_eq!(data_file(&folder).unwrap(), DataFile::TwoNames);
    }
}
