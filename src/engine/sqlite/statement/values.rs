//! How single values are written, in JSON and in CSV.
use crate::engine::sql::Int64Form;
use crate::engine::sql::written::{
    base64, csv_quoted, is_formula, is_plain_csv, json_string, quoted_base64,
};
pub(crate) use crate::engine::sql::written::{csv_text, integer, number, text};
use rusqlite::types::ValueRef;
use std::io::Write as _;

/// How values are written that JSON has no form for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SpecialForm {
    /// `{"$base64":"…"}` and `{"$real":"…"}`, told from text.
    Marked,
    /// The base64 of a BLOB alone, and null for an infinity.
    Plain,
}

/// What is longer is written in parts of this many bytes, between which what is written is passed
/// on. Bytes in base64 fit without padding.
const PART_BYTES: usize = 48 << 10;

/// One value in JSON. A long one is written in parts, and `pass` is called behind each.
///
/// # Errors
/// What `pass` says.
pub(crate) fn json<E>(
    out: &mut Vec<u8>,
    value: &ValueRef<'_>,
    (int64, special): (Int64Form, SpecialForm),
    pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    match *value {
        ValueRef::Text(long) if long.len() > PART_BYTES => long_text(out, long, pass),
        ValueRef::Blob(long) if long.len() > PART_BYTES => long_blob(out, long, special, pass),
        _ => {
            short_json(out, value, int64, special);
            Ok(())
        }
    }
}

#[cold]
fn long_blob<E>(
    out: &mut Vec<u8>,
    blob: &[u8],
    form: SpecialForm,
    pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if form == SpecialForm::Plain {
        return long_base64(out, blob, "\"", pass);
    }
    out.extend_from_slice(br#"{"$base64":"#);
    long_base64(out, blob, "\"", pass)?;
    out.push(b'}');
    Ok(())
}

#[cold]
fn long_text<E>(
    out: &mut Vec<u8>,
    text: &[u8],
    pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if let Ok(valid) = std::str::from_utf8(text) {
        return long_string(out, valid, pass);
    }
    out.extend_from_slice(br#"{"$text_base64":"#);
    long_base64(out, text, "\"", pass)?;
    out.push(b'}');
    Ok(())
}

#[inline]
fn short_json(out: &mut Vec<u8>, value: &ValueRef<'_>, int64: Int64Form, special: SpecialForm) {
    match *value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Integer(it) => integer(out, it, int64),
        ValueRef::Real(it) if it.is_finite() => number(out, it),
        ValueRef::Real(_) if special == SpecialForm::Plain => out.extend_from_slice(b"null"),
        ValueRef::Real(it) => {
            let name = infinity(it);
            write!(out, r#"{{"$real":"{name}"}}"#).expect("writing to memory does not fail");
        }
        ValueRef::Text(it) => match std::str::from_utf8(it) {
            Ok(valid) => json_string(out, valid),
            Err(_) => {
                out.extend_from_slice(br#"{"$text_base64":"#);
                quoted_base64(out, it);
                out.push(b'}');
            }
        },
        ValueRef::Blob(it) if special == SpecialForm::Plain => quoted_base64(out, it),
        ValueRef::Blob(it) => {
            out.extend_from_slice(br#"{"$base64":"#);
            quoted_base64(out, it);
            out.push(b'}');
        }
    }
}

/// One value as a field of CSV: NULL is empty and not quoted, so that it is no text. Text that is
/// no UTF-8 is written as a BLOB is: the file has one encoding. A long one is written in parts, and
/// `pass` is called behind each. Where it `escapes`, a text that a spreadsheet would take for a
/// formula has a `'` in front.
///
/// # Errors
/// What `pass` says.
pub(crate) fn csv<E>(
    out: &mut Vec<u8>,
    value: &ValueRef<'_>,
    escapes: bool,
    mut pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    match *value {
        ValueRef::Text(long) if long.len() > PART_BYTES && std::str::from_utf8(long).is_ok() => {
            let mark: &[u8] = if is_plain_csv(long) { b"" } else { b"\"" };
            out.extend_from_slice(mark);
            if escapes && is_formula(long) {
                out.push(b'\'');
            }
            for part in long.chunks(PART_BYTES) {
                if mark.is_empty() {
                    out.extend_from_slice(part);
                } else {
                    csv_quoted(out, part);
                }
                pass(out)?;
            }
            out.extend_from_slice(mark);
            Ok(())
        }
        ValueRef::Text(long) | ValueRef::Blob(long) if long.len() > PART_BYTES => {
            long_base64(out, long, "", pass)
        }
        _ => {
            short_csv(out, value, escapes);
            Ok(())
        }
    }
}

fn short_csv(out: &mut Vec<u8>, value: &ValueRef<'_>, escapes: bool) {
    match *value {
        ValueRef::Null => {}
        ValueRef::Integer(it) => number(out, it),
        ValueRef::Real(it) if it.is_finite() => number(out, it),
        ValueRef::Real(it) => out.extend_from_slice(infinity(it).as_bytes()),
        ValueRef::Text(it) if std::str::from_utf8(it).is_ok() => csv_text(out, it, escapes),
        ValueRef::Text(it) => base64(out, it),
        ValueRef::Blob([]) => csv_text(out, &[], false),
        ValueRef::Blob(it) => base64(out, it),
    }
}

/// Text as a JSON string, in parts of whole characters.
fn long_string<E>(
    out: &mut Vec<u8>,
    mut text: &str,
    mut pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.push(b'"');
    while !text.is_empty() {
        let (part, rest) = text.split_at(text.floor_char_boundary(PART_BYTES));
        let start = out.len();
        self::text(out, part.as_bytes());
        // The part was written as a string of its own: without its quotes it continues this one.
        out.pop();
        out.remove(start);
        pass(out)?;
        text = rest;
    }
    out.push(b'"');
    Ok(())
}

fn long_base64<E>(
    out: &mut Vec<u8>,
    bytes: &[u8],
    quote: &str,
    mut pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.extend_from_slice(quote.as_bytes());
    for part in bytes.chunks(PART_BYTES) {
        base64(out, part);
        pass(out)?;
    }
    out.extend_from_slice(quote.as_bytes());
    Ok(())
}

fn infinity(it: f64) -> &'static str {
    // SQLite has no NaN: it stores NULL.
    if it > 0.0 { "Infinity" } else { "-Infinity" }
}
