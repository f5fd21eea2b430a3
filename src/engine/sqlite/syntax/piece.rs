//! Pieces of SQL that clients send: a type, a default, a condition. Each has to stay in its place.
use super::tokens::{TokenKind, tokens};

/// Whether `sql` is one expression: its quotes and parentheses are closed, it has no comma outside
/// of them, no end of a statement and no comment.
pub(crate) fn is_expression(sql: &str) -> bool {
    let tokens = tokens(sql);
    let (mut depth, mut end) = (0_usize, 0);
    for token in &tokens {
        let between = &sql[end..token.place.start];
        let text = &sql[token.place.clone()];
        end = token.place.end;
        let closed = match token.kind {
            TokenKind::Text => text.len() > 1 && text.ends_with('\''),
            TokenKind::QuotedName => text.len() > 1 && text.ends_with(['"', '`', ']']),
            TokenKind::Value => !text.contains('\'') || text.ends_with('\''),
            TokenKind::Word | TokenKind::Sign(_) => true,
        };
        let ends = token.is_sign(b';') || (depth == 0 && token.is_sign(b','));
        if !closed || ends || token.is_sign(b'\0') || !is_blank(between) {
            return false;
        }
        if token.is_sign(b'(') {
            depth += 1;
        } else if token.is_sign(b')') {
            match depth.checked_sub(1) {
                Some(outer) => depth = outer,
                None => return false,
            }
        }
    }
    depth == 0 && !tokens.is_empty() && is_blank(&sql[end..])
}

/// Whether `sql` is a type: words, and one or two numbers in parentheses.
pub(crate) fn is_type(sql: &str) -> bool {
    let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | ' ');
    let (words, numbers) = match sql.split_once('(') {
        None => (sql, None),
        Some((words, rest)) => match rest.trim_end().strip_suffix(')') {
            None => return false,
            Some(numbers) => (words, Some(numbers)),
        },
    };
    let is_number = |number: &str| {
        let digits = number.trim().trim_start_matches(['+', '-']);
        !digits.is_empty() && digits.chars().all(|it| it.is_ascii_digit() || it == '.')
    };
    let fits = numbers.is_none_or(|numbers| {
        let count = numbers.split(',').count();
        (1..=2).contains(&count) && numbers.split(',').all(is_number)
    });
    let begins_well = words
        .chars()
        .next()
        .is_some_and(|first| first.is_alphabetic() || first == '_');
    let ends_type = |word: &str| ENDS.iter().any(|end| end.eq_ignore_ascii_case(word));
    fits && begins_well && words.chars().all(is_word) && !words.split(' ').any(ends_type)
}

/// Words that begin a constraint, or are no name.
const ENDS: &[&str] = &[
    "CONSTRAINT",
    "PRIMARY",
    "NOT",
    "NULL",
    "UNIQUE",
    "CHECK",
    "DEFAULT",
    "COLLATE",
    "REFERENCES",
    "DEFERRABLE",
    "AS",
    "GENERATED",
    "SELECT",
    "FOREIGN",
    "ON",
    "AUTOINCREMENT",
];

fn is_blank(text: &str) -> bool {
    text.chars().all(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_leave_its_place_is_no_expression() {
        for sql in [
            "a > 0",
            "(1, 2)",
            "'it''s, ;'",
            "\"a)\" + 1",
            "f(a, ')')",
            "x'00'",
            "-1.5",
        ] {
            assert!(is_expression(sql), "{sql}");
        }
        for sql in [
            "",
            " ",
            "a)",
            "(a",
            "a, b",
            "a; b",
            "'a",
            "\"a",
            "[a",
            "a -- b",
            "a /* b */",
            "x'0",
            "1) STRICT --",
        ] {
            assert!(!is_expression(sql), "{sql}");
        }
    }

    #[test]
    fn a_type_is_words_and_numbers() {
        for sql in [
            "INTEGER",
            "varchar(20)",
            "DECIMAL (10, 2)",
            "double precision",
            "größe",
        ] {
            assert!(is_type(sql), "{sql}");
        }
        for sql in [
            "",
            "INT PRIMARY KEY",
            "INT)",
            "INT(a)",
            "INT, b",
            "INT -- x",
            "INT(1,2,3)",
            "1",
        ] {
            assert!(!is_type(sql), "{sql}");
        }
    }
}
