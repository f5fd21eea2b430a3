//! Whether a text is like a pattern, as SQLite's own `patternCompare` decides it.
//!
//! SQLite calls itself for each `%` and cannot be stopped. Here only the last `%` is gone back to:
//! once a later one is reached, nothing that an earlier one could pass over changes the outcome. So
//! there is no recursion, and the deadline is looked at on the way.
use memchr::{memchr, memchr2};

/// Bytes that are compared between two looks at the deadline: some microseconds.
const BYTES_BETWEEN_LOOKS: usize = 4 << 10;

/// Bytes that are searched for one character in the time in which one is compared.
const SEARCHED_PER_COMPARED: usize = 16;

/// The characters of a pattern that stand for others. 0 is none: no pattern holds it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Stands for any characters, also none.
    all: u32,
    /// Stands for any one character.
    one: u32,
    /// Begins a set of characters that ends with `]`.
    set: u32,
    /// The character behind it stands for itself.
    escape: u32,
    /// Whether `a` and `A` are the same; of letters beyond ASCII no two are.
    ignores_case: bool,
}

impl Rules {
    pub(crate) const LIKE: Self = Self {
        all: '%' as u32,
        one: '_' as u32,
        set: 0,
        escape: 0,
        ignores_case: true,
    };

    pub(crate) const GLOB: Self = Self {
        all: '*' as u32,
        one: '?' as u32,
        set: '[' as u32,
        escape: 0,
        ignores_case: false,
    };

    /// The same with ESCAPE. A wildcard that escapes is none any more.
    pub(crate) fn escaped_by(self, escape: u32) -> Self {
        let unless_escape = |wildcard| if wildcard == escape { 0 } else { wildcard };
        Self {
            all: unless_escape(self.all),
            one: unless_escape(self.one),
            escape,
            ..self
        }
    }

    fn are_same(self, one: u32, other: u32) -> bool {
        let lower = |character: u32| u8::try_from(character).map(|byte| byte.to_ascii_lowercase());
        one == other
            || self.ignores_case && one < 0x80 && other < 0x80 && lower(one) == lower(other)
    }
}

/// It had to stop.
#[derive(Debug)]
pub(super) struct Stopped;

/// Whether all of `text` is like `pattern`. Neither holds a NUL byte, and neither has to be UTF-8.
///
/// # Errors
/// [`Stopped`] once `must_stop` says so.
pub(super) fn is_match(
    pattern: &[u8],
    text: &[u8],
    rules: Rules,
    must_stop: impl Fn() -> bool,
) -> Result<bool, Stopped> {
    let mut comparison = Comparison {
        pattern,
        text,
        rules,
        until_look: BYTES_BETWEEN_LOOKS,
        must_stop,
    };
    comparison.run()
}

/// Reads a character as SQLite does, bytes that are no UTF-8 included; 0 at the end.
pub(super) fn read(bytes: &[u8], place: &mut usize) -> u32 {
    let Some(first) = bytes.get(*place).copied() else {
        return 0;
    };
    *place += 1;
    let mut character = match first {
        ..0xc0 => return first.into(),
        0xc0..0xe0 => first & 0x1f,
        0xe0..0xf0 => first & 0x0f,
        0xf0..0xf8 => first & 0x07,
        0xf8..0xfc => first & 0x03,
        0xfc..0xfe => first & 0x01,
        0xfe.. => 0,
    }
    .into();
    while let Some(byte) = bytes.get(*place).filter(|byte| *byte & 0xc0 == 0x80) {
        character = (character << 6) | u32::from(byte & 0x3f);
        *place += 1;
    }
    if character < 0x80 || character & 0xffff_f800 == 0xd800 {
        return REPLACEMENT;
    }
    character
}

/// Stands for characters that SQLite does not read.
const REPLACEMENT: u32 = 0xfffd;

struct Comparison<'c, S> {
    pattern: &'c [u8],
    text: &'c [u8],
    rules: Rules,
    until_look: usize,
    must_stop: S,
}

/// How far the comparison is, in bytes.
#[derive(Clone, Copy, Default)]
struct Place {
    pattern: usize,
    text: usize,
}

/// What came of one character or set of the pattern.
enum Step {
    Same,
    Differs,
    /// There was a `%`, and something is behind it.
    All,
    /// The outcome, wherever the last `%` ends.
    End(bool),
}

