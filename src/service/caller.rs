//! Callers: who asks, and what they may do.
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
use subtle::ConstantTimeEq;

/// What every token's secret starts with, so that people and scanners recognise a leaked one.
pub const SECRET_PREFIX: &str = "dbf_";

/// The caller's token does not allow what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessDenied {
    /// The token lacks a scope.
    #[error("this needs the scope `{0}`, which the token does not carry")]
    Scope(Scope),
    /// No pattern of the token matches the database.
    #[error("the token does not cover the database `{0}`")]
    Database(String),
    /// The token's patterns leave databases out.
    #[error("this tells of every database, and the token does not cover all of them")]
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

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What their commands are signed with.
    pub actor: Actor,
    /// None for root, who may do everything.
    token: Option<Arc<Token>>,
    /// The id of the request.
    pub request: RequestId,
}

impl Caller {
    /// Goes on only with a scope.
    ///
    /// # Errors
    /// When the token does not carry it.
    pub fn require(&self, scope: Scope) -> Result<(), AccessDenied> {
        match &self.token {
            Some(token) if !token.has_scope(scope) => Err(AccessDenied::Scope(scope)),
            _ => Ok(()),
        }
    }

    /// Goes on only for who may look at databases and jobs: who manages them looks at what came of
    /// it, too.
    ///
    /// # Errors
    /// When the token carries neither scope.
    pub fn require_sight(&self) -> Result<(), AccessDenied> {
        if self.has_scope(Scope::Manage) {
            return Ok(());
        }
        self.require(Scope::Read)
    }

    /// The caller's token; none for root.
    pub fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|it| it.id)
    }

    /// Whose share the caller's requests are of.
    pub fn holder(&self) -> Holder {
        self.token_id().map_or(Holder::Root, Holder::Token)
    }

    /// Whether the token that a request came with would be let in now, too; and how long it will
    /// be at most, where it ends by itself.
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

    /// Whether a scope is carried.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.require(scope).is_ok()
    }

    /// Whether databases of this name are covered by the token's patterns.
    pub fn covers(&self, name: &str) -> bool {
        self.token.as_ref().is_none_or(|it| it.covers(name))
    }

    /// Whether every database is covered, those to come included.
    pub fn covers_all(&self) -> bool {
        self.token
            .as_ref()
            .is_none_or(|it| it.databases.iter().any(|pattern| pattern == "*"))
    }

    /// Goes on only when databases of this name are covered.
    ///
    /// # Errors
    /// When no pattern of the token matches.
    pub fn require_name(&self, name: &str) -> Result<(), AccessDenied> {
        if self.covers(name) {
            return Ok(());
        }
        Err(AccessDenied::Database(name.to_owned()))
    }

    /// Goes on only when every database is covered: what is asked tells of all of them.
    ///
    /// # Errors
    /// When the token's patterns leave some out.
    pub fn require_all(&self) -> Result<(), AccessDenied> {
        if self.covers_all() {
            return Ok(());
        }
        Err(AccessDenied::AllDatabases)
    }

    /// Goes on only with all rights to all databases: what is about the whole forge takes those.
    /// Tokens could give their maker any right, and webhooks send the whole history elsewhere.
    ///
    /// # Errors
    /// When the token lacks the scope `admin`, or leaves databases out.
    pub fn require_admin(&self) -> Result<(), AccessDenied> {
        self.require(Scope::Admin)?;
        self.require_all()
    }

    /// Goes on only with the right to see the whole history.
    ///
    /// # Errors
    /// When the token lacks the scope `audit`, or leaves databases out.
    pub fn require_audit(&self) -> Result<(), AccessDenied> {
        self.require(Scope::Audit)?;
        self.require_all()
    }

    /// What the caller's statements may do.
    ///
    /// # Errors
    /// When the token may not even read.
    pub fn sql_access(&self) -> Result<Access, AccessDenied> {
        if self.has_scope(Scope::Write) {
            return Ok(Access::ReadWrite);
        }
        self.require(Scope::Read)?;
        Ok(Access::ReadOnly)
    }
}

/// How a token stands that was accepted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    /// It was revoked or has expired.
    Ended,
    /// It will expire.
    Expires(Duration),
    /// Until somebody revokes it.
    Lasting,
}

impl Service {
    /// Finds the caller by a token's secret.
    ///
    /// # Errors
    /// When no accepted token has it.
    pub fn authenticate(
        &self,
        secret: &[u8],
        request: RequestId,
    ) -> Result<Caller, AuthenticationError> {
        let hash: [u8; 32] = Sha256::digest(secret).into();
        if self.root_token.has_hash(&hash) {
            return Ok(Caller {
                actor: Actor::named("root"),
                token: None,
                request,
            });
        }
        // Found by its hash, of which a guesser cannot choose the bytes; compared once more so that
        // no time depends on how much of it is right.
        let hex = hex::encode(hash);
        let present = self.control.present();
        let token = present
            .state
            .token_by_hash(&hex)
            .filter(|it| it.hash.as_bytes().ct_eq(hex.as_bytes()).into())
            .ok_or(AuthenticationError::Unknown)?;
        if token.has_expired(self.control.clock().now()) {
            return Err(AuthenticationError::Expired);
        }
        Ok(Caller {
            actor: Actor(format!("token/{}", token.name)),
            token: Some(token.clone()),
            request,
        })
    }

    /// Whether a caller that was let in would be let in now.
    #[must_use]
    pub fn accepts(&self, caller: &Caller) -> bool {
        let present = self.control.present();
        let now = self.control.clock().now();
        caller.standing(&present.state, now) != TokenStanding::Ended
    }
}
