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
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// The header that clients of the legacy API send.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How a token begins in `Authorization`, in capitals or not.
const BEARER: &[u8] = b"bearer ";

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
    let secret =
        secret(headers)?.ok_or_else(|| Problem::unauthenticated("A token is required."))?;
    Ok(service.authenticate(secret, request)?)
}

/// Whether a request carries one token, accepted or not.
pub(crate) fn has_secret(headers: &HeaderMap) -> bool {
    matches!(secret(headers), Ok(Some(_)))
}

/// The secret that a request carries, in either header.
///
/// # Errors
/// When it carries several: a proxy might have judged by another one.
fn secret(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let bearer = only(headers, &header::AUTHORIZATION)?.and_then(|it| {
        let (scheme, secret) = it.as_bytes().split_at_checked(BEARER.len())?;
        let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
        is_bearer.then(|| secret.trim_ascii())
    });
    let key = only(headers, &API_KEY)?.map(|value| value.as_bytes().trim_ascii());
    if bearer.is_some() && key.is_some() && bearer != key {
        return Err(Problem::invalid(
            "`Authorization` and `X-API-Key` carry different tokens.",
        ));
    }
    Ok(bearer.or(key))
}

/// The value of a header that may be sent once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Problem> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Problem::invalid(format!("`{name}` was sent twice.")));
    }
    Ok(first)
}
