//! Arrays: from PostgreSQL's literals to JSON.

/// Most dimensions of an array (`MAXDIM`).
const MOST_DIMENSIONS: usize = 6;

/// Writes the array of a literal in JSON, each value by `write`. `None` where the literal is none:
/// what was written so far has to be taken back.
pub(super) fn json(
    out: &mut Vec<u8>,
    literal: &[u8],
    between: u8,
    write: &impl Fn(&mut Vec<u8>, &[u8]),
) -> Option<()> {
    // `[2:3]={…}` tells where the places of an array begin.
    let begin = match literal.first()? {
        b'[' => literal.iter().position(|byte| *byte == b'=')? + 1,
        _ => 0,
    };
    let mut reader = Reader {
        rest: &literal[begin..],
        between,
    };
    reader.array(out, write, 0)?;
    reader.rest.is_empty().then_some(())
}

struct Reader<'l> {
    rest: &'l [u8],
    between: u8,
}

impl Reader<'_> {
    fn array(
        &mut self,
        out: &mut Vec<u8>,
        write: &impl Fn(&mut Vec<u8>, &[u8]),
        depth: usize,
    ) -> Option<()> {
        if depth >= MOST_DIMENSIONS || self.take()? != b'{' {
            return None;
        }
        out.push(b'[');
        if self.rest.first() == Some(&b'}') {
            self.take();
            out.push(b']');
            return Some(());
        }
        loop {
            match self.rest.first()? {
                b'{' => self.array(out, write, depth + 1)?,
                b'"' => write(out, &self.quoted()?),
                _ => {
                    let between = self.between;
                    let is_end = |byte: &u8| *byte == between || *byte == b'}';
                    let end = self.rest.iter().position(is_end)?;
                    let (value, rest) = self.rest.split_at(end);
                    self.rest = rest;
                    match value {
                        b"NULL" => out.extend_from_slice(b"null"),
                        value => write(out, value),
                    }
                }
            }
            match self.take()? {
                b'}' => break,
                sign if sign == self.between => out.push(b','),
                _ => return None,
            }
        }
        out.push(b']');
        Some(())
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        self.take();
        let mut value = Vec::new();
        loop {
            match self.take()? {
                b'"' => return Some(value),
                b'\\' => value.push(self.take()?),
                other => value.push(other),
            }
        }
    }

    fn take(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_becomes_an_array() {
        let written = |literal: &str| {
            let mut out = Vec::new();
            let text = |out: &mut Vec<u8>, value: &[u8]| {
                crate::engine::sql::written::text(out, value);
            };
            json(&mut out, literal.as_bytes(), b',', &text)?;
            Some(String::from_utf8(out).unwrap())
        };
        assert_eq!(written("{}").unwrap(), "[]");
        assert_eq!(
            written(r#"{a,NULL,"NULL","x\"y\\,}",""}"#).unwrap(),
            r#"["a",null,"NULL","x\"y\\,}",""]"#
        );
        assert_eq!(
            written("[0:1][2:3]={{1,2},{3,4}}").unwrap(),
            r#"[["1","2"],["3","4"]]"#
        );
        for wrong in ["", "{", "{a", "{a}b", "a", "{\"a}", "{{{{{{{1}}}}}}}"] {
            assert_eq!(written(wrong), None, "{wrong}");
        }
    }
}
