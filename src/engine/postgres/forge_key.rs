//! The key that the secrets of all servers of a forge are made of.
use super::roles::RoleSecrets;
use crate::whole_file;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// The file in `.forge`: 64 hex digits.
const FILE: &str = "postgres-key";

/// A forge's own key.
#[derive(Clone)]
pub(super) struct ForgeKey([u8; 32]);

impl fmt::Debug for ForgeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForgeKey(***)")
    }
}

impl ForgeKey {
    /// The key of the forge whose private folder is `forge_dir`; made at the first use. One call at
    /// a time.
    ///
    /// # Errors
    /// When it cannot be read or made, or its file holds none. It is not replaced then: the servers
    /// that exist know the roles by it.
    pub(super) fn open(forge_dir: &Path) -> io::Result<Self> {
        let file = forge_dir.join(FILE);
        let mut key = [0; 32];
        match fs::read_to_string(&file) {
            Ok(text) => hex::decode_to_slice(text.trim(), &mut key).map_err(|_| {
                let reason = format!("{} holds no key: bring it back from a copy", file.display());
                io::Error::new(io::ErrorKind::InvalidData, reason)
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
                whole_file::replace(&file, format!("{}\n", hex::encode(key)).as_bytes())?;
            }
            Err(error) => return Err(error),
        }
        Ok(Self(key))
    }

    /// The secrets that are made of it.
    pub(super) fn secrets(&self) -> RoleSecrets {
        RoleSecrets::of_key(&self.0)
    }

    /// Tells clusters made with this key from those of another one.
    pub(super) fn fingerprint(&self) -> String {
        let text = [self.0.as_slice(), b"fingerprint"].concat();
        hex::encode(&Sha256::digest(text)[..4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_key_is_made_once_for_the_owner_alone_and_never_replaced() {
        let forge_dir = tempfile::tempdir().unwrap();
        let key = ForgeKey::open(forge_dir.path()).unwrap();
        let (secrets, file) = (key.secrets(), forge_dir.path().join(FILE));
        assert!(secrets.app != secrets.reader && secrets.reader != secrets.owner);
        let again = ForgeKey::open(forge_dir.path()).unwrap();
        assert_eq!(again.secrets().app, secrets.app);
        assert_eq!(again.fingerprint(), key.fingerprint());
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        fs::write(&file, "half a key").unwrap();
        let error = ForgeKey::open(forge_dir.path()).err().unwrap();
        assert!(error.to_string().contains("holds no key"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "half a key");
    }
}
