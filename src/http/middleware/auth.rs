//! Finds the caller of a request by the token in its headers.
//!
//! Every route but the open ones lies behind [`identify`]; handlers take the [`Caller`] and
//! the service says what it requires of it.
use crate::domain::ids::RequestId;
use crate::http::response::error::Problem;
use crate::service::Service;
use crate::service::caller::Caller;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

/// The header that clients of the original send.
const API_KEY: &str = "x-api-key";

/// Who sent a request that [`identify`] has let through.
///
/// # Errors
/// When it has not: a route that is open asks for what only the others know.
pub(crate) fn caller_of(parts: &Parts) -> Result<Caller, Problem> {
    let caller = parts.extensions.get().cloned();
    caller.ok_or_else(|| Problem::internal("an open route asked who its caller is"))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        caller_of(parts)
    }
}

/// Finds out who sends a request.
///
/// # Errors
/// When it carries no token that is accepted.
pub(crate) fn identify(
    service: &Service,
    headers: &HeaderMap,
    request: RequestId,
) -> Result<Caller, Problem> {
    let secret =
        secret(headers).ok_or_else(|| Problem::unauthenticated("This route needs a token."))?;
    Ok(service.authenticate(secret, request)?)
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
