//! Cuts a text into PostgreSQL's tokens, as far as the ends of statements and their words go.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// Blank space, or a comment.
    Blank,
    /// A keyword or a name without quotes.
    Word,
    /// A name in quotes.
    Name,
    /// A text or a number.
    Value,
    Semicolon,
    Open,
    Close,
    Dot,
    Other,
}

/// The first token of a text that is not empty, and its length.
pub(super) fn next_token(text: &[u8]) -> (Token, usize) {
    match text[0] {
        b';' => (Token::Semicolon, 1),
        b'(' => (Token::Open, 1),
        b')' => (Token::Close, 1),
        b'.' => (Token::Dot, 1),
        b' ' | b'\t' | b'\n' | b'\r' | b'\x0b' | b'\x0c' => (Token::Blank, 1),
        b'-' if text.get(1) == Some(&b'-') => {
            let end = memchr::memchr2(b'\n', b'\r', text);
            (Token::Blank, end.unwrap_or(text.len()))
        }
        b'/' if text.get(1) == Some(&b'*') => (Token::Blank, comment(text)),
        b'\'' => (Token::Value, 1 + text_end(&text[1..], false)),
        b'"' => {
            let end = memchr::memchr(b'"', &text[1..]);
            (Token::Name, end.map_or(text.len(), |it| it + 2))
        }
        b'e' | b'E' if text.get(1) == Some(&b'\'') => {
            (Token::Value, 2 + text_end(&text[2..], true))
        }
        b'$' => dollar(text),
        b'0'..=b'9' => {
            let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
            (Token::Value, length_while(text, is_part))
        }
        first if begins_word(first) => (Token::Word, length_while(text, |byte| is_word(*byte))),
        _ => (Token::Other, 1),
    }
}

/// The tokens of a text that are not blank, each with where it begins.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = (Token, &str)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let (token, length) = next_token(&text.as_bytes()[at..]);
            let begin = at;
            at = (at + length).min(text.len());
            if token != Token::Blank {
                // Cuts are at ASCII characters.
                return Some((token, text.get(begin..at).unwrap_or_default()));
            }
        }
        None
    })
}

/// The length of a comment, in which there may be others.
fn comment(text: &[u8]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match &text[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    text.len()
}

/// The length of a text behind its first quote. A doubled quote is the end of one and the beginning
/// of the next: all the same here.
fn text_end(text: &[u8], has_escapes: bool) -> usize {
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'\'' => return at + 1,
            b'\\' if has_escapes => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// A parameter, a text between `$tag$`, or a sign.
fn dollar(text: &[u8]) -> (Token, usize) {
    let tag = length_while(&text[1..], |byte| is_word(*byte) && *byte != b'$');
    let is_tag =
        text.get(1 + tag) == Some(&b'$') && !text[1..].first().is_some_and(u8::is_ascii_digit);
    if is_tag {
        let mark = &text[..tag + 2];
        let end = memchr::memmem::find(&text[mark.len()..], mark);
        return (
            Token::Value,
            end.map_or(text.len(), |it| it + 2 * mark.len()),
        );
    }
    (
        Token::Other,
        1 + length_while(&text[1..], u8::is_ascii_digit),
    )
}

fn length_while(text: &[u8], is_part: impl Fn(&u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !is_part(byte));
    end.unwrap_or(text.len())
}

fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word(byte: u8) -> bool {
    begins_word(byte) || byte.is_ascii_digit() || byte == b'$'
}
