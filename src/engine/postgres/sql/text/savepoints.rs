//! Statements about savepoints.
use super::tokens::{Token, tokens};

/// A statement about a savepoint, and the savepoint's name as PostgreSQL folds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum SavepointStep {
    Begin(String),
    Release(String),
    Rollback(String),
}

impl SavepointStep {
    /// Reads a statement. `None` when it is another one.
    pub(in super::super) fn read(sql: &str) -> Option<Self> {
        let mut words = tokens(sql).filter(|(token, _)| *token != Token::Semicolon);
        let (_, first) = words.next()?;
        let rest: Vec<(Token, &str)> = words.collect();
        let is = |place: usize, word: &str| matches!(rest.get(place), Some((Token::Word, it)) if it.eq_ignore_ascii_case(word));
        let make: fn(String) -> Self;
        let mut at = 0;
        if first.eq_ignore_ascii_case("savepoint") {
            make = Self::Begin;
        } else if first.eq_ignore_ascii_case("release") {
            make = Self::Release;
            at += usize::from(is(at, "savepoint") && rest.len() > 1);
        } else if first.eq_ignore_ascii_case("rollback") {
            make = Self::Rollback;
            at += usize::from(is(at, "work") || is(at, "transaction"));
            if !is(at, "to") {
                return None;
            }
            at += 1;
            at += usize::from(is(at, "savepoint") && rest.len() > at + 1);
        } else {
            return None;
        }
        match &rest[at..] {
            [(Token::Word, name)] => Some(make(name.to_lowercase())),
            [(Token::Name, name)] => Some(make(name.trim_matches('"').to_owned())),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_about_savepoints_are_read_with_their_names() {
        use SavepointStep::{Begin, Release, Rollback};
        let name = |name: &str| name.to_owned();
        for (sql, step) in [
            ("SAVEPOINT Abc;", Some(Begin(name("abc")))),
            ("savepoint \"Abc\"", Some(Begin(name("Abc")))),
            ("RELEASE SAVEPOINT a", Some(Release(name("a")))),
            ("RELEASE a", Some(Release(name("a")))),
            ("ROLLBACK TO a", Some(Rollback(name("a")))),
            ("rollback work to savepoint a", Some(Rollback(name("a")))),
            ("ROLLBACK", None),
            ("SAVEPOINT", None),
            ("SAVEPOINT a b", None),
            ("SELECT 1", None),
        ] {
            assert_eq!(SavepointStep::read(sql), step, "{sql}");
        }
    }
}
