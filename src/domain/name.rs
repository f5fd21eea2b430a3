//! Names of databases, and the DNS labels derived from them.
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Longest name and longest DNS label, in characters (RFC 1035 allows 63 for a label).
pub const MAX_NAME_LENGTH: usize = 63;

/// The name of a database: `^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`, and no UUID, since a
/// database can also be addressed by its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DatabaseName(String);

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters at all.
    #[error("a database name cannot be empty")]
    Empty,
    /// More than [`MAX_NAME_LENGTH`] characters.
    #[error("a database name has at most {MAX_NAME_LENGTH} characters; this one has {0}")]
    TooLong(usize),
    /// A character outside the allowed set.
    #[error(
        "a database name has letters, digits, `_`, `.` and `-` only and starts with a letter or a digit"
    )]
    Character,
    /// It reads as an id.
    #[error("a database name cannot be a UUID: those are ids")]
    LooksLikeAnId,
}

impl DatabaseName {
    /// Checks a text against the rule for names.
    ///
    /// # Errors
    /// Says which part of the rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let first = text.chars().next().ok_or(NameError::Empty)?;
        let length = text.chars().count();
        if length > MAX_NAME_LENGTH {
            return Err(NameError::TooLong(length));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if !first.is_ascii_alphanumeric() || !text.chars().all(allowed) {
            return Err(NameError::Character);
        }
        if Uuid::try_parse(text).is_ok() {
            return Err(NameError::LooksLikeAnId);
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What must be unique: names that differ in case only are the same name.
    #[must_use]
    pub fn key(&self) -> String {
        name_key(&self.0)
    }

    /// The DNS label this name asks for: lower case, other characters as `-`, none at the ends.
    #[must_use]
    pub fn dns_label(&self) -> String {
        let mapped: String = self
            .0
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .collect();
        mapped.trim_matches('-').to_owned()
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The form under which a written name is looked up.
#[must_use]
pub fn name_key(text: &str) -> String {
    text.to_ascii_lowercase()
}

/// `wanted`, or `wanted-2`, `wanted-3` …: the first that is not taken, cut to a label's length.
#[must_use]
pub fn free_dns_label(wanted: &str, is_taken: impl Fn(&str) -> bool) -> String {
    if !is_taken(wanted) {
        return wanted.to_owned();
    }
    (2_u64..)
        .map(|n| {
            let suffix = format!("-{n}");
            let kept = wanted.len().min(MAX_NAME_LENGTH - suffix.len());
            format!("{}{suffix}", wanted[..kept].trim_end_matches('-'))
        })
        .find(|label| !is_taken(label))
        .expect("one of endlessly many labels is free")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_documented_rule() {
        for good in ["a", "0", "test_db_1", "A.b-c", &"x".repeat(63)] {
            assert_eq!(DatabaseName::parse(good).unwrap().as_str(), good);
        }
        let long = "x".repeat(64);
        for bad in [
            "",
            "_a",
            ".",
            "..",
            "-",
            "a b",
            "a/b",
            "a\0",
            "ä",
            "a\n",
            "%2e",
            &long,
            "0190d2f0-0000-7000-8000-000000000001",
            "0190d2f0000070008000000000000001",
        ] {
            assert!(DatabaseName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_dns_label_is_lower_case_and_has_hyphens_inside_only() {
        let label = |name| DatabaseName::parse(name).unwrap().dns_label();
        assert_eq!(label("test_db_1"), "test-db-1");
        assert_eq!(label("Shop.EU_"), "shop-eu");
    }

    #[test]
    fn a_taken_dns_label_gets_the_first_free_number() {
        let taken = ["shop", "shop-2"];
        assert_eq!(free_dns_label("shop", |it| taken.contains(&it)), "shop-3");
        let long = "x".repeat(63);
        let next = free_dns_label(&long, |it| it == long);
        assert_eq!(next, format!("{}-2", "x".repeat(61)));
    }
}
