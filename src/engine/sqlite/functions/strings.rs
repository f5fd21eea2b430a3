//! String functions in linear time, with the results of SQLite's own.
use memchr::memmem;
use std::collections::HashSet;

/// Where `needle` first is in `text`, counted in characters from 1; 0 when it is not.
///
/// As SQLite, it looks at the start of the text and at bytes that begin a character.
pub(crate) fn position_in_text(text: &[u8], needle: &[u8]) -> i64 {
    let Some(&first) = needle.first() else {
        return 1;
    };
    if continues_a_character(first) {
        return i64::from(text.starts_with(needle));
    }
    match memmem::find(text, needle) {
        None => 0,
        Some(at) => {
            let begun = text
                .iter()
                .take(at + 1)
                .skip(1)
                .filter(|it| !continues_a_character(**it))
                .count();
            count(begun) + 1
        }
    }
}

/// Where `needle` first is in `blob`, counted in bytes from 1; 0 when it is not.
pub(crate) fn position_in_blob(blob: &[u8], needle: &[u8]) -> i64 {
    memmem::find(blob, needle).map_or(0, |at| count(at) + 1)
}

/// As SQLite: a pattern is a C string.
fn is_empty_pattern(pattern: &[u8]) -> bool {
    pattern.first().is_none_or(|byte| *byte == 0)
}

/// Bytes that are searched between two looks whether to go on: some milliseconds.
const BYTES_BETWEEN_LOOKS: usize = 1 << 20;

/// Where each `pattern` is in `text`, for as long as `goes_on`.
fn places<'t>(
    text: &'t [u8],
    pattern: &'t [u8],
    goes_on: impl Fn() -> bool + 't,
) -> impl Iterator<Item = usize> + 't {
    let mut look_at = BYTES_BETWEEN_LOOKS;
    memmem::find_iter(text, pattern).take_while(move |place| {
        *place < look_at || {
            look_at = place + BYTES_BETWEEN_LOOKS;
            goes_on()
        }
    })
}

/// How many bytes `text` has with every `pattern` replaced. Meaningless where it did not go on.
pub(crate) fn replaced_length(
    text: &[u8],
    pattern: &[u8],
    by: &[u8],
    goes_on: impl Fn() -> bool,
) -> usize {
    if is_empty_pattern(pattern) {
        return text.len();
    }
    let found = places(text, pattern, goes_on).count();
    let kept = text.len() - found * pattern.len();
    kept.saturating_add(found.saturating_mul(by.len()))
}

/// `text` with every `pattern` replaced, which has `length` bytes.
pub(crate) fn replaced(
    text: &[u8],
    pattern: &[u8],
    by: &[u8],
    length: usize,
    goes_on: impl Fn() -> bool,
) -> Vec<u8> {
    if is_empty_pattern(pattern) {
        return text.to_vec();
    }
    let mut out = Vec::with_capacity(length);
    let mut done = 0;
    for place in places(text, pattern, goes_on) {
        out.extend_from_slice(&text[done..place]);
        out.extend_from_slice(by);
        done = place + pattern.len();
    }
    out.extend_from_slice(&text[done..]);
    out
}

/// Which ends are trimmed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ends {
    Left,
    Right,
    Both,
}

/// `text` without the characters of `set` at its ends.
pub(crate) fn trimmed<'t>(text: &'t str, set: &str, ends: Ends) -> &'t str {
    // As SQLite: the set is a C string.
    let set: HashSet<char> = set
        .chars()
        .take_while(|character| *character != '\0')
        .collect();
    let trims = |it: char| set.contains(&it);
    match ends {
        Ends::Left => text.trim_start_matches(trims),
        Ends::Right => text.trim_end_matches(trims),
        Ends::Both => text.trim_matches(trims),
    }
}

/// The bytes that `text` spells in hexadecimal, with characters of `ignored` allowed between the
/// pairs; `None` when it spells none.
pub(crate) fn unhexed(text: &str, ignored: &str) -> Option<Vec<u8>> {
    let ignored: HashSet<char> = ignored.chars().collect();
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut characters = text.chars().take_while(|character| *character != '\0');
    while let Some(high) = characters.next() {
        match high.to_digit(16) {
            Some(high) => {
                let low = characters.next()?.to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).expect("two hex digits are a byte"));
            }
            None if ignored.contains(&high) => {}
            None => return None,
        }
    }
    Some(out)
}

fn continues_a_character(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

fn count(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("a value has less than 2^63 bytes")
}
