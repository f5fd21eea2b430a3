//! JSON values, one after another: a line each, or the elements of a list. Only one is in memory.
use super::input::{Input, MAX_RECORD_BYTES, ReadError, malformed, too_long};
use super::row::Row;
use crate::data::{Param, ParamRef, nearest};
use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;

/// Reads values.
pub(super) struct JsonReader {
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
    pub(super) fn lines(input: Input) -> Self {
        Self::at(input, Place::Lines)
    }

    pub(super) fn list(input: Input) -> Self {
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
    pub(super) fn next(&mut self, text: &mut Vec<u8>) -> Result<Option<u64>, ReadError> {
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

/// The columns that keys of objects name.
#[derive(Debug, Default)]
pub(super) struct Keys {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Keys {
    pub(super) fn new(names: Vec<String>) -> Self {
        let places = names.iter().enumerate();
        let places = places.map(|(place, name)| (name.to_ascii_lowercase(), place));
        Self {
            places: places.collect(),
            names,
        }
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    fn place(&self, key: &str, likely: usize) -> Option<usize> {
        if self.names.get(likely).is_some_and(|name| name == key) {
            return Some(likely);
        }
        self.places.get(&key.to_ascii_lowercase()).copied()
    }
}

/// What is wrong with a row: the column, and what it is.
pub(super) type Misfit = (Option<String>, String);

/// Reads an object, or a list of values in the order of the columns.
pub(super) fn read_row(text: &[u8], keys: &Keys, row: &mut Row) -> Result<(), Misfit> {
    row.begin(keys.names.len());
    let mut misfit = None;
    let seed = RowSeed {
        keys,
        row,
        misfit: &mut misfit,
    };
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = seed.deserialize(&mut json).and_then(|()| json.end());
    match (misfit, read) {
        (Some(misfit), _) => Err(misfit),
        (None, Err(error)) => Err((None, said(&error))),
        (None, Ok(())) => Ok(()),
    }
}

/// What serde says, without the line, which is one of the value alone.
pub(super) fn said(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let said = said.rsplit_once(" at line ").map_or(&*said, |it| it.0);
    format!("the row is no JSON object: {said}")
}

struct RowSeed<'r> {
    keys: &'r Keys,
    row: &'r mut Row,
    misfit: &'r mut Option<Misfit>,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl RowSeed<'_> {
    fn set(&mut self, column: usize, json: &RawValue) {
        let set = with_value(json.get(), |value| self.row.set(column, value));
        if let Err(message) = set {
            self.refuse(Some(column), message);
        }
    }

    fn refuse(&mut self, column: Option<usize>, message: String) {
        let column = column.map(|place| self.keys.names[place].clone());
        self.misfit.get_or_insert((column, message));
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns and values")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut object: A) -> Result<(), A::Error> {
        let mut likely = 0;
        while let Some(key) = object.next_key::<Key<'de>>()? {
            let json: &RawValue = object.next_value()?;
            match self.keys.place(key.as_str(), likely) {
                Some(place) if self.row.value(place).is_none() => {
                    self.set(place, json);
                    likely = place + 1;
                }
                Some(place) => self.refuse(Some(place), "the row has it twice".to_owned()),
                None => {
                    let message = unknown_column(self.keys.names(), key.as_str());
                    self.refuse(None, message);
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let mut count = 0;
        while let Some(json) = list.next_element::<&RawValue>()? {
            if count < self.row.len() {
                self.set(count, json);
            }
            count += 1;
        }
        if count != self.row.len() {
            let wanted = self.row.len();
            self.refuse(None, format!("the row has {count} values, not {wanted}"));
        }
        Ok(())
    }
}

/// A key, of which a copy is made only where it has escapes.
#[derive(serde::Deserialize)]
struct Key<'k>(#[serde(borrow)] std::borrow::Cow<'k, str>);

impl Key<'_> {
    fn as_str(&self) -> &str {
        &self.0
    }
}

/// Says that there is no such column, and which one may be meant.
pub(super) fn unknown_column(names: &[String], wrong: &str) -> String {
    let shown: String = wrong.chars().take(100).collect();
    match nearest(names.iter().map(String::as_str), wrong) {
        Some(near) => format!("there is no column `{shown}`; is `{near}` meant?"),
        None => format!("there is no column `{shown}`"),
    }
}

/// Gives the value that a piece of JSON is: in the API's forms; what is no single value, as its
/// own JSON text.
pub(super) fn with_value<T>(json: &str, give: impl FnOnce(ParamRef<'_>) -> T) -> Result<T, String> {
    let unreadable = |error: serde_json::Error| {
        let said = error.to_string();
        said.rsplit_once(" at line ")
            .map_or(said.clone(), |it| it.0.to_owned())
    };
    Ok(match json.as_bytes().first() {
        Some(b'n') => give(ParamRef::Null),
        Some(b't') => give(ParamRef::Integer(1)),
        Some(b'f') => give(ParamRef::Integer(0)),
        Some(b'"') => {
            let text: Key<'_> = serde_json::from_str(json).map_err(unreadable)?;
            give(ParamRef::Text(text.as_str().as_bytes()))
        }
        Some(b'{') => match serde_json::from_str::<Param>(json) {
            Ok(value) => give(value.borrowed()),
            Err(error) if json[1..].trim_ascii_start().starts_with("\"$") => {
                return Err(unreadable(error));
            }
            Err(_) => give(ParamRef::Text(json.as_bytes())),
        },
        Some(b'[') => give(ParamRef::Text(json.as_bytes())),
        _ if json.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
            match json.parse::<f64>() {
                Ok(number) if number.is_finite() => give(ParamRef::Real(number)),
                _ => return Err(format!("{} is out of range", shortened(json))),
            }
        }
        _ => match json.parse::<i64>() {
            Ok(number) => give(ParamRef::Integer(number)),
            Err(_) => {
                return Err(format!(
                    "the integer {} is out of range ({} to {}); write it as text, or as a real \
                     such as 1e19",
                    shortened(json),
                    i64::MIN,
                    i64::MAX
                ));
            }
        },
    })
}

fn shortened(number: &str) -> &str {
    number.get(..40).unwrap_or(number)
}

/// The names in the first line of our own NDJSON: `{"columns":[{"name":…,"type":…},…]}`.
pub(super) fn columns_line(text: &[u8]) -> Option<Vec<String>> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        columns: Vec<Column>,
    }
    #[derive(serde::Deserialize)]
    struct Column {
        name: String,
    }
    let line: Line = serde_json::from_slice(text).ok()?;
    Some(line.columns.into_iter().map(|column| column.name).collect())
}

/// What the last line of our own NDJSON is.
pub(super) enum LastLine {
    /// The numbers behind the rows.
    Totals,
    /// The error with which the export ended.
    Error(String),
}

/// Reads a line that is no row of our own NDJSON.
pub(super) fn last_line(text: &[u8]) -> Option<LastLine> {
    let line: HashMap<String, &RawValue> = serde_json::from_slice(text).ok()?;
    if let Some(error) = line.get("error") {
        return Some(LastLine::Error(error.get().chars().take(500).collect()));
    }
    line.contains_key("row_count").then_some(LastLine::Totals)
}

/// Calls `see` with each key of an object and its value's text.
pub(super) fn each_key(
    text: &[u8],
    mut see: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), String> {
    struct Seed<'s, F>(&'s mut F, &'s mut Option<String>);
    impl<'de, F: FnMut(&str, &str) -> Result<(), String>> Visitor<'de> for Seed<'_, F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of columns and values")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
            while let Some((key, json)) = object.next_entry::<Key<'de>, &RawValue>()? {
                if let Err(message) = (self.0)(key.as_str(), json.get()) {
                    self.1.get_or_insert(message);
                }
            }
            Ok(())
        }
    }
    let mut refused = None;
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = json.deserialize_map(Seed(&mut see, &mut refused));
    match (refused, read.and_then(|()| json.end())) {
        (Some(message), _) => Err(message),
        (None, Err(error)) => Err(said(&error)),
        (None, Ok(())) => Ok(()),
    }
}

