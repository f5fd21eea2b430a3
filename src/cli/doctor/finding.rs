//! What a check found, and how it is printed.
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// What was checked, in a word or two.
    pub(super) what: &'static str,
    /// The result.
    pub(super) seen: String,
    /// What to do next, if anything.
    pub(super) next: Option<String>,
}

impl Finding {
    pub(super) fn ok(what: &'static str, seen: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Ok,
            what,
            seen: seen.into(),
            next: None,
        }
    }

    pub(super) fn warn(
        what: &'static str,
        seen: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Warn,
            next: Some(next.into()),
            ..Self::ok(what, seen)
        }
    }

    pub(super) fn fail(
        what: &'static str,
        seen: impl Into<String>,
        next: impl Into<String>,
    ) -> Self {
        Self {
            verdict: Verdict::Fail,
            ..Self::warn(what, seen, next)
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        write!(f, "{verdict:<4}  {:<10}  {}", self.what, self.seen)?;
        match &self.next {
            Some(next) => write!(f, "; {next}"),
            None => Ok(()),
        }
    }
}
