//! JSON values, one after another: a line each, or the elements of a list. Only one is in memory.
use crate::data::imports::input::{Input, MAX_RECORD_BYTES, ReadError, malformed, too_long};

/// Reads values.
pub(in crate::data::imports) struct JsonReader {
    input: Input,
    line: u64,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Each line is a value.
    Lines,
    BeforeList,
    BeforeFirst,
    BehindElement,
    BehindList,
}

impl JsonReader {
    pub(in crate::data::imports) fn lines(input: Input) -> Self {
        Self::at(input, Place::Lines)
    }

    pub(in crate::data::imports) fn list(input: Input) -> Self {
        Self::at(input, Place::BeforeList)
    }

    fn at(input: Input, place: Place) -> Self {
        Self {
            input,
            line: 1,
            place,
        }
    }

    /// Reads the text of the next value, and tells the line on which it begins. `None` at the end.
    pub(in crate::data::imports) fn next(
        &mut self,
        text: &mut Vec<u8>,
    ) -> Result<Option<u64>, ReadError> {
        text.clear();
        text.shrink_to(1 << 20);
        if self.place == Place::Lines {
            return self.next_line(text);
        }
        if self.place == Place::BeforeList {
            match self.next_sign()? {
                Some(b'[') => self.place = Place::BeforeFirst,
                None => return Err(malformed(1, "the file is empty; a JSON list is expected")),
                Some(_) => {
                    return Err(malformed(
                        self.line,
                        "the file is no JSON list; send one JSON value a line as \
                         application/x-ndjson",
                    ));
                }
            }
            self.input.take(1);
        }
        if self.place == Place::BehindElement {
            match self.next_sign()? {
                Some(b',') => self.input.take(1),
                Some(b']') => self.place = Place::BehindList,
                _ => return Err(malformed(self.line, "`,` or `]` is missing behind a value")),
            }
        } else if self.place == Place::BeforeFirst && self.next_sign()? == Some(b']') {
            self.place = Place::BehindList;
        }
        if self.place == Place::BehindList {
            if self.next_sign()? == Some(b']') {
                self.input.take(1);
            }
            return match self.next_sign()? {
                None => Ok(None),
                Some(_) => Err(malformed(self.line, "the file goes on behind the list")),
            };
        }
        self.next_sign()?;
        let line = self.line;
        self.element(text, line)?;
        self.place = Place::BehindElement;
        Ok(Some(line))
    }

    fn next_line(&mut self, text: &mut Vec<u8>) -> Result<Option<u64>, ReadError> {
        loop {
            let line = self.line;
            let mut is_last = false;
            loop {
                let seen = self.input.seen();
                let found = memchr::memchr(b'\n', seen);
                let length = found.unwrap_or(seen.len());
                text.extend_from_slice(&seen[..length]);
                if text.len() > MAX_RECORD_BYTES {
                    return Err(too_long(line));
                }
                self.input.take(length);
                if found.is_some() {
                    self.input.take(1);
                    self.line += 1;
                    break;
                }
                if !self.input.more()? {
                    is_last = true;
                    break;
                }
            }
            if !text.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
            if is_last {
                return Ok(None);
            }
            text.clear();
        }
    }

    /// The next byte that is not blank, which is left where it is.
    fn next_sign(&mut self) -> Result<Option<u8>, ReadError> {
        loop {
            let seen = self.input.seen();
            let blank = seen.iter().position(|byte| !byte.is_ascii_whitespace());
            let length = blank.unwrap_or(seen.len());
            self.line += memchr::memchr_iter(b'\n', &seen[..length]).count() as u64;
            let sign = blank.map(|at| seen[at]);
            self.input.take(length);
            if sign.is_some() {
                return Ok(sign);
            }
            if !self.input.more()? {
                return Ok(None);
            }
        }
    }

    /// Reads an element of the list up to the sign behind it. Whether it is JSON is seen later.
    fn element(&mut self, text: &mut Vec<u8>, began: u64) -> Result<(), ReadError> {
        let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
        loop {
            let seen = self.input.seen();
            let mut end = None;
            for (at, byte) in seen.iter().enumerate() {
                if is_text {
                    match byte {
                        _ if is_escaped => is_escaped = false,
                        b'\\' => is_escaped = true,
                        b'"' => is_text = false,
                        _ => {}
                    }
                    continue;
                }
                match byte {
                    b'"' => is_text = true,
                    b'[' | b'{' => depth += 1,
                    b']' | b'}' if depth > 0 => depth -= 1,
                    b']' | b',' if depth == 0 => {
                        end = Some(at);
                        break;
                    }
                    b'\n' => self.line += 1,
                    _ => {}
                }
            }
            let length = end.unwrap_or(seen.len());
            text.extend_from_slice(&seen[..length]);
            if text.len() > MAX_RECORD_BYTES {
                return Err(too_long(began));
            }
            self.input.take(length);
            if end.is_some() {
                return Ok(());
            }
            if !self.input.more()? {
                return Err(malformed(began, "the list has no end"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, is_list: bool) -> Result<Vec<String>, String> {
        let input = Input::new(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())));
        let input = input.map_err(|error| error.to_string())?;
        let mut reader = match is_list {
            true => JsonReader::list(input),
            false => JsonReader::lines(input),
        };
        let (mut value, mut all) = (Vec::new(), Vec::new());
        while let Some(line) = reader.next(&mut value).map_err(|error| error.to_string())? {
            all.push(format!(
                "{line}: {}",
                String::from_utf8_lossy(&value).trim()
            ));
        }
        Ok(all)
    }

    #[test]
    fn lines_and_elements_come_one_by_one_with_their_lines() {
        assert_eq!(
            values("{\"a\":1}\n\n \r\n[2]", false),
            Ok(vec!["1: {\"a\":1}".into(), "4: [2]".into()])
        );
        assert_eq!(
            values(" [\n{\"a\":\"],\\\"\"} ,\n\n {\"b\":[1,{}]}\n]\n", true),
            Ok(vec![
                "2: {\"a\":\"],\\\"\"}".into(),
                "4: {\"b\":[1,{}]}".into()
            ])
        );
        assert_eq!(values("[]", true), Ok(vec![]));
        assert_eq!(values("[1]", true), Ok(vec!["1: 1".into()]));
        for (wrong, says) in [
            ("", "line 1: the file is empty"),
            ("{}", "line 1: the file is no JSON list"),
            ("[1", "line 1: the list has no end"),
            ("[1]\n2", "line 2: the file goes on"),
            ("[{\"a\":", "line 1: the list has no end"),
        ] {
            let said = values(wrong, true).unwrap_err();
            assert!(said.starts_with(says), "{wrong}: {said}");
        }
    }
}