/// The values of a list, as text.
pub(super) fn each_value(text: &[u8], mut see: impl FnMut(usize, &str)) -> Result<usize, String> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let values = Vec::<&RawValue>::deserialize(&mut json).map_err(|error| said(&error))?;
    for (place, value) in values.iter().enumerate() {
        see(place, value.get());
    }
    Ok(values.len())
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

    fn row(text: &str) -> Result<Vec<String>, Misfit> {
        let keys = Keys::new(vec!["a".into(), "B".into()]);
        let mut row = Row::default();
        read_row(text.as_bytes(), &keys, &mut row)?;
        let told = |place| match row.value(place) {
            None => "-".to_owned(),
            Some(ParamRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            Some(other) => format!("{other:?}"),
        };
        Ok((0..row.len()).map(told).collect())
    }

    #[test]
    fn an_object_is_a_row_in_the_apis_forms() {
        for (text, told) in [
            (r#"{"a":1,"b":"x\n"}"#, ["Integer(1)", "x\n"]),
            (r#"{"B":null}"#, ["-", "Null"]),
            (
                r#"{"b":{"x": [1]},"a":[1, 2]}"#,
                ["[1, 2]", r#"{"x": [1]}"#],
            ),
            (
                r#"{"a":{"$base64":"AP8="},"b":true}"#,
                ["Blob([0, 255])", "Integer(1)"],
            ),
            (r#"[1.0,-0]"#, ["Real(1.0)", "Integer(0)"]),
        ] {
            assert_eq!(row(text).unwrap(), told, "{text}");
        }
        for (text, column, says) in [
            (r#"{"c":1}"#, None, "there is no column `c`"),
            (r#"{"a":1,"A":2}"#, Some("a"), "twice"),
            (r#"{"a":9223372036854775808}"#, Some("a"), "out of range"),
            (r#"{"a":1e999}"#, Some("a"), "out of range"),
            (r#"{"a":{"$base64":"?"}}"#, Some("a"), "base64"),
            ("[1]", None, "has 1 values, not 2"),
            ("7", None, "no JSON object"),
            ("{\"a\":1", None, "no JSON object"),
        ] {
            let (found, message) = row(text).unwrap_err();
            assert_eq!(found.as_deref(), column, "{text}: {message}");
            assert!(message.contains(says), "{text}: {message}");
        }
    }
}
