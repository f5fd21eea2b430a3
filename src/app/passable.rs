//! A gateway that is root works through processes of another user, who has to get to its databases.
use super::start_error::StartError;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
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
    if passes(&databases, user) {
        return Ok(());
    }
    let above: Vec<PathBuf> = databases.ancestors().map(Path::to_owned).collect();
    let mut from_the_root = above.into_iter().rev();
    let folder = from_the_root.find(|folder| !passes(folder, user));
    let (user, group) = user;
    Err(match folder {
        // The root itself is passed by every user: what fails there is the start of the program.
        Some(folder) if folder == Path::new("/") => StartError::UnusableUser { user, group },
        Some(folder) => StartError::Impassable {
            folder,
            user,
            group,
        },
        None => return Ok(()), // opened meanwhile
    })
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

/// Whether a process of this user gets into the folder: tried, since the bits of its mode are not
/// all that decides.
fn passes(folder: &Path, (user, group): (u32, u32)) -> bool {
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
    match trial.spawn() {
        Ok(mut started) => started.wait().is_ok(),
        Err(_) => false,
    }
}
