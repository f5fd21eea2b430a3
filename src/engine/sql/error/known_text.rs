//! Texts of this program's source that another process of it says: an error names what is limited.
use crate::locks::Mutex;
use serde::{Deserialize, Deserializer, Serializer};
use std::collections::BTreeSet;

/// A text of this program's source.
pub type KnownText = &'static str;

/// As many as the source has, several times over. A process that was taken over may say others:
/// those past the bound are not kept.
const MOST_TEXTS: usize = 256;
const LONGEST_TEXT: usize = 256;
/// What stands for a text that is not kept.
const UNKNOWN: &str = "something that its worker does not name";

/// What has been said so far; it stays for as long as the process.
static KEPT: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

pub(in crate::engine::sql) fn serialize<S: Serializer>(
    text: &KnownText,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

pub(in crate::engine::sql) fn deserialize<'de, D: Deserializer<'de>>(
    said: D,
) -> Result<&'static str, D::Error> {
    String::deserialize(said).map(|said| kept(&said))
}

/// The same for a text that may be left out.
pub(in crate::engine::sql) fn deserialize_some<'de, D: Deserializer<'de>>(
    said: D,
) -> Result<Option<KnownText>, D::Error> {
    let said = Option::<String>::deserialize(said)?;
    Ok(said.map(|said| kept(&said)))
}

fn kept(said: &str) -> &'static str {
    let mut texts = KEPT.lock();
    if let Some(known) = texts.get(said) {
        return known;
    }
    if said.len() > LONGEST_TEXT || texts.len() >= MOST_TEXTS {
        return UNKNOWN;
    }
    let text: &'static str = String::leak(said.to_owned());
    texts.insert(text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_again_is_kept_once_and_what_is_too_long_is_not() {
        let said = kept("a thread for tests");
        assert!(std::ptr::eq(said, kept("a thread for tests")));
        assert_eq!(kept(&"x".repeat(LONGEST_TEXT + 1)), UNKNOWN);
    }
}
