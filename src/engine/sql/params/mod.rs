//! The parameters of a statement, as JSON gives them.
mod keyed;
mod list;
mod reading;
mod value;

pub use keyed::{Excess, KeyedRows, MAX_RUNS, Run};
pub use list::{
    ListBuilder, ListFault, MAX_LIST_VALUES, MAX_PARAMETER_ROWS, MAX_PARAMETERS, ParamsList,
};
pub use value::{Param, ParamRef};

use list::refuse_too_many;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::sync::Arc;

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
    /// Rows of them: the statement runs once for each row, and all of that is one statement.
    List(ParamsList),
}

impl Params {
    /// How many there are; of rows, how many each has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Positional(values) => values.len(),
            Self::Named(values) => values.len(),
            Self::List(list) => list.width(),
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
