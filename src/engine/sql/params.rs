//! The parameters of a statement, as JSON gives them.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

/// Most parameters of one statement.
pub const MAX_PARAMETERS: usize = 32_766;

/// One value, in the forms of the API: null, number, text, `{"$base64":…}`, `{"$real":…}`,
/// `{"$text_base64":…}`; true and false are 1 and 0, as in SQL.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    /// NULL.
    Null,
    /// An integer of 64 bits.
    Integer(i64),
    /// A floating-point number; NaN binds as NULL, since SQLite has none.
    Real(f64),
    /// Text.
    Text(String),
    /// Text that may be no UTF-8.
    TextBytes(Vec<u8>),
    /// Bytes.
    Blob(Vec<u8>),
}

/// The parameters of one statement. Cloned, they are still there once: a value may be long.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Params {
    /// There are none.
    #[default]
    None,
    /// By place, from the first on.
    Positional(Arc<[Param]>),
    /// By name, with or without its `:`, `@` or `$`.
    Named(Arc<[(String, Param)]>),
}

impl Params {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Positional(values) => values.len(),
            Self::Named(values) => values.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamsVisitor)
    }
}

struct ParamsVisitor;

impl<'de> Visitor<'de> for ParamsVisitor {
    type Value = Params;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of values, or an object of names and values")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Params, E> {
        Ok(Params::None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Params, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            refuse_too_many(values.len())?;
            values.push(value);
        }
        Ok(if values.is_empty() {
            Params::None
        } else {
            Params::Positional(values.into())
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Params, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = object.next_entry()? {
            refuse_too_many(values.len())?;
            values.push(value);
        }
        Ok(if values.is_empty() {
            Params::None
        } else {
            Params::Named(values.into())
        })
    }
}

fn refuse_too_many<E: de::Error>(so_far: usize) -> Result<(), E> {
    if so_far < MAX_PARAMETERS {
        Ok(())
    } else {
        Err(E::custom(format_args!(
            "a statement has at most {MAX_PARAMETERS} parameters"
        )))
    }
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamVisitor)
    }
}

struct ParamVisitor;

impl<'de> Visitor<'de> for ParamVisitor {
    type Value = Param;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            r#"null, a number, text, {"$base64":"…"}, {"$text_base64":"…"} or {"$real":"Infinity"}"#,
        )
    }

    fn visit_unit<E: de::Error>(self) -> Result<Param, E> {
        Ok(Param::Null)
    }

    fn visit_bool<E: de::Error>(self, it: bool) -> Result<Param, E> {
        Ok(Param::Integer(i64::from(it)))
    }

    fn visit_i64<E: de::Error>(self, it: i64) -> Result<Param, E> {
        Ok(Param::Integer(it))
    }

    fn visit_u64<E: de::Error>(self, it: u64) -> Result<Param, E> {
        i64::try_from(it).map(Param::Integer).map_err(|_| {
            E::custom(format_args!(
                "the whole number {it} is larger than {}; send it as text, or as a real such as 1e19",
                i64::MAX
            ))
        })
    }

    fn visit_f64<E: de::Error>(self, it: f64) -> Result<Param, E> {
        Ok(Param::Real(it))
    }

    fn visit_str<E: de::Error>(self, it: &str) -> Result<Param, E> {
        Ok(Param::Text(it.to_owned()))
    }

    fn visit_string<E: de::Error>(self, it: String) -> Result<Param, E> {
        Ok(Param::Text(it))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Param, A::Error> {
        let unknown = || de::Error::invalid_type(de::Unexpected::Map, &self);
        let form = object.next_key::<String>()?.ok_or_else(unknown)?;
        if !FORMS.contains(&form.as_str()) {
            return Err(unknown());
        }
        let value = object.next_value_seed(Form(&form))?;
        let value = value.ok_or_else(unknown)?;
        match object.next_key::<String>()? {
            None => Ok(value),
            Some(_) => Err(unknown()),
        }
    }
}

/// The text under the name of a form, of which no copy is made: it may be long.
struct Form<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Form<'_> {
    type Value = Option<Param>;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Option<Param>, D::Error> {
        text.deserialize_str(self)
    }
}

impl Visitor<'_> for Form<'_> {
    /// `None` for text that is no value in this form.
    type Value = Option<Param>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<Param>, E> {
        let bytes = || {
            STANDARD.decode(text).map_err(|_| {
                E::custom(format_args!(
                    "the text under {} is no base64 with padding",
                    self.0
                ))
            })
        };
        Ok(Some(match (self.0, text) {
            (BLOB, _) => Param::Blob(bytes()?),
            (TEXT, _) => Param::TextBytes(bytes()?),
            (_, "Infinity") => Param::Real(f64::INFINITY),
            (_, "-Infinity") => Param::Real(f64::NEG_INFINITY),
            (_, "NaN") => Param::Null,
            _ => return Ok(None),
        }))
    }
}

const BLOB: &str = "$base64";
const TEXT: &str = "$text_base64";
const FORMS: &[&str] = &[BLOB, TEXT, "$real"];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Params, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn every_form_of_a_value_is_read_exactly() {
        let json = r#"[null, true, 9223372036854775807, -1, 1.5, -0, "é", {"$base64":"AP8="},
                       {"$real":"-Infinity"}, {"$real":"NaN"}, {"$text_base64":"gGE="}]"#;
        assert_eq!(
            read(json),
            Ok(Params::Positional(Arc::from([
                Param::Null,
                Param::Integer(1),
                Param::Integer(i64::MAX),
                Param::Integer(-1),
                Param::Real(1.5),
                Param::Real(-0.0),
                Param::Text("é".into()),
                Param::Blob(vec![0, 255]),
                Param::Real(f64::NEG_INFINITY),
                Param::Null,
                Param::TextBytes(vec![0x80, b'a']),
            ])))
        );
        assert_eq!(read("{}"), Ok(Params::None));
        assert_eq!(
            read(r#"{":a": 1}"#),
            Ok(Params::Named(Arc::from([(":a".into(), Param::Integer(1))])))
        );
    }

    #[test]
    fn a_value_that_sqlite_could_not_hold_exactly_is_refused() {
        for wrong in [
            "[9223372036854775808]",
            "[1e400]",
            "[[1]]",
            r#"[{"a":1}]"#,
            r#"[{"$base64":"?"}]"#,
            r#"[{"$real":"1"}]"#,
            r#"[{"$real":"NaN","b":"c"}]"#,
            r#"[{"$text_base64":"YQ"}]"#,
            "7",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_object_that_is_no_value_is_answered_with_what_a_value_may_be() {
        for wrong in [r#"[{"a":1}]"#, r#"[{}]"#, r#"[{"a":{"b":[1]}}]"#, "[[1]]"] {
            let said = read(wrong).unwrap_err();
            assert!(
                said.contains(r#"expected null, a number, text, {"$base64""#),
                "{said}"
            );
        }
    }

    #[test]
    fn more_parameters_than_a_statement_can_have_are_refused_while_they_are_read() {
        let many = format!("[{}0]", "0,".repeat(MAX_PARAMETERS));
        assert!(read(&many).unwrap_err().contains("at most 32766"));
    }
}
