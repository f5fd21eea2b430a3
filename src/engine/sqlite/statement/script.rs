//! Splits a script into its statements, where SQLite would.
//!
//! SQLite can only split what it may prepare, and it prepares no more than the longest statement
//! at a time; the states here are those of its own `sqlite3_complete`.
use std::ops::Range;

/// Where the text before a place stands, as far as the end of a statement goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Normal,
    Explain,
    Create,
    /// In the body of a trigger, where `;` ends its parts.
    Trigger,
    TriggerPart,
    TriggerEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Semicolon,
    Blank,
    Explain,
    Create,
    Temporary,
    Trigger,
    End,
    Other,
}

/// The place of each statement in `script`, without the `;` behind it and what is blank around it.
///
/// Whatever is no SQL at all is a part of the statement that it stands in: SQLite says what is
/// wrong with it.
pub fn statements(script: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let mut state = State::Start;
        let (mut start, mut end) = (at, at);
        while at < script.len() {
            let (token, length) = next_token(&script.as_bytes()[at..]);
            let here = at;
            at += length;
            if token == Token::Semicolon && !matches!(state, State::Trigger | State::TriggerPart) {
                if state == State::Start {
                    continue; // a statement of nothing is none
                }
                return Some(start..end);
            }
            if token != Token::Blank {
                if state == State::Start {
                    start = here;
                }
                end = at;
            }
            state = state.after(token);
        }
        (state != State::Start).then_some(start..end)
    })
}

/// What a script ends in the middle of, and where that begins: a comment, a string or a name without
/// its end.
pub fn cut_off(script: &str) -> Option<(&'static str, usize)> {
    let mut at = 0;
    while at < script.len() {
        let text = &script.as_bytes()[at..];
        let (_, length) = next_token(text);
        let token = &text[..length];
        let (what, end): (_, &[u8]) = match token {
            [b'/', b'*', ..] => ("a comment", b"*/"),
            [b'\'', ..] => ("a string", b"'"),
            [b'"', ..] => ("a name", b"\""),
            [b'`', ..] => ("a name", b"`"),
            [b'[', ..] => ("a name", b"]"),
            _ => ("", b""),
        };
        // Two signs begin a comment, and one begins the others: its own is not its end.
        if !token[end.len().min(length)..].ends_with(end) {
            return Some((what, at));
        }
        at += length;
    }
    None
}

impl State {
    fn after(self, token: Token) -> Self {
        match (self, token) {
            (same, Token::Blank) => same,
            (Self::Start, Token::Explain) => Self::Explain,
            (Self::Start | Self::Explain, Token::Create) | (Self::Create, Token::Temporary) => {
                Self::Create
            }
            (Self::Explain, Token::Other) => Self::Explain,
            (Self::Create, Token::Trigger) => Self::Trigger,
            (Self::Trigger | Self::TriggerPart, Token::Semicolon) => Self::TriggerPart,
            (Self::TriggerPart, Token::End) => Self::TriggerEnd,
            (Self::Trigger | Self::TriggerPart | Self::TriggerEnd, _) => Self::Trigger,
            (Self::Start | Self::Normal | Self::Explain | Self::Create, _) => Self::Normal,
        }
    }
}

/// The first token of a text that is not empty, and its length.
fn next_token(text: &[u8]) -> (Token, usize) {
    let until = |from: usize, last: &[u8]| {
        memchr::memmem::find(&text[from..], last).map_or(text.len(), |it| from + it + last.len())
    };
    match text[0] {
        b';' => (Token::Semicolon, 1),
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => (Token::Blank, 1),
        b'-' if text.get(1) == Some(&b'-') => (Token::Blank, until(2, b"\n")),
        b'/' if text.get(1) == Some(&b'*') => (Token::Blank, until(2, b"*/")),
        // A doubled quote is the end of one text and the beginning of the next: all the same here.
        quote @ (b'\'' | b'"' | b'`') => (Token::Other, until(1, &[quote])),
        b'[' => (Token::Other, until(1, b"]")),
        first if is_word(first) => {
            let length = text.iter().position(|it| !is_word(*it));
            let length = length.unwrap_or(text.len());
            (keyword(&text[..length]), length)
        }
        _ => (Token::Other, 1),
    }
}

