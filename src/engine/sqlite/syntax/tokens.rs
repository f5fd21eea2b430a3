//! SQLite's tokens: where each begins and ends in a text, so that the rest of the text stays as it
//! is.
use std::borrow::Cow;
use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// A keyword or a bare name.
    Word,
    /// A name in `"…"`, `` `…` `` or `[…]`.
    QuotedName,
    /// A text in `'…'`.
    Text,
    /// Anything else of more than one character: a number, a BLOB, a parameter.
    Value,
    /// One character of an operator, a comma, a parenthesis.
    Sign(u8),
}

/// A token, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SqlToken {
    pub(crate) kind: TokenKind,
    pub(crate) place: Range<usize>,
}

impl SqlToken {
    /// Whether it is this bare word.
    pub(crate) fn is_word(&self, text: &str, word: &str) -> bool {
        self.kind == TokenKind::Word && text[self.place.clone()].eq_ignore_ascii_case(word)
    }

    /// Whether it is this character.
    pub(crate) fn is_sign(&self, sign: u8) -> bool {
        self.kind == TokenKind::Sign(sign)
    }

    /// The name that it stands for.
    pub(crate) fn name<'t>(&self, text: &'t str) -> Cow<'t, str> {
        unquoted(&text[self.place.clone()])
    }
}

/// A name without its quotes.
pub(crate) fn unquoted(word: &str) -> Cow<'_, str> {
    let mut letters = word.chars();
    let (first, last) = (letters.next(), letters.next_back());
    let inner = letters.as_str();
    match (first, last) {
        (Some('['), Some(']')) => Cow::Borrowed(inner),
        (Some(quote @ ('"' | '`' | '\'')), Some(end)) if quote == end => {
            let doubled: String = [quote, quote].iter().collect();
            if inner.contains(&doubled) {
                Cow::Owned(inner.replace(&doubled, &quote.to_string()))
            } else {
                Cow::Borrowed(inner)
            }
        }
        _ => Cow::Borrowed(word),
    }
}

/// The tokens of a text; blanks and comments are none.
pub(crate) fn tokens(text: &str) -> Vec<SqlToken> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let (kind, length) = token_at(&bytes[at..]);
        if let Some(kind) = kind {
            tokens.push(SqlToken {
                kind,
                place: at..at + length,
            });
        }
        at += length;
    }
    tokens
}

/// The token at the beginning of a text that is not empty, and its length; `None` for blanks and
/// comments.
fn token_at(text: &[u8]) -> (Option<TokenKind>, usize) {
    let until = |from: usize, last: &[u8]| {
        let found = memchr::memmem::find(text.get(from..).unwrap_or_default(), last);
        found.map_or(text.len(), |at| from + at + last.len())
    };
    match text[0] {
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0c' => (None, 1),
        b'-' if text.get(1) == Some(&b'-') => (None, until(2, b"\n")),
        b'/' if text.get(1) == Some(&b'*') => (None, until(2, b"*/")),
        _ if text.starts_with(BYTE_ORDER_MARK) => (None, BYTE_ORDER_MARK.len()),
        b'\'' => (Some(TokenKind::Text), quoted_length(text)),
        b'"' | b'`' => (Some(TokenKind::QuotedName), quoted_length(text)),
        b'[' => (Some(TokenKind::QuotedName), until(1, b"]")),
        b'x' | b'X' if text.get(1) == Some(&b'\'') => {
            (Some(TokenKind::Value), 1 + quoted_length(&text[1..]))
        }
        b'0'..=b'9' => (Some(TokenKind::Value), number_length(text)),
        b'.' if text.get(1).is_some_and(u8::is_ascii_digit) => {
            (Some(TokenKind::Value), number_length(text))
        }
        b'$' | b'@' | b'#' | b':' | b'?' => {
            let name = text[1..].iter().take_while(|byte| is_in_word(**byte));
            (Some(TokenKind::Value), 1 + name.count())
        }
        first if is_in_word(first) => {
            let length = text.iter().take_while(|byte| is_in_word(**byte)).count();
            (Some(TokenKind::Word), length)
        }
        sign => (Some(TokenKind::Sign(sign)), 1),
    }
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The length of what is in the quotes that the text begins with, in which a doubled quote stands
/// for itself.
fn quoted_length(text: &[u8]) -> usize {
    let quote = text[0];
    let mut at = 1;
    while let Some(found) = memchr::memchr(quote, text.get(at..).unwrap_or_default()) {
        at += found + 1;
        if text.get(at) != Some(&quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

fn number_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let follows_exponent = matches!(byte, b'+' | b'-')
            && at > 0
            && matches!(text[at - 1], b'e' | b'E')
            && !matches!(text.get(1), Some(b'x' | b'X'));
        if !is_in_word(*byte) && *byte != b'.' && !follows_exponent {
            break;
        }
        at += 1;
    }
    at
}

/// As SQLite sees words: everything beyond ASCII belongs to one.
fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text)
            .iter()
            .map(|token| &text[token.place.clone()])
            .collect()
    }

    #[test]
    fn quotes_comments_numbers_and_names_are_told_apart_as_sqlite_does() {
        let text = "CREATE/* a ) */TABLE \"a\"\"b\" ([x ] y] -- ,\n, `c``d` 'e''f' DEFAULT -1.5e-3,x'00', é$1 ?1 @a)";
        assert_eq!(
            words(text),
            [
                "CREATE",
                "TABLE",
                "\"a\"\"b\"",
                "(",
                "[x ]",
                "y",
                "]",
                ",",
                "`c``d`",
                "'e''f'",
                "DEFAULT",
                "-",
                "1.5e-3",
                ",",
                "x'00'",
                ",",
                "é$1",
                "?1",
                "@a",
                ")"
            ]
        );
        assert_eq!(words("0xe+1 1e+1+2"), ["0xe", "+", "1", "1e+1", "+", "2"]);
        assert_eq!(words("'open"), ["'open"]);
        assert_eq!(words("/* open"), Vec::<&str>::new());
    }

    #[test]
    fn a_quoted_name_is_read_without_its_quotes() {
        for (written, name) in [
            ("\"a\"\"b\"", "a\"b"),
            ("`a``b`", "a`b"),
            ("[a]", "a"),
            ("'a'", "a"),
            ("a", "a"),
            ("\"\"", ""),
        ] {
            assert_eq!(unquoted(written), name);
        }
    }
}
