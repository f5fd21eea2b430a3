//! Durations, as requests write them.
use super::fields;
use crate::clock::timestamp::parse_duration;
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};
use std::fmt;
use std::time::Duration;

/// A duration: `2h`, `30s`, or seconds as a number or as a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a duration such as \"30s\", \"2h\" or an integer number of seconds")
    }

    /// JSON knows one kind of number: 90.0 is 90.
    fn visit_f64<E: Error>(self, seconds: f64) -> Result<Span, E> {
        let whole = fields::whole_number(seconds);
        let whole = whole.ok_or_else(|| E::invalid_value(Unexpected::Float(seconds), &self))?;
        self.visit_u64(whole)
    }

    fn visit_u64<E: Error>(self, seconds: u64) -> Result<Span, E> {
        self.visit_str(&seconds.to_string())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        parse_duration(text).map(Span).map_err(E::custom)
    }
}
