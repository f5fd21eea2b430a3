//! Reads names, quoted texts and lists, from left to right.
use super::ast::{Field, JsonPlace, JsonStep};
use crate::data::rows::RowsError;

/// What is left of a text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner<'t> {
    /// The whole text, for messages.
    whole: &'t str,
    rest: &'t str,
}

/// Characters that end a name that is not quoted.
const ENDS_OF_NAMES: &[char] = &[',', '.', '(', ')', ':', '!', '"'];

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            whole: text,
            rest: text,
        }
    }

    pub(super) fn rest(&self) -> &'t str {
        self.rest
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Whether `token` comes next, which is read then.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Reads `token`.
    pub(super) fn expect(&mut self, token: &str) -> Result<(), RowsError> {
        if self.eat(token) {
            return Ok(());
        }
        Err(self.error(format!("expected `{token}`")))
    }

    /// What is wrong at this place.
    pub(super) fn error(&self, what: impl AsRef<str>) -> RowsError {
        let at = self.whole.len() - self.rest.len() + 1;
        let what = what.as_ref();
        RowsError::invalid(format!("{what} at character {at} of `{}`", self.whole))
    }

    /// Reads what comes before the next of `ends`.
    pub(super) fn until(&mut self, ends: &[char]) -> &'t str {
        let end = self.rest.find(ends).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        text
    }

    /// A name: quoted, or up to what ends one.
    pub(super) fn name(&mut self) -> Result<String, RowsError> {
        self.skip_spaces();
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let end = self.rest.find(ENDS_OF_NAMES).unwrap_or(self.rest.len());
        let end = self.rest.find("->").map_or(end, |arrow| arrow.min(end));
        let (name, rest) = self.rest.split_at(end);
        let name = name.trim_end();
        if name.is_empty() {
            return Err(self.error("a name is missing"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    /// A text in quotes, in which `\` and a doubled quote stand for what follows.
    pub(super) fn quoted(&mut self) -> Result<String, RowsError> {
        let mut characters = self.rest.char_indices();
        characters.next();
        let mut text = String::new();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some((_, escaped)) => text.push(escaped),
                    None => break,
                },
                '"' if self.rest[at + 1..].starts_with('"') => {
                    characters.next();
                    text.push('"');
                }
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                other => text.push(other),
            }
        }
        Err(self.error("a quote is not closed"))
    }

    /// `column->member->>0`.
    pub(super) fn field(&mut self) -> Result<Field, RowsError> {
        let column = self.name()?;
        let path = self.json_path()?;
        Ok(Field { column, path })
    }

    pub(super) fn json_path(&mut self) -> Result<Vec<JsonStep>, RowsError> {
        let mut path = Vec::new();
        while self.rest.starts_with("->") {
            let as_text = self.eat("->>");
            if !as_text {
                self.eat("->");
            }
            if path.last().is_some_and(|last: &JsonStep| last.as_text) {
                return Err(self.error("`->>` makes text, and nothing can follow it"));
            }
            let is_quoted = self.rest.starts_with('"');
            let name = self.name()?;
            let to = match name.parse() {
                Ok(place) if !is_quoted => JsonPlace::Place(place),
                _ => JsonPlace::Member(name),
            };
            path.push(JsonStep { to, as_text });
        }
        Ok(path)
    }

    /// Values between brackets, with commas between them; those in quotes may hold anything.
    pub(super) fn list(&mut self, open: &str, close: char) -> Result<Vec<String>, RowsError> {
        self.expect(open)?;
        let mut values = Vec::new();
        if self.eat(close.encode_utf8(&mut [0; 4])) {
            return Ok(values);
        }
        loop {
            values.push(self.value(&[',', close])?);
            if self.eat(close.encode_utf8(&mut [0; 4])) {
                return Ok(values);
            }
            if !self.eat(",") {
                return Err(self.error(format!("expected `,` or `{close}`")));
            }
        }
    }

    /// A value: in quotes, or up to what ends it.
    pub(super) fn value(&mut self, ends: &[char]) -> Result<String, RowsError> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        Ok(self.until(ends).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_they_hold_what_ends_a_name() {
        for (text, name, rest) in [
            ("name,age", "name", ",age"),
            ("first name,age", "first name", ",age"),
            (r#""a.b,c".asc"#, "a.b,c", ".asc"),
            (r#""a\"b"x"#, "a\"b", "x"),
            (r#""a""b"x"#, "a\"b", "x"),
            ("größe.desc", "größe", ".desc"),
            ("data->>a", "data", "->>a"),
            ("half-done,x", "half-done", ",x"),
        ] {
            let mut scanner = Scanner::new(text);
            assert_eq!(scanner.name().unwrap(), name, "{text}");
            assert_eq!(scanner.rest(), rest, "{text}");
        }
        for wrong in ["", ",", r#""open"#, r#""\"#] {
            assert!(Scanner::new(wrong).name().is_err(), "{wrong}");
        }
    }

    #[test]
    fn arrows_lead_into_json() {
        let field = Scanner::new(r#"data->a->0->>"0""#).field().unwrap();
        assert_eq!(field.column, "data");
        let places: Vec<_> = field.path.iter().map(|step| step.to.clone()).collect();
        assert_eq!(
            places,
            [
                JsonPlace::Member("a".into()),
                JsonPlace::Place(0),
                JsonPlace::Member("0".into())
            ]
        );
        assert!(field.path[2].as_text && !field.path[0].as_text);
        assert!(Scanner::new("data->>a->b").field().is_err());
        assert!(Scanner::new("data->").field().is_err());
    }

    #[test]
    fn values_of_a_list_may_be_quoted() {
        let mut scanner = Scanner::new(r#"(1,"a,b","x\"y",,z)rest"#);
        let values = scanner.list("(", ')').unwrap();
        assert_eq!(values, ["1", "a,b", "x\"y", "", "z"]);
        assert_eq!(scanner.rest(), "rest");
        assert!(Scanner::new("()").list("(", ')').unwrap().is_empty());
        for wrong in ["(1", r#"("a"b)"#, "1)", r#"("a)"#] {
            assert!(Scanner::new(wrong).list("(", ')').is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_stumble(text in r#"[ab"\\,.()>:!-]{0,20}"#) {
            let _ = Scanner::new(&text).field();
            let _ = Scanner::new(&text).list("(", ')');
        }
    }
}
