//! Which type a column gets in a table that is made: one with which every value is the same again
//! when it is written out.
use super::json::with_value;
use crate::data::ParamRef;

/// The kinds of values that a column has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    const INTEGER: Self = Self(1);
    const REAL: Self = Self(2);
    const TEXT: Self = Self(4);
    const BLOB: Self = Self(8);

    /// Adds the kind of a field: a number only where its text is the very one that the number is
    /// written as. A real such as `1.0` is text, since much software writes it as `1`.
    pub(super) fn add_field(&mut self, field: &[u8]) {
        self.0 |= match str::from_utf8(field) {
            Ok(text) if integer(text).is_some() => Self::INTEGER.0,
            Ok(text) if real(text).is_some() => Self::REAL.0,
            _ => Self::TEXT.0,
        };
    }

    /// Adds the kind of a JSON value. What is no value is told when it is read as a row.
    pub(super) fn add_json(&mut self, json: &str) {
        let kind = with_value(json, |value| match value {
            ParamRef::Null => 0,
            ParamRef::Integer(_) => Self::INTEGER.0,
            ParamRef::Real(_) => Self::REAL.0,
            ParamRef::Text(_) => Self::TEXT.0,
            ParamRef::Blob(_) => Self::BLOB.0,
        });
        self.0 |= kind.unwrap_or(0);
    }

    /// The type of a column of fields.
    pub(super) fn type_of_fields(self) -> &'static str {
        match self {
            Self::INTEGER => "INTEGER",
            Self::REAL => "REAL",
            Self(3) => "NUMERIC",
            _ => "TEXT",
        }
    }

    /// The type of a column of JSON values; none where they are of several kinds.
    pub(super) fn type_of_json(self) -> &'static str {
        match self {
            Self::INTEGER => "INTEGER",
            Self::REAL => "REAL",
            Self::TEXT | Self(0) => "TEXT",
            Self::BLOB => "BLOB",
            _ => "",
        }
    }
}

/// The integer that is written as `text`.
pub(super) fn integer(text: &str) -> Option<i64> {
    let first = *text.as_bytes().first()?;
    if !first.is_ascii_digit() && first != b'-' {
        return None;
    }
    let number = text.parse().ok()?;
    (itoa::Buffer::new().format(number) == text).then_some(number)
}

/// The real that is written as `text`, with digits behind its point.
pub(super) fn real(text: &str) -> Option<f64> {
    let first = *text.as_bytes().first()?;
    let is_likely = (first.is_ascii_digit() || first == b'-') && text.len() <= 32;
    if !is_likely || !text.contains('.') || text.ends_with(".0") {
        return None;
    }
    let number: f64 = text.parse().ok()?;
    let written = serde_json::to_string(&number).ok()?;
    (written == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_fields(fields: &[&str]) -> &'static str {
        let mut kinds = Kinds::default();
        fields
            .iter()
            .for_each(|field| kinds.add_field(field.as_bytes()));
        kinds.type_of_fields()
    }

    #[test]
    fn a_column_of_fields_is_typed_only_where_every_value_comes_back_the_same() {
        assert_eq!(of_fields(&["1", "-20", "0"]), "INTEGER");
        assert_eq!(
            of_fields(&["9223372036854775807", "-9223372036854775808"]),
            "INTEGER"
        );
        assert_eq!(of_fields(&["1.5", "-0.25"]), "REAL");
        assert_eq!(of_fields(&["1", "1.5"]), "NUMERIC");
        assert_eq!(of_fields(&[]), "TEXT");
        for odd in [
            "007",
            "1e5",
            "+1",
            "1.0",
            "9223372036854775808",
            "NaN",
            "2024-01-02",
            "-0",
            "1.50",
            ".5",
            "5.",
            "1_000",
            " 1",
            "0x10",
            "Infinity",
            "",
            "true",
            "-",
            "0.1000000000000000055511151231257827",
        ] {
            assert_eq!(of_fields(&["1", odd]), "TEXT", "{odd}");
            assert_eq!(of_fields(&["1.5", odd]), "TEXT", "{odd}");
        }
    }

    #[test]
    fn a_column_of_json_values_is_typed_only_where_they_are_of_one_kind() {
        let of = |values: &[&str]| {
            let mut kinds = Kinds::default();
            values.iter().for_each(|value| kinds.add_json(value));
            kinds.type_of_json()
        };
        assert_eq!(of(&["1", "null", "true"]), "INTEGER");
        assert_eq!(of(&["1.0", "2e3"]), "REAL");
        assert_eq!(of(&["1", "2.0"]), "");
        assert_eq!(of(&[r#""007""#, "null"]), "TEXT");
        assert_eq!(of(&[r#"{"$base64":"AP8="}"#]), "BLOB");
        assert_eq!(of(&["1", r#""a""#]), "");
        assert_eq!(of(&["null"]), "TEXT");
    }
}
