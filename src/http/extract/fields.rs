//! Serde helpers for fields of requests.
use crate::control::past::Moment;
use crate::domain::ids::Sequence;
use crate::http::openapi::schemas;
use crate::http::response::error::Problem;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A sequence number, which may be in the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SequenceNumber(pub(crate) u64);

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if number > schemas::LARGEST_SEQUENCE {
            let error = format_args!("{number} is larger than any sequence");
            return Err(D::Error::custom(error));
        }
        Ok(Self(number))
    }
}

impl From<SequenceNumber> for Sequence {
    fn from(number: SequenceNumber) -> Self {
        Self(number.0)
    }
}

impl PartialSchema for SequenceNumber {
    fn schema() -> RefOr<Schema> {
        schemas::sequence().into()
    }
}

impl ToSchema for SequenceNumber {
    fn name() -> Cow<'static, str> {
        "Sequence".into()
    }
}

/// What the query parameter `name` says: a sequence or a time.
///
/// # Errors
/// When it is neither.
pub(crate) fn moment(name: &str, text: &str) -> Result<Moment, Problem> {
    let sequence = text.parse().map(|it| Moment::Sequence(Sequence(it)));
    sequence
        .or_else(|_| text.parse().map(Moment::Time))
        .map_err(|_| {
            Problem::invalid(format!("`{name}` must be a sequence number or a time."))
                .hint("examples: 42, 2026-03-01T12:00:00Z")
        })
}

/// An object: an array would fill a struct's fields by position.
pub(crate) fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(ObjectVisitor(PhantomData))
}

/// The same where it may be left out.
pub(crate) fn optional_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Either<T>(T);
    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Either<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            object(deserializer).map(Self)
        }
    }
    Ok(Option::<Either<T>>::deserialize(deserializer)?.map(|it| it.0))
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// An optional integer. JSON has one number type, so 90.0 is accepted as 90.
pub(crate) fn whole<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64>,
{
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let whole = number.as_u64().or_else(|| whole_number(number.as_f64()?));
    let fitting = whole.and_then(|it| T::try_from(it).ok());
    let fitting = fitting.ok_or_else(|| {
        D::Error::custom(format_args!("expected a whole number from 0, not {number}"))
    });
    fitting.map(Some)
}

/// The integer value of a float without a fraction, within the exact range of doubles.
pub(crate) fn whole_number(number: f64) -> Option<u64> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    let is_whole = number.fract() == 0.0 && (0.0..=EXACT).contains(&number);
    is_whole.then(|| format!("{number:.0}").parse().ok())?
}
