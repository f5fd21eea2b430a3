//! Rules for the forge itself: its identity, its runtime, its tokens.
use crate::domain::command::DecisionContext;
use crate::domain::command::refusal::Refusal;
use crate::domain::event::{
    Event, ForgeFounded, LogHealed, RuntimeChosen, TokenIssued, TokenRevoked,
};
use crate::domain::ids::{InstanceId, TokenId};
use crate::domain::state::State;
use crate::domain::token::Scope;
use std::time::Duration;

/// Longest name of a token and longest pattern in it, in characters.
const MAX_TOKEN_TEXT: usize = 63;
/// Shorter lives than this could end before the first use.
const MIN_TOKEN_LIFE: Duration = Duration::from_secs(1);
/// Most patterns in a token.
const MAX_TOKEN_PATTERNS: usize = 64;

pub(super) fn initialize(
    state: &State,
    instance: Option<InstanceId>,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    if state.instance.is_some() {
        return Err(Refusal::AlreadyInitialized);
    }
    let instance = instance.unwrap_or(InstanceId(context.fresh[0]));
    Ok(vec![ForgeFounded { instance }.into()])
}

pub(super) fn choose_runtime(state: &State, runtime: &str, reason: &str) -> Vec<Event> {
    if state.runtime.as_deref() == Some(runtime) {
        return Vec::new();
    }
    let runtime = runtime.to_owned();
    let reason = Some(reason.to_owned());
    vec![RuntimeChosen { runtime, reason }.into()]
}

pub(super) fn record_healing(detail: &str) -> Vec<Event> {
    let detail = detail.to_owned();
    vec![LogHealed { detail }.into()]
}

pub(super) fn issue_token(
    state: &State,
    name: &str,
    hash: &str,
    scopes: &[Scope],
    databases: &[String],
    expires_in: Option<Duration>,
    context: &DecisionContext,
) -> Result<Vec<Event>, Refusal> {
    check_token_text("the name of a token", name)?;
    for pattern in databases {
        check_token_text("a database pattern", &pattern.replace('*', "x"))?;
    }
    if databases.is_empty() || databases.len() > MAX_TOKEN_PATTERNS {
        return Err(Refusal::Invalid(format!(
            "a token has 1 to {MAX_TOKEN_PATTERNS} database patterns; `*` covers all"
        )));
    }
    if expires_in.is_some_and(|life| life < MIN_TOKEN_LIFE) {
        return Err(Refusal::Invalid(
            "a token must be valid for at least one second".into(),
        ));
    }
    if scopes.is_empty() {
        return Err(Refusal::Invalid("a token needs at least one scope".into()));
    }
    let mut accepted = state
        .tokens()
        .filter(|token| !token.has_expired(context.now));
    if accepted.any(|it| it.name == name) {
        return Err(Refusal::TokenExists(name.to_owned()));
    }
    let mut scopes = scopes.to_vec();
    scopes.sort_unstable();
    scopes.dedup();
    Ok(vec![
        TokenIssued {
            token: TokenId(context.fresh[0]),
            name: name.to_owned(),
            hash: hash.to_owned(),
            scopes,
            databases: databases.to_vec(),
            expires_at: expires_in.map(|life| context.now.after(life)),
        }
        .into(),
    ])
}

pub(super) fn revoke_token(state: &State, token: TokenId) -> Result<Vec<Event>, Refusal> {
    match state.token(token) {
        Some(_) => Ok(vec![TokenRevoked { token }.into()]),
        None => Err(Refusal::TokenNotFound(token.to_string())),
    }
}

fn check_token_text(what: &str, text: &str) -> Result<(), Refusal> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if text.is_empty() || text.len() > MAX_TOKEN_TEXT || !text.chars().all(allowed) {
        return Err(Refusal::Invalid(format!(
            "{what} has 1 to {MAX_TOKEN_TEXT} letters, digits, `_`, `.` and `-`"
        )));
    }
    Ok(())
}
