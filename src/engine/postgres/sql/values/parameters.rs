//! From parameters to the texts that PostgreSQL reads.
use super::bytes;
use super::types::{OwnType, ValueKind};
use crate::engine::sql::ParamRef;

/// A value that its parameter cannot have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct ParameterFault(&'static str);

impl ParameterFault {
    /// Which sort of value it is, in words.
    pub(in super::super) fn what(self) -> &'static str {
        self.0
    }
}

/// The largest whole number below which every whole number is a real of its own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Writes a value as the text of a parameter of this type. `false`: it is NULL.
///
/// # Errors
/// When its text would be another value than it is.
pub(in super::super) fn write_parameter(
    out: &mut Vec<u8>,
    value: ParamRef<'_>,
    of: &OwnType,
) -> Result<bool, ParameterFault> {
    match value {
        ParamRef::Null => return Ok(false),
        ParamRef::Integer(number) => {
            out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        }
        ParamRef::Real(number) if number.is_nan() => out.extend_from_slice(b"NaN"),
        ParamRef::Real(number) if number.is_infinite() => {
            out.extend_from_slice(if number > 0.0 {
                b"Infinity"
            } else {
                b"-Infinity"
            });
        }
        ParamRef::Real(number) => {
            let is_whole = number.fract() == 0.0 && number.abs() < EXACT;
            match of.kind {
                // JSON has one kind of number: 2.0 is a whole one.
                #[expect(clippy::cast_possible_truncation, reason = "it is whole, and fits")]
                ValueKind::Integer | ValueKind::Long if is_whole => {
                    let whole = number as i64;
                    out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
                }
                _ => serde_json::to_writer(&mut *out, &number)
                    .expect("a number is written to memory"),
            }
        }
        ParamRef::Text(text) => out.extend_from_slice(text),
        ParamRef::Blob(blob) if of.kind == ValueKind::Bytes => bytes::encode(out, blob),
        ParamRef::Blob(_) => return Err(ParameterFault("bytes")),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_written_as_the_type_of_its_parameter_reads_it() {
        let of = |kind| OwnType {
            name: "x".into(),
            kind,
        };
        let written = |value, kind| {
            let mut out = Vec::new();
            let is_some = write_parameter(&mut out, value, &of(kind))?;
            Ok((is_some, String::from_utf8(out).unwrap()))
        };
        let some = |text: &str| Ok((true, text.to_owned()));
        assert_eq!(
            written(ParamRef::Null, ValueKind::Text),
            Ok((false, String::new()))
        );
        assert_eq!(written(ParamRef::Integer(-7), ValueKind::Text), some("-7"));
        assert_eq!(written(ParamRef::Real(2.0), ValueKind::Long), some("2"));
        assert_eq!(written(ParamRef::Real(2.0), ValueKind::Number), some("2.0"));
        assert_eq!(
            written(ParamRef::Real(f64::NAN), ValueKind::Number),
            some("NaN")
        );
        assert_eq!(
            written(ParamRef::Blob(&[0, 255]), ValueKind::Bytes),
            some("\\x00ff")
        );
        assert_eq!(
            written(ParamRef::Blob(&[0]), ValueKind::Text),
            Err(ParameterFault("bytes"))
        );
    }
}
