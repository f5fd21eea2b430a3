//! Prepares the data folder: the folder itself, its identity, its root token.
use super::start_error::{RootTokenError, StartError};
use crate::config::Secret;
use crate::domain::ids::InstanceId;
use crate::service::RootToken;
use crate::whole_file;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Random bytes of a token: too many to guess.
const TOKEN_BYTES: usize = 32;

/// Makes the data folder with its `.forge/`, closed to others, and returns its absolute path.
pub(super) fn prepare_data_dir(data_dir: &Path) -> Result<PathBuf, StartError> {
    let make = || {
        let is_missing = |it: &&Path| !it.as_os_str().is_empty() && !it.exists();
        let missing = data_dir.ancestors().take_while(is_missing).count();
        DirBuilder::new()
            .recursive(true)
            .mode(0o711) // workers of another user pass through to their own folder
            .create(data_dir)?;
        let data_dir = fs::canonicalize(data_dir)?;
        for made in data_dir.ancestors().take(missing) {
            // Whatever the umask says.
            fs::set_permissions(made, fs::Permissions::from_mode(0o711))?;
        }
        for above in data_dir.ancestors().skip(1).take(missing) {
            File::open(above)?.sync_all()?;
        }
        let forge_dir = data_dir.join(".forge");
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&forge_dir)?;
        fs::set_permissions(&forge_dir, fs::Permissions::from_mode(0o700))?;
        Ok(data_dir)
    };
    make().map_err(|source| StartError::DataFolder {
        folder: data_dir.to_owned(),
        source,
    })
}

/// Writes the identity where `make clean` finds it: it names this forge's containers.
pub(super) fn keep_instance(forge_dir: &Path, instance: InstanceId) -> Result<(), StartError> {
    let file = forge_dir.join("instance");
    let text = format!("{instance}\n");
    if fs::read_to_string(&file).is_ok_and(|it| it == text) {
        return Ok(());
    }
    whole_file::replace(&file, text.as_bytes()).map_err(|source| StartError::DataFolder {
        folder: forge_dir.to_owned(),
        source,
    })
}

/// The root token: the chosen one, else the kept one, else a fresh one that is kept and returned
/// to be shown once.
pub(super) fn root_token(
    forge_dir: &Path,
    chosen: Option<&Secret>,
) -> Result<(RootToken, Option<String>), RootTokenError> {
    if let Some(chosen) = chosen {
        return Ok((RootToken::from_secret(chosen.reveal()), None));
    }
    let file = forge_dir.join("root-token");
    let mut kept = String::new();
    match File::open(&file).and_then(|mut it| it.read_to_string(&mut kept)) {
        Ok(_) if !kept.trim().is_empty() => Ok((RootToken::from_secret(kept.trim()), None)),
        Ok(_) => fresh_root_token(&file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => fresh_root_token(&file),
        Err(source) => Err(RootTokenError {
            file,
            action: "read",
            source,
        }),
    }
}

/// The kept root token, as it is in its file now.
pub(super) fn kept_root_token(forge_dir: &Path) -> Result<String, RootTokenError> {
    let file = forge_dir.join("root-token");
    let error = |source| RootTokenError {
        file: file.clone(),
        action: "read",
        source,
    };
    let kept = fs::read_to_string(&file).map_err(error)?;
    match kept.trim() {
        "" => Err(error(io::Error::new(
            io::ErrorKind::InvalidData,
            "the file is empty",
        ))),
        token => Ok(token.to_owned()),
    }
}

/// Replaces the root token of a data folder; a running gateway takes it up when it is sent SIGHUP,
/// or at its next start.
///
/// # Errors
/// When it cannot be written.
pub fn reset_root_token(data_dir: &Path) -> Result<String, RootTokenError> {
    let file = data_dir.join(".forge").join("root-token");
    if !file.parent().is_some_and(Path::is_dir) {
        return Err(RootTokenError {
            file,
            action: "replaced",
            source: io::Error::new(
                io::ErrorKind::NotFound,
                "this is not the data folder of a forge",
            ),
        });
    }
    write_fresh_token(&file)
}

fn fresh_root_token(file: &Path) -> Result<(RootToken, Option<String>), RootTokenError> {
    let token = write_fresh_token(file)?;
    Ok((RootToken::from_secret(&token), Some(token)))
}

fn write_fresh_token(file: &Path) -> Result<String, RootTokenError> {
    let error = |source| RootTokenError {
        file: file.to_owned(),
        action: "written",
        source,
    };
    let mut random = [0_u8; TOKEN_BYTES];
    getrandom::fill(&mut random).map_err(|it| error(io::Error::other(it.to_string())))?;
    let token = format!("dbf_{}", URL_SAFE_NO_PAD.encode(random));
    whole_file::replace(file, format!("{token}\n").as_bytes()).map_err(error)?;
    Ok(token)
}
