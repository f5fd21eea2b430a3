//! The key that signs checkpoints, and its public half.
use crate::whole_file;
use ed25519_dalek::{Signature, Signer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// The file with the private key: 64 hex digits. With it, a forged history can be signed.
const FILE: &str = "key";

/// The private key. It is never shown or logged: a reader of the log must not be able to sign it.
pub struct SigningKey(ed25519_dalek::SigningKey);

/// Tells what a key has signed. 64 hex digits as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(ed25519_dalek::VerifyingKey);

/// Why the key is unavailable.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The disk, or the source of random numbers, refused.
    #[error("cannot read or create the key for signing checkpoints: {0}")]
    Io(#[from] io::Error),
    /// The file contains no key. It is not replaced: there may still be a copy of the original
    /// one.
    #[error("the key file for signing checkpoints contains no valid key")]
    NoKey,
}

/// A text that is no public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key has 64 hex digits, as printed by `dbforge audit key`")]
pub struct NoKey;

impl SigningKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn fresh() -> io::Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&secret)))
    }

    /// The key that is kept in `folder`, if there is one.
    ///
    /// # Errors
    /// When it cannot be read, or is none.
    pub fn kept_in(folder: &Path) -> Result<Option<Self>, KeyError> {
        let text = match fs::read_to_string(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut secret = [0; 32];
        hex::decode_to_slice(text.trim(), &mut secret).map_err(|_| KeyError::NoKey)?;
        Ok(Some(Self(ed25519_dalek::SigningKey::from_bytes(&secret))))
    }

    /// Keeps it in `folder`, readable by its owner alone. When it returns, it survives power loss.
    pub(super) fn keep_in(&self, folder: &Path) -> io::Result<()> {
        let text = format!("{}\n", hex::encode(self.0.to_bytes()));
        whole_file::replace(&folder.join(FILE), text.as_bytes())
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> String {
        hex::encode(self.0.sign(message).to_bytes())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().id())
    }
}

impl PublicKey {
    /// A short name for it: the first 16 hex digits of its SHA-256.
    #[must_use]
    pub fn id(&self) -> String {
        hex::encode(&Sha256::digest(self.0.as_bytes())[..8])
    }

    pub(super) fn has_signed(&self, message: &[u8], signature: &str) -> bool {
        let mut bytes = [0; Signature::BYTE_SIZE];
        hex::decode_to_slice(signature, &mut bytes).is_ok()
            && self
                .0
                .verify_strict(message, &Signature::from_bytes(&bytes))
                .is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = NoKey;

    fn from_str(text: &str) -> Result<Self, NoKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| NoKey)?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&bytes);
        key.map(Self).map_err(|_| NoKey)
    }
}
