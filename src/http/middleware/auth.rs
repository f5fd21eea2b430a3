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

/// The header that clients of the legacy API send.
const API_KEY: &str = "x-api-key";

/// The caller of a request that [`identify`] has accepted.
///
/// # Errors
/// When the route is open, and nothing identified its caller.
pub(crate) fn caller_of(parts: &Parts) -> Result<Caller, Problem> {
    let caller = parts.extensions.get().cloned();
    caller.ok_or_else(|| Problem::internal("an open route asked for its caller"))
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        caller_of(parts)
    }
}

/// Authenticates a request.
///
/// # Errors
/// When it carries no accepted token.
pub(crate) fn identify(
    service: &Service,
    headers: &HeaderMap,
    request: RequestId,
) -> Result<Caller, Problem> {
    let secret = secret(headers).ok_or_else(|| Problem::unauthenticated("A token is required."))?;
    Ok(service.authenticate(secret, request)?)
}

/// Whether a request carries a token, accepted or not.
pub(crate) fn has_secret(headers: &HeaderMap) -> bool {
    secret(headers).is_some()
}

/// The secret that a request carries, in either header.
fn secret(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|it| {
        let (scheme, secret) = it.to_str().ok()?.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(secret.trim().as_bytes())
    });
    bearer.or_else(|| {
        headers
            .get(API_KEY)
            .map(|value| value.as_bytes().trim_ascii())
    })
}
