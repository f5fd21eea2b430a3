//! Who asks, and what they may do.
//!
//! Every route but the open ones lies behind [`identify`]; handlers take the [`Caller`] and
//! say what they require of it.
use crate::clock::timestamp::Timestamp;
use crate::domain::database::Database;
use crate::domain::ids::{Actor, RequestId, TokenId};
use crate::domain::state::State as ForgeState;
use crate::domain::token::{Scope, Token};
use crate::http::Gateway;
use crate::http::response::error::{ErrorCode, Problem};
use crate::shares::Holder;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// What every token's secret starts with, so that people and scanners recognise a leaked one.
pub(crate) const SECRET_PREFIX: &str = "dbf_";
/// The header that clients of the original send.
const API_KEY: &str = "x-api-key";

/// SHA-256 of the root token's secret.
#[derive(Clone)]
pub struct RootToken([u8; 32]);

impl RootToken {
    /// Forgets the secret, keeps its hash.
    #[must_use]
    pub fn from_secret(secret: &str) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

impl std::fmt::Debug for RootToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootToken(***)")
    }
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// What their commands are signed with.
    pub(crate) actor: Actor,
    /// None for root, who may do everything.
    token: Option<Arc<Token>>,
    /// The id of the request.
    pub(crate) request: RequestId,
}

impl Caller {
    /// Who sent a request that [`identify`] has let through.
    ///
    /// # Errors
    /// When it has not: a route that is open asks for what only the others know.
    pub(crate) fn of(parts: &Parts) -> Result<Self, Problem> {
        let caller = parts.extensions.get().cloned();
        caller.ok_or_else(|| Problem::internal("an open route asked who its caller is"))
    }

    /// Goes on only with a scope.
    ///
    /// # Errors
    /// When the token does not carry it.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Problem> {
        match &self.token {
            Some(token) if !token.has_scope(scope) => Err(Problem::new(
                ErrorCode::InsufficientScope,
                format!("This needs the scope `{scope}`, which the token does not carry."),
            )),
            _ => Ok(()),
        }
    }

    /// Goes on only for who may look at databases and jobs: who manages them looks at what came of
    /// it, too.
    ///
    /// # Errors
    /// When the token carries neither scope.
    pub(crate) fn require_sight(&self) -> Result<(), Problem> {
        if self.has_scope(Scope::Manage) {
            return Ok(());
        }
        self.require(Scope::Read)
    }

    /// The caller's token; none for root.
    pub(crate) fn token_id(&self) -> Option<TokenId> {
        self.token.as_ref().map(|it| it.id)
    }

    /// Whose share the caller's requests are of.
    pub(crate) fn holder(&self) -> Holder {
        self.token_id().map_or(Holder::Root, Holder::Token)
    }

    /// Whether the token that a request came with would be let in now, too; and how long it will
    /// be at most, where it ends by itself.
    pub(crate) fn still_accepted(&self, state: &ForgeState, now: Timestamp) -> Accepted {
        let Some(token) = &self.token else {
            return Accepted::Always;
        };
        match (state.token(token.id), token.expires_at) {
            (None, _) => Accepted::No,
            (Some(_), None) => Accepted::Always,
            (Some(_), Some(end)) if end <= now => Accepted::No,
            (Some(_), Some(end)) => Accepted::For(end.since(now)),
        }
    }

    /// Whether a scope is carried.
    pub(crate) fn has_scope(&self, scope: Scope) -> bool {
        self.require(scope).is_ok()
    }

    /// Whether databases of this name are covered by the token's patterns.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.token.as_ref().is_none_or(|it| it.covers(name))
    }

    /// Whether every database is covered, those to come included.
    pub(crate) fn covers_all(&self) -> bool {
        self.token
            .as_ref()
            .is_none_or(|it| it.databases.iter().any(|pattern| pattern == "*"))
    }

    /// Goes on only when databases of this name are covered.
    ///
    /// # Errors
    /// When no pattern of the token matches.
    pub(crate) fn require_name(&self, name: &str) -> Result<(), Problem> {
        if self.covers(name) {
            return Ok(());
        }
        Err(Problem::new(
            ErrorCode::InsufficientScope,
            format!("The token does not cover the database `{name}`."),
        ))
    }

    /// Goes on only when every database is covered: what is asked tells of all of them.
    ///
    /// # Errors
    /// When the token's patterns leave some out.
    pub(crate) fn require_all(&self) -> Result<(), Problem> {
        if self.covers_all() {
            return Ok(());
        }
        Err(Problem::new(
            ErrorCode::InsufficientScope,
            "This tells of every database, and the token does not cover all of them.",
        ))
    }

    /// The database that a path means. One that the token does not cover is forbidden whether it
    /// exists or not.
    ///
    /// # Errors
    /// When it is not covered, or there is none.
    pub(crate) fn find_database<'a>(
        &self,
        state: &'a ForgeState,
        reference: &str,
    ) -> Result<&'a Arc<Database>, Problem> {
        let found = state.find_database(reference);
        self.require_name(found.map_or(reference, |it| it.name.as_str()))?;
        found.ok_or_else(|| {
            Problem::new(
                ErrorCode::DatabaseNotFound,
                format!("There is no database `{reference}`."),
            )
            .hint("GET /v1/databases lists them, POST /v1/databases creates one")
        })
    }
}

/// How a token stands that was accepted once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It was revoked or has expired.
    No,
    /// It will expire.
    For(Duration),
    /// Until somebody revokes it.
    Always,
}

impl Gateway {
    /// Whether a caller that was let in would be let in now.
    pub(crate) fn accepts(&self, caller: &Caller) -> bool {
        let present = self.control.present();
        let now = self.control.clock().now();
        caller.still_accepted(&present.state, now) != Accepted::No
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of(parts)
    }
}

/// Finds out who sends a request.
///
/// # Errors
/// When it carries no token that is accepted.
pub(crate) fn identify(
    gateway: &Gateway,
    headers: &HeaderMap,
    request: RequestId,
) -> Result<Caller, Problem> {
    let refused = |detail: &str| {
        Problem::new(ErrorCode::Unauthenticated, detail).hint(
            "send `Authorization: Bearer dbf_…` or `X-API-Key: dbf_…`; \
             the root token was printed at the first start",
        )
    };
    let secret = secret(headers).ok_or_else(|| refused("This route needs a token."))?;
    let hash: [u8; 32] = Sha256::digest(secret).into();
    if bool::from(hash.ct_eq(&gateway.root_token.0)) {
        return Ok(Caller {
            actor: Actor::named("root"),
            token: None,
            request,
        });
    }
    // Found by its hash, of which a guesser cannot choose the bytes; compared once more so that
    // no time depends on how much of it is right.
    let hex = hex::encode(hash);
    let present = gateway.control.present();
    let token = present
        .state
        .token_by_hash(&hex)
        .filter(|it| it.hash.as_bytes().ct_eq(hex.as_bytes()).into())
        .ok_or_else(|| refused("The token is not accepted."))?;
    if token.has_expired(gateway.control.clock().now()) {
        return Err(refused("The token has expired."));
    }
    Ok(Caller {
        actor: Actor(format!("token/{}", token.name)),
        token: Some(token.clone()),
        request,
    })
}

/// The secret that a request carries, in either header.
fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|it| {
        let (scheme, secret) = it.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(secret.trim().as_bytes())
    });
    bearer.or_else(|| headers.get(API_KEY).map(|it| it.as_bytes().trim_ascii()))
}