/// As SQLite sees words: everything beyond ASCII belongs to one.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

fn keyword(word: &[u8]) -> Token {
    let known: [(&[u8], Token); 6] = [
        (b"create", Token::Create),
        (b"end", Token::End),
        (b"explain", Token::Explain),
        (b"temp", Token::Temporary),
        (b"temporary", Token::Temporary),
        (b"trigger", Token::Trigger),
    ];
    let found = known.iter().find(|(it, _)| word.eq_ignore_ascii_case(it));
    found.map_or(Token::Other, |(_, token)| *token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rusqlite::fallible_iterator::FallibleIterator as _;
    use rusqlite::{Batch, Connection};

    fn split(script: &str) -> Vec<&str> {
        statements(script).map(|it| &script[it]).collect()
    }

    #[test]
    fn a_semicolon_in_a_text_a_comment_or_a_trigger_ends_nothing() {
        let trigger = "CREATE TEMP TRIGGER x AFTER INSERT ON t BEGIN\n  DELETE FROM t; \
                       SELECT CASE 1 WHEN 1 THEN 2 END;\nEND";
        let script = format!(
            "; SELECT 'a;''b' ;; -- c;\n SELECT \"x;\", [y;], `z;` /* ; */;\n{trigger};SELECT 1 -- e"
        );
        assert_eq!(
            split(&script),
            [
                "SELECT 'a;''b'",
                "SELECT \"x;\", [y;], `z;`",
                trigger,
                "SELECT 1",
            ]
        );
        assert!(split(" -- nothing;\n ; /* */").is_empty());
        assert_eq!(split("SELECT 'open; "), ["SELECT 'open; "]);
    }

    #[test]
    fn a_script_that_ends_inside_of_something_says_in_what() {
        for (script, ends_in) in [
            (
                "SELECT 1; /* cut off CREATE TABLE two(a);",
                Some(("a comment", 10)),
            ),
            ("SELECT 1 /*", Some(("a comment", 9))),
            ("SELECT 1 /*/", Some(("a comment", 9))),
            ("SELECT 'it''", Some(("a string", 11))),
            ("SELECT '", Some(("a string", 7))),
            ("SELECT \"a", Some(("a name", 7))),
            ("SELECT [a", Some(("a name", 7))),
            ("SELECT 'it''s', [a], `b`, \"c\" /**/ -- '", None),
            ("", None),
        ] {
            assert_eq!(cut_off(script), ends_in, "{script}");
        }
    }

    /// What scripts are made of, cut so that its joints are everywhere.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "SELECT 1",
            ";",
            " ",
            "\n",
            "-- c;\n",
            "/* ; */",
            "SELECT ';'",
            "SELECT \";\" FROM t",
            "CREATE TRIGGER IF NOT EXISTS r AFTER INSERT ON t BEGIN ",
            "DELETE FROM t;",
            "END",
            "EXPLAIN ",
            "SELECT 'it''s;' AS \"a;b\"",
            "SELECT a FROM t",
            "INSERT INTO t VALUES (1)",
        ]);
        prop::collection::vec(piece, 0..12).prop_map(|it| it.concat())
    }

    proptest! {
        #[test]
        fn statements_are_cut_where_sqlite_cuts_them(script in pieces()) {
            let sqlite = Connection::open_in_memory().unwrap();
            sqlite.execute_batch("CREATE TABLE t (a)").unwrap();
            let mut sqlites = Vec::new();
            let mut batch = Batch::new(&sqlite, &script);
            while let Ok(Some(statement)) = batch.next() {
                sqlites.push(statement.expanded_sql().unwrap());
            }
            // Where SQLite finds an error it stops; up to there both agree.
            for (ours, theirs) in split(&script).iter().zip(&sqlites) {
                prop_assert!(theirs.contains(ours), "{ours:?} is not {theirs:?} in {script:?}");
                let rest = theirs.replacen(ours, "", 1);
                prop_assert!(split(&rest).is_empty(), "{rest:?} is left of {theirs:?}");
            }
            prop_assert!(split(&script).len() >= sqlites.len());
        }
    }
}
