//! Tokens: who may do what to which databases.
use super::event::Event;
use super::event::recorded::RecordedEvent;
use super::ids::{Sequence, TokenId};
use crate::clock::timestamp::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A right that a token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at databases, jobs and rows; SQL that changes nothing.
    Read,
    /// SQL that changes rows and tables.
    Write,
    /// Create, stop, start, delete and change databases.
    Manage,
    /// Read the history: events, state, audit.
    Audit,
    /// Everything, tokens and purging included.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: &[Self] = &[
        Self::Read,
        Self::Write,
        Self::Manage,
        Self::Audit,
        Self::Admin,
    ];

    /// The word shown in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Manage => "manage",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A bearer credential, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its permanent id.
    pub id: TokenId,
    /// What its commands are signed with: `token/<name>`.
    pub name: String,
    /// SHA-256 of the secret, lower-case hex.
    pub hash: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Names or patterns (`pr-*`) of the databases it may touch.
    pub databases: Vec<String>,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    pub created_at: Timestamp,
    /// The event that made it.
    pub sequence: Sequence,
}

impl Token {
    /// The token that an event begins, where it begins one.
    #[must_use]
    pub fn begun_by(recorded: &RecordedEvent) -> Option<Self> {
        let Event::TokenIssued(it) = &recorded.event else {
            return None;
        };
        Some(Self {
            id: it.token,
            name: it.name.clone(),
            hash: it.hash.clone(),
            scopes: it.scopes.clone(),
            databases: it.databases.clone(),
            expires_at: it.expires_at,
            created_at: recorded.commit.time,
            sequence: recorded.sequence,
        })
    }

    /// Whether it carries `scope`; `admin` carries all, `write` carries `read`.
    #[must_use]
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.scopes.iter().any(|it| {
            *it == scope || *it == Scope::Admin || (*it == Scope::Write && scope == Scope::Read)
        })
    }

    /// Whether it may touch a database of this name.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.databases
            .iter()
            .any(|pattern| pattern_matches(pattern, name))
    }

    /// Whether it has ended by itself.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Compares a name with a pattern in which `*` stands for any characters; case is ignored.
#[must_use]
pub fn pattern_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::pattern_matches;

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name) in [
            ("*", "x"),
            ("pr-*", "PR-12"),
            ("*-test", "a-test"),
            ("a*b*c", "aXbYc"),
            ("shop", "Shop"),
        ] {
            assert!(pattern_matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("pr-*", "p"), ("shop", "shops"), ("a*b", "ac"), ("", "x")] {
            assert!(!pattern_matches(pattern, name), "{pattern} {name}");
        }
    }
}
