//! Tokens as the API shows them.
use crate::clock::timestamp::Timestamp;
use crate::domain::token::{Scope, Token};
use crate::http::openapi::words;
use crate::projections::control_db::ShownToken;
use serde::Serialize;
use utoipa::ToSchema;

/// An API token.
#[derive(Serialize, ToSchema)]
#[schema(as = ApiToken)]
pub(crate) struct TokenView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    /// The secret; returned only when the token is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    name: String,
    #[schema(value_type = Vec<words::Scope>)]
    scopes: Vec<Scope>,
    databases: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime, required = true)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl TokenView {
    /// A token that was made, with its secret.
    pub(crate) fn issued(token: &Token, secret: Option<String>) -> Self {
        Self {
            token: secret,
            ..Self::from(token)
        }
    }
}

impl From<ShownToken> for TokenView {
    fn from(token: ShownToken) -> Self {
        Self {
            id: token.id.to_string(),
            token: None,
            name: token.name,
            scopes: token.scopes,
            databases: token.databases,
            expires_at: token.expires_at,
            created_at: token.created_at,
        }
    }
}

impl From<&Token> for TokenView {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            token: None,
            name: token.name.clone(),
            scopes: token.scopes.clone(),
            databases: token.databases.clone(),
            expires_at: token.expires_at,
            created_at: token.created_at,
        }
    }
}
