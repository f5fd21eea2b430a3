//! The token that may do everything, known by its hash.
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of the root token's secret.
#[derive(Clone)]
pub struct RootToken([u8; 32]);

impl RootToken {
    /// Forgets the secret, keeps its hash.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is its hash; compared in a time that does not depend on how much is right.
    pub(super) fn has_hash(&self, hash: &[u8; 32]) -> bool {
        hash.ct_eq(&self.0).into()
    }
}

impl std::fmt::Debug for RootToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootToken(***)")
    }
}
