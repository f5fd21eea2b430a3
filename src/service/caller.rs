//! Callers and their permissions.
use super::Service;
use crate::clock::timestamp::Timestamp;
use crate::data::Access;
use crate::domain::ids::{Actor, RequestId, TokenId};
use crate::domain::state::State;
use crate::domain::token::{Scope, Token};
use crate::shares::Holder;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// What every token's secret starts with, so that people and scanners recognise a leaked one.
pub const SECRET_PREFIX: &str = "dbf_";

/// The caller's token does not allow what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The token lacks a scope.
    #[error("this requires scope `{0}`, which the token does not have")]
    Scope(Scope),
    /// No pattern of the token matches the database.
    #[error("the token does not allow access to database `{0}`")]
    Database(String),
    /// The token's patterns leave databases out.
    #[error("this requires access to all databases, which the token does not have")]
    AllDatabases,
}

/// A token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticationError {
    /// No accepted token has this secret.
    #[error("the token is not accepted")]
    Unknown,
    /// Its time is over.
    #[error("the token has expired")]
    Expired,
}

/// The authenticated sender of a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// `None` for root, which may do everything.
    token: Option<Arc<Token>>,
    /// The id of the request.
    pub request: RequestId,
}

impl Caller {
    /// Requires a scope.
    ///
    /// # Errors
    /// When the token does not have it.
    pub fn require(&self, scope: Scope) -> Result<(), AccessDenied> {
        match &self.token {
            Some(token) if !token.has_scope(scope) => Err(AccessDenied::Scope(scope)),
            _ => Ok(()),
        }
    }

    /// Requires the right to see databases and jobs: scope `read` or `manage`.
    ///
    /// # Errors
    /// When the token has neither scope.
    pub fn require_sight(&self) -> Result<(), AccessDenied> {
        if self.has_scope(Scope::Manage) {
            return Ok(());
        }
        self.require(Scope::Read)
    }

    /// The actor of its commands.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match &self.token {
            Some(token) => Actor(format!("token/{}", token.name)),
            None => Actor::named("root"),
        }
    }

    /// The name of its token.
    pub fn token_name(&self) -> &str {
        self.token.as_ref().map_or("root", |token| &token.name)
    }

    /// The caller's token; none for root.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|it| it.id)
    }

    /// Whose share of resources the caller uses.
    pub fn holder(&self) -> Holder {
        self.token_id().map_or(Holder::Root, Holder::Token)
    }

    /// Whether the token is still accepted, and until when.
    pub fn standing(&self, state: &State, now: Timestamp) -> TokenStanding {
        let Some(token) = &self.token else {
            return TokenStanding::Lasting;
        };
        match (state.token(token.id), token.expires_at) {
            (None, _) => TokenStanding::Ended,
            (Some(_), None) => TokenStanding::Lasting,
            (Some(_), Some(end)) if end <= now => TokenStanding::Ended,
            (Some(_), Some(end)) => TokenStanding::Expires(end.since(now)),
        }
    }

    /// Whether the token has a scope.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.require(scope).is_ok()
    }

    /// Whether the token gives access to databases of this name.
    pub fn covers(&self, name: &str) -> bool {
        self.token.as_ref().is_none_or(|it| it.covers(name))
    }

    /// Whether the token gives access to all databases, including future ones.
    pub fn covers_all(&self) -> bool {
        self.token
            .as_ref()
            .is_none_or(|it| it.databases.iter().any(|pattern| pattern == "*"))
    }

    /// Requires access to databases of this name.
    ///
    /// # Errors
    /// When no pattern of the token matches.
    pub fn require_name(&self, name: &str) -> Result<(), AccessDenied> {
        if self.covers(name) {
            return Ok(());
        }
        Err(AccessDenied::Database(name.to_owned()))
    }

    /// Requires access to all databases.
    ///
    /// # Errors
    /// When the token's patterns leave some out.
    pub fn require_all(&self) -> Result<(), AccessDenied> {
        if self.covers_all() {
            return Ok(());
        }
        Err(AccessDenied::AllDatabases)
    }

    /// Requires scope `admin` on all databases: creating tokens and webhooks could grant any other
    /// right, and expose the whole history.
    ///
    /// # Errors
    /// When the token lacks the scope `admin`, or leaves databases out.
    pub fn require_admin(&self) -> Result<(), AccessDenied> {
        self.require(Scope::Admin)?;
        self.require_all()
    }

    /// Requires scope `audit` on all databases.
    ///
    /// # Errors
    /// When the token lacks the scope `audit`, or leaves databases out.
    pub fn require_audit(&self) -> Result<(), AccessDenied> {
        self.require(Scope::Audit)?;
        self.require_all()
    }

    /// What SQL statements of the caller may do.
    ///
    /// # Errors
    /// When the token has neither scope `read` nor `write`.
    pub fn sql_access(&self) -> Result<Access, AccessDenied> {
        if self.has_scope(Scope::Write) {
            return Ok(Access::ReadWrite);
        }
        self.require(Scope::Read)?;
        Ok(Access::ReadOnly)
    }
}

/// Whether a token is still accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    /// It was revoked or has expired.
    Ended,
    /// It expires after this time.
    Expires(Duration),
    /// It does not expire.
    Lasting,
}

impl Service {
    /// Authenticates a caller by the secret of its token.
    ///
    /// # Errors
    /// When no accepted token has it.
    pub fn authenticate(
        &self,
        secret: &[u8],
        request: RequestId,
    ) -> Result<Caller, AuthenticationError> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        let mut hex = [0; 64];
        hex::encode_to_slice(hash, &mut hex).expect("32 bytes are 64 digits");
        let hex = str::from_utf8(&hex).expect("digits are ASCII");
        let current = self.control.current();
        // The bytes of a hash cannot be chosen, so how long the search takes tells no secret.
        let Some(token) = current.state.token_by_hash(hex) else {
            if !self.root_token.has_hash(&hash) {
                return Err(AuthenticationError::Unknown);
            }
            return Ok(Caller {
                token: None,
                request,
            });
        };
        if token.expires_at.is_some() && token.has_expired(self.control.clock().now()) {
            return Err(AuthenticationError::Expired);
        }
        Ok(Caller {
            token: Some(token.clone()),
            request,
        })
    }

    /// Whether the caller's token is still accepted.
    #[must_use]
    pub fn accepts(&self, caller: &Caller) -> bool {
        let current = self.control.current();
        let now = self.control.clock().now();
        caller.standing(&current.state, now) != TokenStanding::Ended
    }
}
