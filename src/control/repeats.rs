//! Finds earlier requests by their idempotency keys.
use super::submission::SubmitError;
use crate::domain::event::recorded::{CommitHeader, Idempotency, KeyOwner, RecordedEvent};
use crate::domain::ids::{Actor, TokenId};
use crate::domain::state::State;
use crate::event_log::{EventLog, ReadError};

/// The events of the last commit with the caller's key, if it was the same request.
///
/// # Errors
/// When it was a different request, or the log cannot be read.
pub(super) fn earlier(
    log: &dyn EventLog,
    state: &State,
    actor: &Actor,
    token: Option<TokenId>,
    wanted: &Idempotency,
) -> Result<Option<Vec<RecordedEvent>>, SubmitError> {
    let found = with_key(log, state, actor, token, &wanted.key)?;
    if let Some(first) = found.as_ref().and_then(|it| it.first()) {
        check_same(&first.commit, wanted)?;
    }
    Ok(found)
}

/// Checks that the commit's request was the same.
///
/// # Errors
/// [`SubmitError::KeyReused`] when it was not.
pub(super) fn check_same(used: &CommitHeader, wanted: &Idempotency) -> Result<(), SubmitError> {
    let fingerprint = used.idempotency.as_ref().map(|it| &it.fingerprint);
    if fingerprint == Some(&wanted.fingerprint) {
        Ok(())
    } else {
        Err(SubmitError::KeyReused)
    }
}

/// Commits of formats 1 and 2 have only an actor, with the token's name. One token at a time has a
/// name, so commits under that name since the token's creation belong to that token.
fn with_key(
    log: &dyn EventLog,
    state: &State,
    actor: &Actor,
    token: Option<TokenId>,
    key: &str,
) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
    let by_name = || log.find_idempotent(&KeyOwner::Actor(actor.clone()), key);
    let Some(id) = token else {
        return by_name();
    };
    if let Some(events) = log.find_idempotent(&KeyOwner::Token(id), key)? {
        return Ok(Some(events));
    }
    let Some(made) = state.token(id).map(|it| it.sequence) else {
        return Ok(None);
    };
    let is_own = |it: &Vec<RecordedEvent>| it.first().is_some_and(|it| it.sequence > made);
    Ok(by_name()?.filter(is_own))
}
