//! A gateway that is root works through processes of another user, who has to get to its databases.
use super::start_error::StartError;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The folders above databases and what belongs to them, in the data folder.
const OWN: &[&str] = &["databases", "trash", "uploads", "exports"];
/// To pass a folder, and no more.
const PASS: u32 = 0o011;

/// Makes sure that `user` (user and group) passes every folder above a database: opens the forge's
/// own ones, and tries the others. Blocks.
///
/// # Errors
/// [`StartError::Impassable`] names the folder that does not let the user pass.
pub(super) fn ensure_passable(data_dir: &Path, user: (u32, u32)) -> Result<(), StartError> {
    for name in OWN {
        let folder = data_dir.join(name);
        open(&folder).map_err(|source| StartError::DataFolder { folder, source })?;
    }
    open(data_dir).map_err(|source| StartError::DataFolder {
        folder: data_dir.to_owned(),
        source,
    })?;
    let databases = data_dir.join("databases");
    if pass(&databases, user).is_ok() {
        return Ok(());
    }
    let (id, group) = user;
    let above: Vec<&Path> = databases.ancestors().collect();
    for folder in above.into_iter().rev() {
        match pass(folder, user) {
            Ok(()) => {}
            // Every user passes the root: what fails there is the start of the program.
            Err(source) if folder.parent().is_none() => {
                return Err(StartError::UnusableUser {
                    user: id,
                    group,
                    source,
                });
            }
            Err(_) => {
                return Err(StartError::Impassable {
                    folder: folder.to_owned(),
                    user: id,
                    group,
                });
            }
        }
    }
    Ok(()) // opened meanwhile
}

/// Lets others pass a folder of ours. One that belongs to another user is looked at like those
/// above.
fn open(folder: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let mode = metadata.mode();
    let is_ours = metadata.is_dir() && metadata.uid() == rustix::process::geteuid().as_raw();
    if is_ours && mode & PASS != PASS {
        fs::set_permissions(folder, Permissions::from_mode((mode | PASS) & 0o7777))?;
    }
    Ok(())
}

/// Lets a process of this user into the folder: tried, since the bits of its mode are not all that
/// decides.
fn pass(folder: &Path, (user, group): (u32, u32)) -> io::Result<()> {
    let mut trial = Command::new("/proc/self/exe");
    trial
        .arg("--version")
        .env_clear()
        .current_dir(folder)
        .uid(user)
        .gid(group)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // The system enters the folder as this user before it starts the program.
    trial.status().map(drop)
}
