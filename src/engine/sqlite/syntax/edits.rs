//! Changes of a text at several places at once.
use std::ops::Range;

/// A text with what is to be put in place of some of its parts.
#[derive(Debug)]
pub(crate) struct Edits<'t> {
    text: &'t str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'t> Edits<'t> {
    pub(crate) fn of(text: &'t str) -> Self {
        Self {
            text,
            edits: Vec::new(),
        }
    }

    pub(crate) fn replace(&mut self, place: Range<usize>, with: impl Into<String>) {
        self.edits.push((place, with.into()));
    }

    pub(crate) fn insert(&mut self, at: usize, what: impl Into<String>) {
        self.replace(at..at, what);
    }

    /// Takes a part out, and a blank before it.
    pub(crate) fn remove(&mut self, place: &Range<usize>) {
        let before = self.text[..place.start].ends_with(' ');
        self.replace(place.start - usize::from(before)..place.end, "");
    }

    /// The text with all changes. A part within one that is taken out is gone with it.
    pub(crate) fn done(mut self) -> String {
        // Those at one place stay in the order in which they were asked for.
        self.edits
            .sort_by_key(|(place, _)| (place.start, place.end));
        let (mut done, mut at) = (String::new(), 0);
        for (place, with) in self.edits {
            if place.start < at {
                continue;
            }
            done.push_str(&self.text[at..place.start]);
            done.push_str(&with);
            at = place.end;
        }
        done.push_str(&self.text[at..]);
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_changed_at_several_places_at_once() {
        let mut edits = Edits::of("a b c");
        edits.insert(5, "!");
        edits.replace(0..1, "x");
        edits.remove(&(2..3));
        edits.insert(5, "?");
        assert_eq!(edits.done(), "x c!?");
    }
}
