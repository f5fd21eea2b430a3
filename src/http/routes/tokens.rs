//! Tokens: made, listed, revoked.
use super::databases::CommandParameters;
use super::databases::body::Span;
use super::plans::dry_run::PlanView;
use crate::clock::timestamp::Timestamp;
use crate::domain::command::Command;
use crate::domain::ids::TokenId;
use crate::domain::token::{Scope, Token};
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::{NoFields, PathParts, StrictQuery};
use crate::http::middleware::auth::{Caller, SECRET_PREFIX};
use crate::http::openapi::schemas;
use crate::http::response::error::{ErrorCode, Problem};
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, PageParameters, page_answer, page_request};
use crate::http::response::reply;
use crate::http::response::reply::Marked;
use crate::projections::control_db::{ShownToken, TokenFilter};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use utoipa::ToSchema;

/// Random bytes of a secret: too many to guess.
const SECRET_BYTES: usize = 32;

/// What a new token may do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateToken)]
pub(super) struct TokenBody {
    /// What its commands are signed with: `token/<name>`.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "ci")]
    name: String,
    /// `read`, `write`, `manage`, `audit`, `admin`.
    #[schema(schema_with = schemas::scopes, example = json!(["read", "write"]))]
    scopes: Vec<Scope>,
    /// Names or patterns of the databases it may touch; `*` for all.
    #[schema(schema_with = schemas::database_patterns, example = json!(["shop", "pr-*"]))]
    databases: Vec<String>,
    /// When it ends by itself, from now: `30d`, `2h`, or seconds.
    #[schema(schema_with = schemas::lifetime, example = "30d")]
    expires_in: Option<Span>,
}

/// A bearer credential.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(super) struct TokenView {
    #[schema(value_type = String, format = Uuid)]
    id: String,
    /// The secret; shown when it is made, and never again.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    name: String,
    #[schema(value_type = Vec<String>)]
    scopes: Vec<Scope>,
    databases: Vec<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
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

/// List tokens
///
/// Those that were not revoked, without their secrets.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageParameters),
    responses((status = 200, body = List<TokenView>)))]
pub(super) async fn list_tokens(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    require_keeper(&caller)?;
    let request = page_request(asked.limit, asked.cursor)?;
    gateway.listed_at(asked.min_sequence).await?;
    let filter = TokenFilter {
        include_revoked: false,
        order: asked.order.into(),
    };
    let page = gateway.control_db.list_tokens(filter, request).await?;
    Ok(page_answer(page, TokenView::from))
}

/// Make a token
///
/// The answer alone shows its secret: the forge keeps a hash of it.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens",
    params(CommandParameters), request_body = TokenBody,
    responses((status = 201, body = TokenView),
        (status = 200, description = "With `dry_run=plan`", body = PlanView)))]
pub(super) async fn create_token(
    State(gateway): State<Arc<Gateway>>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<TokenBody>,
) -> Result<Response, Problem> {
    require_keeper(&mutation.caller)?;
    let secret = fresh_secret()?;
    let wanted = &mutation.body;
    let command = Command::IssueToken {
        name: wanted.name.clone(),
        hash: hex::encode(Sha256::digest(&secret)),
        scopes: wanted.scopes.clone(),
        databases: wanted.databases.clone(),
        expires_in: wanted.expires_in.map(|it| it.0),
    };
    if parameters.dry_run.is_some() {
        return gateway.answer_with_plan(&mutation, &command);
    }
    let accepted = gateway.carry_out(&mutation, |_| Ok(command)).await?;
    let issued = accepted.events.iter().find_map(Token::begun_by);
    let issued = issued.ok_or_else(|| Problem::internal("a token was issued without an event"))?;
    let view = TokenView {
        // The secret that an earlier request with the same key was given is not known any more.
        token: (!accepted.replayed).then_some(secret),
        ..TokenView::from(&issued)
    };
    let answer = reply::json(StatusCode::CREATED, &view)
        .with(header::LOCATION, &format!("/v1/tokens/{}", issued.id))
        .with(header::CACHE_CONTROL, "no-store")
        .etag(issued.sequence)
        .seen(accepted.sequence);
    Ok(mark_replayed(answer, &accepted))
}

/// Revoke a token
///
/// It is accepted no longer, from the answer on.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id"), CommandParameters),
    responses((status = 204, description = "It is revoked"),
        (status = 200, description = "With `dry_run=plan`", body = PlanView)))]
pub(super) async fn revoke_token(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    require_keeper(&mutation.caller)?;
    let token: TokenId = id.parse().map_err(|_| {
        let detail = format!("There is no token `{id}`.");
        Problem::new(ErrorCode::TokenNotFound, detail)
            .hint("GET /v1/tokens lists them; a token is revoked by its id")
    })?;
    let command = Command::RevokeToken { token };
    if parameters.dry_run.is_some() {
        return gateway.answer_with_plan(&mutation, &command);
    }
    let accepted = gateway.carry_out(&mutation, |_| Ok(command)).await?;
    let answer = StatusCode::NO_CONTENT.into_response();
    Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
}

/// Who keeps tokens could give themselves any right, so they must have all.
pub(super) fn require_keeper(caller: &Caller) -> Result<(), Problem> {
    caller.require(Scope::Admin)?;
    caller.require_all()
}

fn fresh_secret() -> Result<String, Problem> {
    let mut random = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut random).map_err(Problem::internal)?;
    Ok(format!("{SECRET_PREFIX}{}", URL_SAFE_NO_PAD.encode(random)))
}
