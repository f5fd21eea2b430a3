//! Splits a script into its statements, where psql would.
use super::tokens::{Token, next_token};
use std::ops::Range;

/// The place of each statement in `script`, without the `;` behind it and what is blank around it.
///
/// A `;` between parentheses belongs to a rule, and one between `BEGIN ATOMIC` and its `END` to the
/// body of a function; none of them ends a statement.
pub(in super::super) fn statements(script: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (mut start, mut end) = (None, at);
        let mut body = Body::default();
        let mut parentheses = 0_usize;
        while at < script.len() {
            let (token, length) = next_token(&script.as_bytes()[at..]);
            let here = at;
            at = (at + length).min(script.len());
            match token {
                Token::Blank => continue,
                Token::Semicolon if parentheses == 0 && body.depth == 0 => match start {
                    None => continue, // a statement of nothing is none
                    Some(start) => return Some(start..end),
                },
                Token::Open => parentheses += 1,
                Token::Close => parentheses = parentheses.saturating_sub(1),
                Token::Word if parentheses == 0 => body.word(&script[here..at]),
                _ => {}
            }
            start.get_or_insert(here);
            end = at;
        }
        start.take().map(|start| start..end)
    })
}

/// How deep in the body of a function in SQL a place is.
#[derive(Debug, Default)]
struct Body {
    words: usize,
    /// It creates a function or a procedure.
    is_routine: bool,
    creates: bool,
    depth: usize,
}

impl Body {
    fn word(&mut self, word: &str) {
        let is = |other: &str| word.eq_ignore_ascii_case(other);
        match self.words {
            0 => self.creates = is("create"),
            // CREATE OR REPLACE FUNCTION
            1..=3 if self.creates && (is("function") || is("procedure")) => self.is_routine = true,
            _ if self.is_routine && is("begin") => self.depth += 1,
            _ if self.depth > 0 && is("case") => self.depth += 1,
            _ if self.depth > 0 && is("end") => self.depth -= 1,
            _ => {}
        }
        self.words += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(script: &str) -> Vec<&str> {
        statements(script).map(|it| &script[it]).collect()
    }

    #[test]
    fn a_semicolon_in_a_text_a_comment_or_a_body_ends_nothing() {
        let function = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC \
                        SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 3; END";
        let block = "DO $$ BEGIN RAISE NOTICE 'a;$x$'; END; $$";
        let script = format!(
            "; SELECT 'a;''b', E'it\\';' ;; -- c;\n SELECT \"x;\", $1 /* ; /* ; */ ; */;{function};\n\
             {block};SELECT $t$;$$;$t$ -- e"
        );
        assert_eq!(
            split(&script),
            [
                "SELECT 'a;''b', E'it\\';'",
                "SELECT \"x;\", $1",
                function,
                block,
                "SELECT $t$;$$;$t$",
            ]
        );
        assert!(split(" -- nothing;\n ; /* */").is_empty());
        assert_eq!(split("SELECT 'open; "), ["SELECT 'open; "]);
        assert_eq!(split("BEGIN; SELECT 1; END"), ["BEGIN", "SELECT 1", "END"]);
        let rule = "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)";
        assert_eq!(
            split(&format!("{rule}; SELECT 'ü;'")),
            [rule, "SELECT 'ü;'"]
        );
    }
}
