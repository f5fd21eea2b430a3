//! Rows of a table: objects, or lists of values in the order of the columns.
use super::values::{Key, with_value};
use crate::data::imports::row::Row;
use crate::data::nearest;
use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::fmt;

/// The columns that keys of objects name.
#[derive(Debug, Default)]
pub(in crate::data::imports) struct Keys {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Keys {
    pub(in crate::data::imports) fn new(names: Vec<String>) -> Self {
        let places = names.iter().enumerate();
        let places = places.map(|(place, name)| (name.to_ascii_lowercase(), place));
        Self {
            places: places.collect(),
            names,
        }
    }

    pub(in crate::data::imports) fn names(&self) -> &[String] {
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
type Misfit = (Option<String>, String);

/// Reads an object, or a list of values in the order of the columns.
pub(in crate::data::imports) fn read_row(
    text: &[u8],
    keys: &Keys,
    row: &mut Row,
) -> Result<(), Misfit> {
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
fn said(error: &serde_json::Error) -> String {
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

/// Says that there is no such column, and which one may be meant.
fn unknown_column(names: &[String], wrong: &str) -> String {
    let shown: String = wrong.chars().take(100).collect();
    match nearest(names.iter().map(String::as_str), wrong) {
        Some(near) => format!("there is no column `{shown}`; is `{near}` meant?"),
        None => format!("there is no column `{shown}`"),
    }
}

/// Calls `see` with each key of an object and its value's text.
pub(in crate::data::imports) fn each_key(
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
pub(in crate::data::imports) fn each_value(
    text: &[u8],
    mut see: impl FnMut(usize, &str),
) -> Result<usize, String> {
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
    use crate::data::ParamRef;

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
