//! Finds the caller of a request by the token in its headers.
//!
//! Every route but the open ones lies behind [`identify`]; handlers take the [`Caller`] and
//! the service says what it requires of it.
use crate::domain::ids::RequestId;
use crate::http::response::error::Problem;
use crate::service::Service;
use crate::service::caller::{AuthenticationError, Caller};
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
) -> Result<Caller, SignInRefused> {
    let secret = secret(headers)?.ok_or(SignInRefused::Missing)?;
    Ok(service.authenticate(secret, request)?)
}

/// Why a request has no caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignInRefused {
    /// It carries no token.
    Missing,
    /// It carries several; the text says which.
    Ambiguous(String),
    /// Its token is not accepted.
    NotAccepted(AuthenticationError),
}

impl From<AuthenticationError> for SignInRefused {
    fn from(error: AuthenticationError) -> Self {
        Self::NotAccepted(error)
    }
}

impl SignInRefused {
    /// Every reason, as logs and metrics show it.
    pub(crate) const REASONS: [&str; 4] = ["missing", "ambiguous", "unknown", "expired"];

    /// The place of this one's among them.
    pub(crate) fn place(&self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Ambiguous(_) => 1,
            Self::NotAccepted(AuthenticationError::Unknown) => 2,
            Self::NotAccepted(AuthenticationError::Expired) => 3,
        }
    }

    pub(super) fn reason(&self) -> &'static str {
        Self::REASONS[self.place()]
    }

    /// Whether a token was tried.
    pub(super) fn is_of_a_token(&self) -> bool {
        matches!(self, Self::NotAccepted(_))
    }
}

impl From<SignInRefused> for Problem {
    fn from(refused: SignInRefused) -> Self {
        match refused {
            SignInRefused::Missing => Self::unauthenticated("A token is required."),
            SignInRefused::Ambiguous(detail) => Self::invalid(detail),
            SignInRefused::NotAccepted(error) => error.into(),
        }
    }
}

/// The secret that a request carries, in either header.
///
/// # Errors
/// When it carries several: a proxy might have judged by another one.
fn secret(headers: &HeaderMap) -> Result<Option<&[u8]>, SignInRefused> {
    let bearer = only(headers, &header::AUTHORIZATION)?.and_then(|it| {
        let (scheme, secret) = it.as_bytes().split_at_checked(BEARER.len())?;
        let is_bearer = scheme.eq_ignore_ascii_case(BEARER);
        is_bearer.then(|| secret.trim_ascii())
    });
    let key = only(headers, &API_KEY)?.map(|value| value.as_bytes().trim_ascii());
    if bearer.is_some() && key.is_some() && bearer != key {
        let detail = "`Authorization` and `X-API-Key` carry different tokens.";
        return Err(SignInRefused::Ambiguous(detail.to_owned()));
    }
    Ok(bearer.or(key))
}

/// The value of a header that may be sent once.
fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, SignInRefused> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        let detail = format!("`{name}` was sent twice.");
        return Err(SignInRefused::Ambiguous(detail));
    }
    Ok(first)
}
