//! A statement's text without its values, for logs.

/// Most characters of a text that are logged; the rest is left out.
const MOST: usize = 1000;

/// The statement's text with `?` for each number, text and BLOB, without comments, on one line, and
/// cut after a thousand characters. Names in quotes stay: with double-quoted texts refused, they
/// are never values.
pub(crate) fn redacted(sql: &str) -> String {
    let mut shown = String::new();
    let mut rest = sql;
    let mut length = 0;
    while let Some(first) = rest.chars().next() {
        let (token, after) = rest.split_at(token_length(rest, first));
        rest = after;
        let is_blob = matches!(first, 'x' | 'X') && token.contains('\'');
        if first == '\'' || is_blob || first.is_ascii_digit() || is_fraction(first, token) {
            shown.push('?');
        } else if is_comment(token) || first.is_whitespace() {
            if !shown.is_empty() && !shown.ends_with(' ') {
                shown.push(' ');
            }
        } else {
            shown.extend(token.chars().filter(|it| !it.is_control()));
        }
        length += 1;
        // A token is a character at least, and long names count for themselves.
        if length > MOST || shown.len() > MOST {
            let end = shown
                .char_indices()
                .nth(MOST)
                .map_or(shown.len(), |(at, _)| at);
            shown.truncate(end);
            shown.push('…');
            break;
        }
    }
    shown.truncate(shown.trim_end().len());
    shown
}

fn is_comment(token: &str) -> bool {
    token.starts_with("--") || token.starts_with("/*")
}

fn is_fraction(first: char, token: &str) -> bool {
    first == '.' && token.len() > 1
}

/// Bytes of the token that `text` begins with, as SQLite reads it. One that does not end goes to
/// the end of the text.
fn token_length(text: &str, first: char) -> usize {
    let is_digit = |at: usize| text.as_bytes().get(at).is_some_and(u8::is_ascii_digit);
    let up_to = |end: &str, from: usize| {
        text[from..]
            .find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    match first {
        '\'' | '"' | '`' => quoted(text, first, 0),
        '[' => up_to("]", 1),
        'x' | 'X' if text[1..].starts_with('\'') => quoted(text, '\'', 1),
        '-' if text.starts_with("--") => up_to("\n", 2),
        '/' if text.starts_with("/*") => up_to("*/", 2),
        '0'..='9' => number(text),
        '.' if is_digit(1) => number(text),
        _ if is_name(first) => text.find(|it| !is_name(it)).unwrap_or(text.len()),
        _ if first.is_whitespace() => text
            .find(|it: char| !it.is_whitespace())
            .unwrap_or(text.len()),
        _ => first.len_utf8(),
    }
}

fn is_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// A number with its fraction, exponent, digits in hexadecimal and underscores.
fn number(text: &str) -> usize {
    let mut before = ' ';
    let end = text.find(|it: char| {
        let is_sign = matches!(it, '+' | '-') && matches!(before, 'e' | 'E');
        let goes_on = is_name(it) || it == '.' || is_sign;
        before = it;
        !goes_on
    });
    end.unwrap_or(text.len())
}

/// A quote in it is written twice.
fn quoted(text: &str, quote: char, from: usize) -> usize {
    let mut at = from + 1;
    while let Some(found) = text[at..].find(quote) {
        at += found + 1;
        if !text[at..].starts_with(quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_comments_are_not_shown() {
        for (sql, shown) in [
            (
                "SELECT * FROM t WHERE id = 12 AND x > -1.5e-3",
                "SELECT * FROM t WHERE id = ? AND x > -?",
            ),
            (
                "INSERT INTO \"t 1\"(a) VALUES ('it''s secret', x'00ff')",
                "INSERT INTO \"t 1\"(a) VALUES (?, ?)",
            ),
            (
                "SELECT a1, [b 2], `c'3` FROM t2 -- dbf_secret\n LIMIT .5",
                "SELECT a1, [b 2], `c'3` FROM t2 LIMIT ?",
            ),
            ("SELECT/* 'dbf_secret' */1", "SELECT ?"),
            ("SELECT 'never closed dbf_secret", "SELECT ?"),
            (
                "SELECT 0xdbf_5ec, ?1, :name, @p, $p\r\n\u{1b}[31m",
                "SELECT ?, ??, :name, @p, $p [31m",
            ),
            ("SELECT 'ä' AS größe", "SELECT ? AS größe"),
            ("", ""),
        ] {
            assert_eq!(redacted(sql), shown, "{sql}");
        }
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = redacted(&"SELECT longer_than_that + ".repeat(10_000));
        assert!(
            shown.ends_with('…') && shown.chars().count() <= MOST + 1,
            "{shown}"
        );
        let names = redacted(&"ä".repeat(100_000));
        assert!(names.chars().count() <= MOST + 1, "{}", names.len());
    }
}
