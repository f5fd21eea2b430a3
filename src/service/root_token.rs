//! The token that may do everything, known by its hash.
use crate::locks::RwLock;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of the root token's secret, which can be replaced while the gateway runs.
pub struct RootToken(RwLock<[u8; 32]>);

impl RootToken {
    /// Forgets the secret, keeps its hash.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        Self(RwLock::new(hash(secret)))
    }

    /// Accepts another secret from now on, and the one before no more. Returns false if it is the
    /// same.
    pub(super) fn replace(&self, secret: &str) -> bool {
        let fresh = hash(secret);
        std::mem::replace(&mut *self.0.write(), fresh) != fresh
    }

    /// Whether this is its hash; compared in a time that does not depend on how much is right.
    pub(super) fn has_hash(&self, hash: &[u8; 32]) -> bool {
        hash.ct_eq(&*self.0.read()).into()
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

impl std::fmt::Debug for RootToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootToken(***)")
    }
}
