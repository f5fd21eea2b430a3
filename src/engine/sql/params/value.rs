//! One value of a statement's parameters, as JSON gives it.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeSeed, MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

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

/// One value, where it is kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParamRef<'l> {
    /// NULL.
    Null,
    /// An integer of 64 bits.
    Integer(i64),
    /// A floating-point number.
    Real(f64),
    /// Text, which may be no UTF-8.
    Text(&'l [u8]),
    /// Bytes.
    Blob(&'l [u8]),
}

impl Param {
    /// The value as one of a row.
    #[must_use]
    pub fn borrowed(&self) -> ParamRef<'_> {
        match self {
            Self::Null => ParamRef::Null,
            Self::Integer(number) => ParamRef::Integer(*number),
            Self::Real(number) => ParamRef::Real(*number),
            Self::Text(text) => ParamRef::Text(text.as_bytes()),
            Self::TextBytes(text) => ParamRef::Text(text),
            Self::Blob(bytes) => ParamRef::Blob(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamVisitor)
    }
}

impl Serialize for Param {
    /// In the forms that are read.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (form, text) = match self {
            Self::Integer(number) => return serializer.serialize_i64(*number),
            Self::Text(text) => return serializer.serialize_str(text),
            Self::Real(number) if number.is_finite() => return serializer.serialize_f64(*number),
            Self::Real(number) if !number.is_nan() => {
                let sign = if *number > 0.0 { "" } else { "-" };
                (REAL, format!("{sign}Infinity"))
            }
            Self::Null | Self::Real(_) => return serializer.serialize_unit(),
            Self::TextBytes(bytes) => (TEXT, STANDARD.encode(bytes)),
            Self::Blob(bytes) => (BLOB, STANDARD.encode(bytes)),
        };
        let mut object = serializer.serialize_map(Some(1))?;
        object.serialize_entry(form, &text)?;
        object.end()
    }
}

pub(super) struct ParamVisitor;

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
        self.form_of(&form, object)
    }
}

impl ParamVisitor {
    /// The rest of an object whose first key is the name of a form.
    pub(super) fn form_of<'de, A: MapAccess<'de>>(
        self,
        form: &str,
        mut object: A,
    ) -> Result<Param, A::Error> {
        let unknown = || de::Error::invalid_type(de::Unexpected::Map, &self);
        let value = object.next_value_seed(Form(form))?;
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
const REAL: &str = "$real";
pub(super) const FORMS: &[&str] = &[BLOB, TEXT, REAL];
