//! Tokens: issued and revoked.
use super::{CommandError, CommandRequest, Outcome};
use crate::control::Accepted;
use crate::domain::command::Command;
use crate::domain::ids::TokenId;
use crate::domain::token::{Scope, Token};
use crate::service::Service;
use crate::service::caller::SECRET_PREFIX;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Random bytes of a secret: too many to guess.
const SECRET_BYTES: usize = 32;

/// A token as it is asked for.
#[derive(Debug, Clone)]
pub struct WantedToken {
    /// Its commands are signed `token/<name>`.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Names or patterns of the databases it may touch.
    pub databases: Vec<String>,
    /// When it expires, from now.
    pub expires_in: Option<Duration>,
}

/// A token that was issued.
#[derive(Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: Token,
    /// Its secret; none where an earlier request with the same key was given it, since only its
    /// hash is kept.
    pub secret: Option<String>,
    /// What happened.
    pub accepted: Accepted,
}

impl Service {
    /// Issues a token.
    ///
    /// # Errors
    /// When the caller may not, or a rule refuses it.
    pub async fn issue_token(
        &self,
        request: &CommandRequest,
        wanted: WantedToken,
    ) -> Result<Outcome<IssuedToken>, CommandError> {
        request.caller.require_admin()?;
        let secret = fresh_secret()?;
        let command = Command::IssueToken {
            name: wanted.name,
            hash: hex::encode(Sha256::digest(&secret)),
            scopes: wanted.scopes,
            databases: wanted.databases,
            expires_in: wanted.expires_in,
        };
        let accepted = match self.carry_out_or_preview(request, |_| Ok(command)).await? {
            Outcome::Done(accepted) => accepted,
            Outcome::Preview(preview) => return Ok(Outcome::Preview(preview)),
        };
        let token = accepted.events.iter().find_map(Token::begun_by);
        let token =
            token.ok_or_else(|| CommandError::internal("a token was issued without an event"))?;
        Ok(Outcome::Done(IssuedToken {
            token,
            secret: (!accepted.replayed).then_some(secret),
            accepted,
        }))
    }

    /// Revokes a token: no request with it is accepted from then on.
    ///
    /// # Errors
    /// When the caller may not, or there is none.
    pub async fn revoke_token(
        &self,
        request: &CommandRequest,
        id: &str,
    ) -> Result<Outcome<Accepted>, CommandError> {
        request.caller.require_admin()?;
        let token: TokenId = id
            .parse()
            .map_err(|_| CommandError::TokenNotFound(id.to_owned()))?;
        self.carry_out_or_preview(request, |_| Ok(Command::RevokeToken { token }))
            .await
    }
}

fn fresh_secret() -> Result<String, CommandError> {
    let mut random = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(CommandError::internal)?;
    Ok(format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}
