//! Checks the text of a JSON body before it is parsed: nesting depth and integer range.
//!
//! After parsing, an integer that is too large cannot be told from a floating-point number.
use crate::http::response::error::Problem;
use std::fmt::Write as _;

/// Maximum nesting of objects and arrays: more than any route needs, and safe for the stack.
const MAX_JSON_DEPTH: usize = 32;

/// Rejects bodies that are nested too deeply, and integers beyond signed 64 bits, which would
/// silently lose precision.
///
/// # Errors
/// 400 with what and where.
pub(super) fn look_over(json: &[u8]) -> Result<(), Problem> {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = json.get(at) {
        at = match byte {
            b'"' => end_of_text(json, at),
            b'-' | b'0'..=b'9' => {
                let end = end_of_number(json, at);
                if !fits(&json[at..end]) {
                    return Err(too_large(json, at..end));
                }
                end
            }
            b'{' | b'[' => {
                depth += 1;
                at + 1
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at + 1
            }
            _ => at + 1,
        };
        if depth > MAX_JSON_DEPTH {
            return Err(Problem::invalid(format!(
                "The body is nested more than {MAX_JSON_DEPTH} levels deep."
            )));
        }
    }
    Ok(())
}

/// The place behind a text that begins at `start`.
fn end_of_text(json: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(rest) = json.get(at..)
        && let Some(found) = memchr::memchr2(b'"', b'\\', rest)
    {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        at += 2; // what is escaped ends nothing
    }
    json.len()
}

/// The place behind a number that begins at `start`.
fn end_of_number(json: &[u8], start: usize) -> usize {
    let is_inside = |it: &u8| matches!(it, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let length = json[start..].iter().position(|it| !is_inside(it));
    length.map_or(json.len(), |it| start + it)
}

/// Whether a number is not an integer, or fits 64 bits. Anything that is not a number passes: the
/// parser reports it.
fn fits(number: &[u8]) -> bool {
    /// As many digits fit whatever they are.
    const ALWAYS: usize = 18;
    if number.len() <= ALWAYS {
        return true;
    }
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    let is_whole = digits.iter().all(u8::is_ascii_digit);
    let text = str::from_utf8(number).unwrap_or_default();
    !is_whole || text.parse::<i64>().is_ok()
}

#[cold]
fn too_large(json: &[u8], number: std::ops::Range<usize>) -> Problem {
    let place = place_of(json, number.start);
    Problem::invalid(format!(
        "`{place}` is the integer {}, which is out of range ({} to {}).",
        shortened(&json[number]),
        i64::MIN,
        i64::MAX
    ))
    .hint("send it as a string, or as a floating-point number such as 1e19")
}

/// Where in the body something stands: `params[2]`, `statements[0].params.name`.
fn place_of(json: &[u8], target: usize) -> String {
    /// In an object, its key; in a list, its index.
    enum Step {
        Key(String),
        Index(usize),
    }
    let mut steps: Vec<Step> = Vec::new();
    let mut at = 0;
    while at < target {
        let start = at;
        at += 1;
        match (json[start], steps.last_mut()) {
            (b'{', _) => steps.push(Step::Key(String::new())),
            (b'[', _) => steps.push(Step::Index(0)),
            (b'}' | b']', _) => drop(steps.pop()),
            (b',', Some(Step::Index(it))) => *it += 1,
            (b'"', step) => {
                at = end_of_text(json, start);
                let is_key = json[at..].trim_ascii_start().first() == Some(&b':');
                if let (Some(Step::Key(key)), true) = (step, is_key) {
                    *key = shortened(&json[start + 1..at - 1]);
                }
            }
            _ => {}
        }
    }
    let mut place = String::new();
    for step in steps {
        let written = match step {
            Step::Key(key) if place.is_empty() => write!(place, "{key}"),
            Step::Key(key) => write!(place, ".{key}"),
            Step::Index(index) => write!(place, "[{index}]"),
        };
        written.expect("a String takes all text");
    }
    place
}

/// What a sentence can hold: a key or a number may be as long as a body.
fn shortened(bytes: &[u8]) -> String {
    const SHOWN: usize = 40;
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::http::extract::json_text::*;

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = format!("\"{}\\\"{}\"", "[".repeat(40), "{".repeat(40));
        assert!(look_over(text.as_bytes()).is_ok());
        assert!(look_over("[".repeat(32).as_bytes()).is_ok());
        assert!(look_over("[".repeat(33).as_bytes()).is_err());
    }

    #[test]
    fn the_place_of_a_number_is_its_way_through_objects_and_lists() {
        for (json, place) in [
            (r#"{"params":[1,[2],@]}"#, "params[2]"),
            (
                r#"{"a":[1],"params" : {"x,y":"{","n\"":@}}"#,
                "params.n\\\"",
            ),
            (r#"{"s":[{"p":[]},{"p":[{},@]}]}"#, "s[1].p[1]"),
            ("@", ""),
        ] {
            let at = json.find('@').unwrap();
            assert_eq!(place_of(json.as_bytes(), at), place, "{json}");
        }
    }

    #[test]
    fn only_a_whole_number_of_more_than_64_bits_does_not_fit() {
        for fitting in [
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808.0",
            "18446744073709551616e0",
            "-1E+30",
            "-----------------------------------",
            r#""99999999999999999999""#,
            r#""\"99999999999999999999""#,
            r#""99999999999999999999"#,
            r#""\"#,
        ] {
            assert!(look_over(fitting.as_bytes()).is_ok(), "{fitting}");
        }
        for larger in [
            "9223372036854775808",
            "-9223372036854775809",
            "[18446744073709551616]",
            &"9".repeat(100_000),
        ] {
            assert!(look_over(larger.as_bytes()).is_err(), "{larger}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_stumble(text in r#"[\[\]{}",:\\0-9eE.+ äa-]{0,100}"#) {
            let _ = look_over(text.as_bytes());
            for at in 0..=text.len() {
                place_of(text.as_bytes(), at);
            }
        }
    }
}
