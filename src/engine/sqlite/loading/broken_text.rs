//! Texts that are no UTF-8, which `sqlite3 .dump` writes as they are.
use std::borrow::Cow;
use std::fmt::Write as _;
use std::str::Utf8Error;

/// The statement as UTF-8: a text within it that is none becomes `CAST(X'…' AS TEXT)`, which has
/// the same bytes.
///
/// # Errors
/// When what is not UTF-8 stands outside of texts.
pub(super) fn readable(sql: &[u8]) -> Result<Cow<'_, str>, Utf8Error> {
    let first = match std::str::from_utf8(sql) {
        Ok(valid) => return Ok(Cow::Borrowed(valid)),
        Err(error) => error,
    };
    let mut out = String::with_capacity(sql.len() * 2);
    let mut rest = sql;
    while let Some(start) = memchr::memchr3(b'\'', b'"', b'-', rest) {
        let (before, token) = rest.split_at(start);
        out.push_str(std::str::from_utf8(before).map_err(|_| first)?);
        let length = match token {
            [quote @ (b'\'' | b'"'), ..] => length_of_quoted(token, *quote),
            // A quote in a comment begins nothing.
            [b'-', b'-', ..] => memchr::memchr(b'\n', token).unwrap_or(token.len()),
            _ => 1,
        };
        let (token, behind) = token.split_at(length);
        match std::str::from_utf8(token) {
            Ok(valid) => out.push_str(valid),
            Err(_) if token.first() == Some(&b'\'') => in_hex(&mut out, token),
            Err(_) => return Err(first),
        }
        rest = behind;
    }
    out.push_str(std::str::from_utf8(rest).map_err(|_| first)?);
    Ok(Cow::Owned(out))
}

/// Bytes up to the end of a quoted text; a doubled quote is part of it.
fn length_of_quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(found) = memchr::memchr(quote, &text[at..]) {
        at += found + 1;
        if text.get(at) != Some(&quote) {
            return at;
        }
        at += 1;
    }
    text.len()
}

fn in_hex(out: &mut String, quoted: &[u8]) {
    out.push_str("CAST(X'");
    let inside = &quoted[1..quoted.len().saturating_sub(1).max(1)];
    let mut bytes = inside.iter();
    while let Some(byte) = bytes.next() {
        write!(out, "{byte:02x}").expect("writing to memory does not fail");
        if *byte == b'\'' {
            bytes.next(); // doubled
        }
    }
    out.push_str("' AS TEXT)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_utf8_keeps_its_bytes_and_the_rest_of_the_statement_its_own() {
        let read = |sql: &[u8]| readable(sql).map(Cow::into_owned);
        assert_eq!(
            read(b"INSERT INTO \"t\" VALUES('a''\xff','\xc3\xa9','x''y');").unwrap(),
            "INSERT INTO \"t\" VALUES(CAST(X'6127ff' AS TEXT),'é','x''y');"
        );
        assert_eq!(
            read(b"SELECT '\xe9' -- it's\n, 1-2, 'b'").unwrap(),
            "SELECT CAST(X'e9' AS TEXT) -- it's\n, 1-2, 'b'"
        );
        assert!(read(b"INSERT INTO \"\xff\" VALUES('\xff')").is_err());
        assert!(read(b"SELECT \xff, 'a'").is_err());
        assert!(read(b"SELECT 'a\xff").is_ok(), "SQLite says what is wrong");
    }
}
