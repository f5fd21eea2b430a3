//! The cluster that all others are copied from: made once for each version, by the version's own
//! programs, with the roles and their secrets in it.
use super::cluster::{CLUSTER, VERSION_FILE};
use super::copying::{copy_folder, remove, sync_all_in};
use crate::engine::postgres::bounded_run::{self, Ended};
use crate::engine::postgres::roles::{
    DATABASE, OWNER, RoleSecrets, statements_for_database, statements_for_server,
};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Counts the ways in which templates have been made: raise it with every change below.
const GENERATION: u32 = 1;

/// `initdb` takes half a second, and ten with half a processor.
const MAKING_TIME: Duration = Duration::from_secs(60);

/// Everything else about a server stands on its command line.
const CONFIGURATION: &str = "# Settings are given on the server's command line.\n";

/// Nothing but passwords, and nothing but the socket.
const HOST_RULES: &str = "local all all scram-sha-256\n";

/// The templates of a forge.
#[derive(Debug)]
pub(in crate::engine::postgres) struct Templates {
    folder: PathBuf,
}

/// How a template is made.
#[derive(Debug)]
pub(in crate::engine::postgres) struct Making<'a> {
    /// Where the version's programs are.
    pub(in crate::engine::postgres) bin: &'a Path,
    /// Who runs them, where this process is root: PostgreSQL's programs refuse to run as root.
    pub(in crate::engine::postgres) user: Option<(u32, u32)>,
    pub(in crate::engine::postgres) secrets: &'a RoleSecrets,
}

impl Templates {
    pub(in crate::engine::postgres) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The template of this version with the secrets of this key, which `make` makes in an empty folder where it is missing:
    /// the cluster's folder. One call at a time.
    pub(in crate::engine::postgres) fn ensure(
        &self,
        version: &str,
        key: &str,
        make: impl FnOnce(&Path) -> io::Result<()>,
    ) -> io::Result<PathBuf> {
        let name = format!("postgres-{version}-{key}-{GENERATION}");
        let template = self.folder.join(&name);
        let cluster = template.join(CLUSTER);
        if cluster.join(VERSION_FILE).is_file() {
            return Ok(cluster);
        }
        // Who makes it passes through to the folder that is to be filled.
        ensure_folder(&self.folder, 0o711)?;
        self.remove_others()?;
        let new = self.folder.join(format!(".new-{name}"));
        ensure_folder(&new, 0o700)?;
        make(&new)?;
        // From now on it is the gateway's alone.
        let own = self.folder.metadata()?;
        chown_to(&new, &own)?;
        sync_all_in(&new)?;
        fs::rename(&new, &template)?;
        File::open(&self.folder)?.sync_all()?;
        Ok(cluster)
    }

    /// Removes what was made by other versions, and what was not finished.
    fn remove_others(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            remove(&entry?.path())?;
        }
        Ok(())
    }
}

impl Making<'_> {
    /// Makes the cluster in `folder`, which is empty.
    pub(in crate::engine::postgres) fn make(&self, folder: &Path) -> io::Result<()> {
        if let Some((user, group)) = self.user {
            chown(folder, Some(user), Some(group))?;
        }
        let cluster = folder.join(CLUSTER);
        let mut initdb = self.program("initdb");
        initdb.arg("-D").arg(&cluster).args(["-U", OWNER]).args([
            "--auth=reject",
            "--encoding=UTF8",
            // What sorts is ICU: the same order on every system with the same ICU.
            "--locale=C.UTF-8",
            "--locale-provider=icu",
            "--icu-locale=und",
            "--data-checksums",
            // The smallest write-ahead log that an idle database may have is two segments.
            "--wal-segsize=4",
            "--no-instructions",
            "--no-sync",
        ]);
        checked("initdb", bounded_run::run(&mut initdb, b"", MAKING_TIME)?)?;
        self.finish(&cluster)
    }

    /// Makes the cluster in `folder` of a new one that has no roles yet.
    pub(in crate::engine::postgres) fn make_of(&self, new: &Path, folder: &Path) -> io::Result<()> {
        let cluster = folder.join(CLUSTER);
        copy_folder(new, &cluster, None)?;
        self.finish(&cluster)
    }

    /// Gives a new cluster its roles, and its rules of who may sign in.
    fn finish(&self, cluster: &Path) -> io::Result<()> {
        fs::write(cluster.join("postgresql.conf"), CONFIGURATION)?;
        fs::write(cluster.join("pg_hba.conf"), HOST_RULES)?;
        for (database, statements) in [
            ("template1", statements_for_server(self.secrets)),
            (DATABASE, statements_for_database()),
        ] {
            let mut single = self.program("postgres");
            single
                .args(["--single", "-c", "exit_on_error=on", "-D"])
                .arg(cluster)
                .arg(database);
            let ended =
                bounded_run::run(&mut single, statements.join("\n").as_bytes(), MAKING_TIME)?;
            checked("postgres --single", ended)?;
        }
        Ok(())
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .env_clear()
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// The last of what a program said, where it did not end well.
fn checked(program: &str, ended: Ended) -> io::Result<()> {
    if ended.status.success() {
        return Ok(());
    }
    let said = ended.said.lines().filter(|line| !line.trim().is_empty());
    let last: Vec<&str> = said
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .take(3)
        .rev()
        .collect();
    Err(io::Error::other(format!(
        "{program} failed ({}): {}",
        ended.status,
        last.join(" / ")
    )))
}

fn ensure_folder(folder: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn chown_to(folder: &Path, like: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let found = folder.metadata()?;
    if (found.uid(), found.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    chown(folder, Some(like.uid()), Some(like.gid()))
}
