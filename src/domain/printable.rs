//! Texts that users wrote, shown so that they neither end a line nor steer a terminal.
use std::borrow::Cow;

/// Whether a character does something where it should be shown: control characters, other ends
/// of lines, and marks that turn the direction of writing.
#[must_use]
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Whether every character of a text can be shown as it is.
#[must_use]
pub fn is_printable(text: &str) -> bool {
    !text.contains(is_unprintable)
}

/// The text with what cannot be shown escaped: `\n`, `\u{1b}`.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if is_printable(text) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_escaped_and_letters_of_all_scripts_are_not() {
        assert_eq!(printable("a\u{1b}[2J\nb\u{85}"), "a\\u{1b}[2J\\nb\\u{85}");
        assert_eq!(printable("\u{202e}gpj.exe"), "\\u{202e}gpj.exe");
        assert_eq!(printable("größer 数据库 👍🏽"), "größer 数据库 👍🏽");
    }
}