impl<S: Fn() -> bool> Comparison<'_, S> {
    fn run(&mut self) -> Result<bool, Stopped> {
        let mut place = Place::default();
        let mut behind_all = None;
        loop {
            let before = place;
            let step = self.step(&mut place);
            self.count(place.pattern - before.pattern + place.text - before.text)?;
            let from = match (step, behind_all) {
                (Step::Same, _) => continue,
                (Step::End(is_match), _) => return Ok(is_match),
                (Step::Differs, None) => return Ok(false),
                (Step::All, _) => place,
                (Step::Differs, Some(mut last)) => {
                    let Place { text, .. } = &mut last;
                    read(self.text, text);
                    last
                }
            };
            let Some(next) = self.next_start(from)? else {
                return Ok(false);
            };
            behind_all = Some(next);
            place = next;
        }
    }

    fn step(&self, place: &mut Place) -> Step {
        let mut wanted = read(self.pattern, &mut place.pattern);
        if wanted == 0 {
            return match place.text == self.text.len() {
                true => Step::End(true),
                false => Step::Differs,
            };
        }
        if wanted == self.rules.all {
            return self.pass_wildcards(place);
        }
        let is_escaped = wanted == self.rules.escape;
        if is_escaped {
            wanted = read(self.pattern, &mut place.pattern);
        }
        let found = read(self.text, &mut place.text);
        if wanted == 0 || found == 0 {
            // What is left of the pattern takes at least one character, from wherever it begins.
            return Step::End(false);
        }
        let is_same = if !is_escaped && wanted == self.rules.set {
            match self.is_in_set(found, &mut place.pattern) {
                Some(is_in) => is_in,
                None => return Step::End(false),
            }
        } else {
            self.rules.are_same(wanted, found) || !is_escaped && wanted == self.rules.one
        };
        if is_same { Step::Same } else { Step::Differs }
    }

    /// Goes on behind a `%` and the wildcards that follow it.
    fn pass_wildcards(&self, place: &mut Place) -> Step {
        loop {
            let mut behind = place.pattern;
            let wildcard = read(self.pattern, &mut behind);
            if wildcard == 0 {
                return Step::End(true);
            }
            if wildcard == self.rules.one {
                if read(self.text, &mut place.text) == 0 {
                    return Step::End(false);
                }
            } else if wildcard != self.rules.all {
                return Step::All;
            }
            place.pattern = behind;
        }
    }

    /// Whether a character is in the set that begins here, which is passed. `None` where it has no
    /// end.
    fn is_in_set(&self, found: u32, place: &mut usize) -> Option<bool> {
        let (mut is_in, mut is_inverted) = (false, false);
        let mut member = read(self.pattern, place);
        if member == u32::from(b'^') {
            is_inverted = true;
            member = read(self.pattern, place);
        }
        if member == u32::from(b']') {
            is_in = found == member;
            member = read(self.pattern, place);
        }
        let mut before = 0;
        while member != u32::from(b']') {
            if member == 0 {
                return None;
            }
            let is_range = member == u32::from(b'-')
                && before > 0
                && self.pattern.get(*place).is_some_and(|next| *next != b']');
            if is_range {
                let last = read(self.pattern, place);
                is_in |= (before..=last).contains(&found);
                before = 0;
            } else {
                is_in |= found == member;
                before = member;
            }
            member = read(self.pattern, place);
        }
        Some(is_in != is_inverted)
    }

    /// Where in the text, from here on, the rest of the pattern may begin.
    fn next_start(&mut self, from: Place) -> Result<Option<Place>, Stopped> {
        let rest = self.text.get(from.text..).unwrap_or_default();
        let skipped = match self.pattern.get(from.pattern).copied() {
            Some(first) if self.stands_for_itself(first) => {
                let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
                let found = match self.rules.ignores_case && lower != upper {
                    true => memchr2(lower, upper, rest),
                    false => memchr(first, rest),
                };
                let searched = found.unwrap_or(rest.len());
                self.count(searched / SEARCHED_PER_COMPARED)?;
                found
            }
            _ => (!rest.is_empty()).then_some(0),
        };
        Ok(skipped.map(|bytes| Place {
            text: from.text + bytes,
            ..from
        }))
    }

    /// Whether a byte behind a `%` is a character that has no meaning of its own.
    fn stands_for_itself(&self, byte: u8) -> bool {
        byte.is_ascii() && ![self.rules.escape, self.rules.set].contains(&byte.into())
    }

    /// Counts bytes that were compared.
    fn count(&mut self, bytes: usize) -> Result<(), Stopped> {
        if bytes < self.until_look {
            self.until_look -= bytes;
            return Ok(());
        }
        self.until_look = BYTES_BETWEEN_LOOKS;
        if (self.must_stop)() {
            return Err(Stopped);
        }
        Ok(())
    }
}
