//! How a value is written in JSON, in CSV and in SQL.
use super::types::ValueKind;
use super::{arrays, bytes};
use crate::engine::sql::written::{base64, csv_text, integer, json_string, quoted_base64};
use crate::engine::sql::{Int64Form, Param};

/// One value in JSON.
pub(in super::super) fn json(out: &mut Vec<u8>, value: &[u8], kind: &ValueKind, int64: Int64Form) {
    match kind {
        ValueKind::Boolean => out.extend_from_slice(match value {
            b"t" => b"true",
            _ => b"false",
        }),
        ValueKind::Integer => out.extend_from_slice(value),
        ValueKind::Long => match str::from_utf8(value).ok().and_then(|it| it.parse().ok()) {
            Some(number) => integer(out, number, int64),
            None => text(out, value),
        },
        ValueKind::Number if value.last().is_some_and(u8::is_ascii_digit) => {
            out.extend_from_slice(value);
        }
        ValueKind::Number => {
            out.extend_from_slice(br#"{"$real":"#);
            text(out, value);
            out.push(b'}');
        }
        ValueKind::Json => embedded(out, value),
        ValueKind::Bytes => match bytes::decode(value) {
            Some(bytes) => {
                out.extend_from_slice(br#"{"$base64":"#);
                quoted_base64(out, &bytes);
                out.push(b'}');
            }
            None => text(out, value),
        },
        ValueKind::Timestamp => text(out, &timestamp(value)),
        ValueKind::Text => text(out, value),
        ValueKind::Array(element, between) => {
            let start = out.len();
            let write = |out: &mut Vec<u8>, value: &[u8]| json(out, value, element, int64);
            if arrays::json(out, value, *between, &write).is_none() {
                out.truncate(start);
                text(out, value);
            }
        }
    }
}

/// One value as a field of CSV. Where it `escapes`, a text that a spreadsheet would take for a
/// formula has a `'` in front.
pub(in super::super) fn csv(out: &mut Vec<u8>, value: &[u8], kind: &ValueKind, escapes: bool) {
    match kind {
        ValueKind::Boolean => out.extend_from_slice(match value {
            b"t" => b"true",
            _ => b"false",
        }),
        ValueKind::Integer | ValueKind::Long | ValueKind::Number => out.extend_from_slice(value),
        ValueKind::Bytes => match bytes::decode(value) {
            Some(bytes) if bytes.is_empty() => csv_text(out, &[], false),
            Some(bytes) => base64(out, &bytes),
            None => csv_text(out, value, escapes),
        },
        ValueKind::Timestamp => csv_text(out, &timestamp(value), escapes),
        ValueKind::Json | ValueKind::Array(..) => csv_text(out, value, false),
        ValueKind::Text if str::from_utf8(value).is_err() => base64(out, value),
        ValueKind::Text => csv_text(out, value, escapes),
    }
}

/// One value as SQL writes it.
pub(in super::super) fn literal(out: &mut Vec<u8>, value: &[u8], kind: &ValueKind) {
    let is_number = matches!(
        kind,
        ValueKind::Integer | ValueKind::Long | ValueKind::Number
    );
    if is_number && value.last().is_some_and(u8::is_ascii_digit) {
        out.extend_from_slice(value);
        return;
    }
    out.push(b'\'');
    for part in value.split_inclusive(|byte| *byte == b'\'') {
        out.extend_from_slice(part);
        if part.ends_with(b"'") {
            out.push(b'\'');
        }
    }
    out.push(b'\'');
}

/// One value as a parameter of a later statement.
pub(in super::super) fn hidden(value: Option<&[u8]>, kind: &ValueKind) -> Param {
    let Some(value) = value else {
        return Param::Null;
    };
    let text = String::from_utf8_lossy(value);
    match kind {
        ValueKind::Integer | ValueKind::Long if let Ok(number) = text.parse() => {
            Param::Integer(number)
        }
        ValueKind::Bytes if let Some(bytes) = bytes::decode(value) => Param::Blob(bytes),
        _ => Param::Text(text.into_owned()),
    }
}

/// A text in JSON; one that is no UTF-8, in base64.
fn text(out: &mut Vec<u8>, value: &[u8]) {
    match str::from_utf8(value) {
        Ok(valid) => json_string(out, valid),
        Err(_) => {
            out.extend_from_slice(br#"{"$text_base64":"#);
            quoted_base64(out, value);
            out.push(b'}');
        }
    }
}

/// JSON that becomes a part of the answer, on one line: between its values, line ends are blanks as
/// good as others, and within texts there are none.
fn embedded(out: &mut Vec<u8>, json: &[u8]) {
    if str::from_utf8(json).is_err() {
        return text(out, json);
    }
    let start = out.len();
    out.extend_from_slice(json);
    for byte in &mut out[start..] {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// A time as ISO 8601 writes it. Infinity, and years before Christ, stay as they are.
fn timestamp(value: &[u8]) -> Vec<u8> {
    let mut iso = value.to_vec();
    let is_plain = value.last().is_some_and(u8::is_ascii_digit);
    let Some(blank) = iso
        .iter()
        .position(|byte| *byte == b' ')
        .filter(|_| is_plain)
    else {
        return iso;
    };
    iso[blank] = b'T';
    if let [.., b'+' | b'-', _, _] = iso.as_slice()
        && iso.len() > blank + 6
    {
        iso.extend_from_slice(b":00");
    }
    iso
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn written(value: &str, kind: &ValueKind) -> String {
        let mut out = Vec::new();
        json(&mut out, value.as_bytes(), kind, Int64Form::Text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_value_has_its_exact_form_in_json() {
        use ValueKind::{Boolean, Bytes, Integer, Json, Long, Number, Text, Timestamp};
        for (value, kind, json) in [
            ("t", Boolean, "true"),
            ("f", Boolean, "false"),
            ("-32768", Integer, "-32768"),
            ("9007199254740991", Long, "9007199254740991"),
            ("9223372036854775807", Long, "\"9223372036854775807\""),
            (
                "12345678901234567890.1234567890",
                Number,
                "12345678901234567890.1234567890",
            ),
            ("1e-07", Number, "1e-07"),
            ("NaN", Number, r#"{"$real":"NaN"}"#),
            ("-Infinity", Number, r#"{"$real":"-Infinity"}"#),
            (
                "{\"b\": 1,\n \"a\": [1.0]}",
                Json,
                r#"{"b": 1,  "a": [1.0]}"#,
            ),
            ("\\x00ff", Bytes, r#"{"$base64":"AP8="}"#),
            ("a\"\u{1}ü", Text, "\"a\\\"\\u0001ü\""),
            (
                "2024-02-29 10:34:56.1+00",
                Timestamp,
                "\"2024-02-29T10:34:56.1+00:00\"",
            ),
            (
                "2024-02-29 10:34:56+05:30",
                Timestamp,
                "\"2024-02-29T10:34:56+05:30\"",
            ),
            ("2024-02-29 10:34:56", Timestamp, "\"2024-02-29T10:34:56\""),
            ("infinity", Timestamp, "\"infinity\""),
            (
                "0044-03-15 12:00:00+00 BC",
                Timestamp,
                "\"0044-03-15 12:00:00+00 BC\"",
            ),
            (
                "{1,NULL,3}",
                ValueKind::Array(Arc::new(Integer), b','),
                "[1,null,3]",
            ),
        ] {
            assert_eq!(written(value, &kind), json, "{value} {kind:?}");
        }
    }

    #[test]
    fn text_that_is_no_utf8_is_base64() {
        let mut out = Vec::new();
        json(&mut out, &[0x80, b'a'], &ValueKind::Text, Int64Form::Number);
        assert_eq!(out, br#"{"$text_base64":"gGE="}"#);
    }

    #[test]
    fn a_value_of_sql_is_quoted_unless_it_is_a_number() {
        let written = |value: &str, kind| {
            let mut out = Vec::new();
            literal(&mut out, value.as_bytes(), &kind);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written("it's", ValueKind::Text), "'it''s'");
        assert_eq!(written("1.5", ValueKind::Number), "1.5");
        assert_eq!(written("NaN", ValueKind::Number), "'NaN'");
    }
}
