//! Tokens: made, listed, revoked.
use crate::domain::token::Scope;
use crate::http::Gateway;
use crate::http::extract::mutation::Mutation;
use crate::http::extract::parameters::{CommandParameters, KeyHeader, PageParameters};
use crate::http::extract::span::Span;
use crate::http::extract::{NoFields, PathParts, StrictQuery};
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use crate::http::response::job_answers::mark_replayed;
use crate::http::response::lists::{List, page_answer};
use crate::http::response::reply::{self, Marked};
use crate::http::response::views::plan::PlanView;
use crate::http::response::views::token::TokenView;
use crate::projections::control_db::TokenFilter;
use crate::service::caller::Caller;
use crate::service::commands::Outcome;
use crate::service::commands::tokens::WantedToken;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CreateToken)]
pub(super) struct TokenBody {
    /// Its commands have the actor `token/<name>`.
    #[schema(pattern = "^[A-Za-z0-9_.-]{1,63}$", example = "ci")]
    name: String,
    /// `read`, `write`, `manage`, `audit`, `admin`.
    #[schema(schema_with = schemas::scopes, example = json!(["read", "write"]))]
    scopes: Vec<Scope>,
    /// Names or patterns of databases it may access; `*` for all.
    #[schema(schema_with = schemas::database_patterns, example = json!(["shop", "pr-*"]))]
    databases: Vec<String>,
    /// Expires after: `30d`, `2h`, or seconds.
    #[schema(schema_with = schemas::lifetime, example = "30d")]
    expires_in: Option<Span>,
}

/// List tokens
///
/// Issued tokens, without secrets. Revoked tokens are not listed.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", params(PageParameters),
    responses((status = 200, body = List<TokenView>)))]
pub(super) async fn list_tokens(
    State(gateway): State<Arc<Gateway>>,
    caller: Caller,
    StrictQuery(asked): StrictQuery<PageParameters>,
) -> Result<Response, Problem> {
    let paging = asked.paging()?;
    let filter = TokenFilter {
        include_revoked: false,
        order: paging.order,
    };
    let page = gateway
        .service
        .list_tokens(&caller, filter, paging.min_sequence, paging.page);
    Ok(page_answer(page.await?, TokenView::from))
}

/// Create a token
///
/// The secret is returned only in this response; the server stores a hash.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens",
    params(CommandParameters, KeyHeader), request_body = TokenBody,
    responses((status = 201, body = TokenView)))]
pub(super) async fn create_token(
    State(gateway): State<Arc<Gateway>>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<TokenBody>,
) -> Result<Response, Problem> {
    let Mutation { request, body } = mutation.or_plan(parameters.dry_run);
    let wanted = WantedToken {
        name: body.name,
        scopes: body.scopes,
        databases: body.databases,
        expires_in: body.expires_in.map(|Span(time)| time),
    };
    let issued = match gateway.service.issue_token(&request, wanted).await? {
        Outcome::Done(issued) => issued,
        Outcome::Preview(preview) => return Ok(PlanView::answer(preview)),
    };
    let view = TokenView::issued(&issued.token, issued.secret);
    let answer = reply::json(StatusCode::CREATED, &view)
        .with(header::LOCATION, &format!("/v1/tokens/{}", issued.token.id))
        .with(header::CACHE_CONTROL, "no-store")
        .etag(issued.token.sequence)
        .seen(issued.accepted.sequence);
    Ok(mark_replayed(answer, &issued.accepted))
}

/// Revoke a token
///
/// Takes effect immediately.
#[utoipa::path(delete, path = "/v1/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "The token's id"), CommandParameters, KeyHeader),
    responses((status = 204, description = "Revoked")))]
pub(super) async fn revoke_token(
    State(gateway): State<Arc<Gateway>>,
    PathParts(id): PathParts<String>,
    StrictQuery(parameters): StrictQuery<CommandParameters>,
    mutation: Mutation<NoFields>,
) -> Result<Response, Problem> {
    let Mutation { request, .. } = mutation.or_plan(parameters.dry_run);
    match gateway.service.revoke_token(&request, &id).await? {
        Outcome::Done(accepted) => {
            let answer = StatusCode::NO_CONTENT.into_response();
            Ok(mark_replayed(answer, &accepted).seen(accepted.sequence))
        }
        Outcome::Preview(preview) => Ok(PlanView::answer(preview)),
    }
}
