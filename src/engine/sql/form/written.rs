//! How texts, numbers and bytes are written in JSON and in CSV, whichever engine answers.
use super::Int64Form;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The largest integer that every JSON reader holds exactly: 2^53 − 1.
const LARGEST_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// An integer in JSON.
pub(crate) fn integer(out: &mut Vec<u8>, it: i64, form: Int64Form) {
    if form == Int64Form::Text && it.unsigned_abs() > LARGEST_SAFE_INTEGER {
        out.push(b'"');
        number(out, it);
        out.push(b'"');
    } else {
        number(out, it);
    }
}

/// A number in JSON, which is one in CSV too.
pub(crate) fn number(out: &mut Vec<u8>, it: impl serde::Serialize) {
    serde_json::to_writer(out, &it).expect("a number is written to memory");
}

/// A name or a text as a JSON string; what is no UTF-8 in a name shows as U+FFFD.
pub(crate) fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    json_string(out, &String::from_utf8_lossy(bytes));
}

/// Text as a JSON string.
pub(crate) fn json_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is written to memory");
}

/// Text as a field of CSV (RFC 4180): quoted where it must be, and where it is empty.
pub(crate) fn csv_text(out: &mut Vec<u8>, bytes: &[u8], escapes: bool) {
    let valid = String::from_utf8_lossy(bytes);
    let bytes = valid.as_bytes();
    let mark: &[u8] = if escapes && is_formula(bytes) {
        b"'"
    } else {
        b""
    };
    if !bytes.is_empty() && is_plain_csv(bytes) {
        out.extend_from_slice(mark);
        out.extend_from_slice(bytes);
        return;
    }
    out.push(b'"');
    out.extend_from_slice(mark);
    csv_quoted(out, bytes);
    out.push(b'"');
}

/// Whether a spreadsheet would compute this text instead of showing it (OWASP, CSV injection).
pub(crate) fn is_formula(bytes: &[u8]) -> bool {
    matches!(
        bytes.first(),
        Some(b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r' | b'\n')
    )
}

/// Whether a text needs no quotes in CSV.
pub(crate) fn is_plain_csv(bytes: &[u8]) -> bool {
    (bytes.iter()).all(|byte| !matches!(byte, b',' | b'"' | b'\r' | b'\n' | 0))
}

/// What stands between quotes.
pub(crate) fn csv_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    for part in bytes.split_inclusive(|byte| *byte == b'"') {
        out.extend_from_slice(part);
        if part.ends_with(b"\"") {
            out.push(b'"');
        }
    }
}

/// Bytes as base64 in quotes.
pub(crate) fn quoted_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    base64(out, bytes);
    out.push(b'"');
}

/// Bytes as base64.
pub(crate) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(start + length, 0);
    let written = STANDARD
        .encode_slice(bytes, &mut out[start..])
        .expect("base64 of n bytes takes four for each three begun");
    debug_assert_eq!(written, length, "padding fills the last four");
}
