//! Rules for webhooks.
use crate::domain::command::refusal::Refusal;
use crate::domain::event::{
    Event, EventKind, WebhookChanged, WebhookCreated, WebhookDeleted, WebhookDisabled,
    WebhookEnabled,
};
use crate::domain::ids::WebhookId;
use crate::domain::printable::is_printable;
use crate::domain::state::State;
use crate::domain::webhook::{Webhook, WebhookPlan};
use std::sync::Arc;
use url::Url;

/// Each costs a task and reads the log.
const MAX_WEBHOOKS: usize = 100;
/// Longest address, in bytes; receivers' own bounds are about there.
const MAX_URL: usize = 2000;
/// Most patterns, and longest pattern, in characters: as in a token.
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN: usize = 63;

pub(super) fn create(
    state: &State,
    id: WebhookId,
    plan: &WebhookPlan,
) -> Result<Vec<Event>, Refusal> {
    if state.webhooks().count() >= MAX_WEBHOOKS {
        return Err(Refusal::Invalid(format!(
            "a forge has at most {MAX_WEBHOOKS} webhooks"
        )));
    }
    if state.webhook(id).is_some() {
        return Err(Refusal::Invalid(format!("webhook {id} already exists")));
    }
    check(plan)?;
    let created = WebhookCreated {
        webhook: id,
        plan: plan.clone(),
    };
    Ok(vec![created.into()])
}

pub(super) fn change(
    state: &State,
    id: WebhookId,
    plan: &WebhookPlan,
) -> Result<Vec<Event>, Refusal> {
    if known(state, id)?.plan == *plan {
        return Ok(Vec::new());
    }
    check(plan)?;
    let changed = WebhookChanged {
        webhook: id,
        plan: plan.clone(),
    };
    Ok(vec![changed.into()])
}

pub(super) fn delete(state: &State, id: WebhookId) -> Result<Vec<Event>, Refusal> {
    known(state, id)?;
    Ok(vec![WebhookDeleted { webhook: id }.into()])
}

pub(super) fn disable(state: &State, id: WebhookId, reason: &str) -> Result<Vec<Event>, Refusal> {
    if known(state, id)?.disabled.is_some() {
        return Ok(Vec::new());
    }
    let disabled = WebhookDisabled {
        webhook: id,
        reason: reason.to_owned(),
    };
    Ok(vec![disabled.into()])
}

pub(super) fn enable(state: &State, id: WebhookId) -> Result<Vec<Event>, Refusal> {
    if known(state, id)?.disabled.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![WebhookEnabled { webhook: id }.into()])
}

fn check(plan: &WebhookPlan) -> Result<(), Refusal> {
    check_url(&plan.url)
        .map_err(|what| Refusal::Invalid(format!("the url of a webhook {what}")))?;
    let unknown = |it: &&String| EventKind::from_word(it).is_none();
    if let Some(kind) = plan.kinds.iter().find(unknown) {
        return Err(Refusal::Invalid(format!("unknown event kind `{kind}`")));
    }
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-_.*".contains(it);
    let is_pattern =
        |it: &String| (1..=MAX_PATTERN).contains(&it.len()) && it.chars().all(is_plain);
    let count = plan.databases.len();
    if !(1..=MAX_PATTERNS).contains(&count) || !plan.databases.iter().all(is_pattern) {
        return Err(Refusal::Invalid(format!(
            "a webhook has 1 to {MAX_PATTERNS} database names or patterns; `*` covers all"
        )));
    }
    Ok(())
}

/// What is wrong with an address, said of it.
fn check_url(text: &str) -> Result<(), &'static str> {
    if text.len() > MAX_URL {
        return Err("is too long");
    }
    // Browsers read a backslash as a slash, and leave line breaks out: what is kept and shown would
    // not be where it goes.
    if !is_printable(text) || text.contains([' ', '\\']) {
        return Err("must not contain backslashes, spaces or control characters");
    }
    let url = Url::parse(text).map_err(|_| "is not a valid URL")?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("must begin with http:// or https:// and name a host");
    }
    // The log keeps it permanently, and readers of the history see it.
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user or password; verify the signature instead");
    }
    if url.fragment().is_some() {
        return Err("must not contain a `#` fragment");
    }
    Ok(())
}

fn known(state: &State, id: WebhookId) -> Result<&Arc<Webhook>, Refusal> {
    state
        .webhook(id)
        .ok_or_else(|| Refusal::WebhookNotFound(id.to_string()))
}

#[cfg(test)]
mod tests {
    use super::check_url;

    #[test]
    fn an_address_is_http_and_holds_no_secret() {
        for good in [
            "http://localhost:9/x",
            "https://[::1]/a?b=c",
            "http://10.0.0.1",
        ] {
            assert_eq!(check_url(good), Ok(()), "{good}");
        }
        for bad in [
            "ftp://host/",
            "file:///etc/passwd",
            "http://",
            "nowhere",
            "http://user@host/",
            "https://user:secret@host/",
            "http://host/#part",
            "http://good.example\\@169.254.169.254/",
            "http:\\\\host/",
            "http://ho\nst/",
            "http://host/\u{1b}[31m",
            " http://host/",
        ] {
            assert!(check_url(bad).is_err(), "{bad}");
        }
        assert!(check_url(&format!("http://host/{}", "x".repeat(2000))).is_err());
    }
}
