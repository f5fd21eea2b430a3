//! Values and names as SQL writes them, so that any SQLite reads back what was there.
//!
//! What is written is read by the `sqlite3` shell of any version, too, which drops a carriage return
//! before a line feed, and ends a text at a NUL.
use memchr::memmem;
use rusqlite::types::ValueRef;

/// What is longer is written in parts of this many bytes, between which what is written is passed
/// on.
const PART_BYTES: usize = 48 << 10;

/// The beginning of an INSERT: all that stands before the values of a row.
pub(crate) fn insert_into(out: &mut Vec<u8>, table: &str, columns: &[String]) {
    out.extend_from_slice(b"INSERT INTO ");
    name(out, table);
    for (place, column) in columns.iter().enumerate() {
        out.push(if place == 0 { b'(' } else { b',' });
        name(out, column);
    }
    if !columns.is_empty() {
        out.push(b')');
    }
    out.extend_from_slice(b" VALUES(");
}

/// A name, in quotes.
pub(crate) fn name(out: &mut Vec<u8>, name: &str) {
    out.push(b'"');
    doubling(out, name.as_bytes(), b'"');
    out.push(b'"');
}

/// One value. A long one is written in parts, and `pass` is called behind each.
///
/// # Errors
/// What `pass` says.
pub(crate) fn literal<E>(
    out: &mut Vec<u8>,
    value: &ValueRef<'_>,
    pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    match *value {
        ValueRef::Null => out.extend_from_slice(b"NULL"),
        ValueRef::Integer(it) => out.extend_from_slice(itoa::Buffer::new().format(it).as_bytes()),
        ValueRef::Real(it) => real(out, it),
        ValueRef::Text(it) => return text(out, it, pass),
        ValueRef::Blob(it) => return hexadecimal(out, it, pass),
    }
    Ok(())
}

/// The shortest digits that are this number and no other. Infinities are numbers that no real has
/// room for, as the shell writes them.
fn real(out: &mut Vec<u8>, it: f64) {
    if it.is_finite() {
        serde_json::to_writer(out, &it).expect("a number is written to memory");
    } else {
        out.extend_from_slice(if it > 0.0 { b"1e999" } else { b"-1e999" });
    }
}

fn text<E>(
    out: &mut Vec<u8>,
    bytes: &[u8],
    mut pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    if memchr::memchr(0, bytes).is_some() || std::str::from_utf8(bytes).is_err() {
        out.extend_from_slice(b"CAST(");
        hexadecimal(out, bytes, pass)?;
        out.extend_from_slice(b" AS TEXT)");
        return Ok(());
    }
    if memchr::memchr(b'\r', bytes).is_none() {
        out.push(b'\'');
        for part in bytes.chunks(PART_BYTES) {
            doubling(out, part, b'\'');
            pass(out)?;
        }
        out.push(b'\'');
        return Ok(());
    }
    let mark = mark_that_is_not_in(bytes);
    out.extend_from_slice(b"replace('");
    for part in bytes.chunks(PART_BYTES) {
        for piece in part.split_inclusive(|byte| *byte == b'\r') {
            match piece.split_last() {
                Some((b'\r', before)) => {
                    doubling(out, before, b'\'');
                    out.extend_from_slice(mark.as_bytes());
                }
                _ => doubling(out, piece, b'\''),
            }
        }
        pass(out)?;
    }
    out.extend_from_slice(b"','");
    out.extend_from_slice(mark.as_bytes());
    out.extend_from_slice(b"',char(13))");
    Ok(())
}

/// What stands for a carriage return in a text that does not have it.
fn mark_that_is_not_in(bytes: &[u8]) -> String {
    let marks = std::iter::once("\\r".to_owned());
    let mut marks = marks.chain((0_u64..).map(|number| format!("(\\r{number})")));
    marks
        .find(|mark| memmem::find(bytes, mark.as_bytes()).is_none())
        .expect("a text does not have every number")
}

fn hexadecimal<E>(
    out: &mut Vec<u8>,
    bytes: &[u8],
    mut pass: impl FnMut(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    out.extend_from_slice(b"x'");
    for part in bytes.chunks(PART_BYTES) {
        let start = out.len();
        out.resize(start + 2 * part.len(), 0);
        hex::encode_to_slice(part, &mut out[start..]).expect("a byte takes two digits");
        pass(out)?;
    }
    out.push(b'\'');
    Ok(())
}

fn doubling(out: &mut Vec<u8>, bytes: &[u8], quote: u8) {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(quote, rest) {
        out.extend_from_slice(&rest[..=at]);
        out.push(quote);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use rusqlite::types::Value;

    fn written(value: &ValueRef<'_>) -> String {
        let mut out = Vec::new();
        let result: Result<(), ()> = literal(&mut out, value, |_| Ok(()));
        result.unwrap();
        String::from_utf8(out).unwrap()
    }

    fn read_back(sqlite: &Connection, literal: &str) -> (Value, String) {
        let sql = format!("SELECT v, typeof(v) FROM (SELECT {literal} AS v)");
        sqlite
            .query_row(&sql, [], |row| {
                let value = match row.get_ref(0)? {
                    // rusqlite's own text is UTF-8.
                    ValueRef::Text(bytes) => Value::Blob(bytes.to_vec()),
                    other => Value::try_from(other)?,
                };
                Ok((value, row.get(1)?))
            })
            .unwrap_or_else(|error| panic!("{literal}: {error}"))
    }

    #[test]
    fn every_value_comes_back_as_it_was() {
        let sqlite = Connection::open_in_memory().unwrap();
        for number in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53] {
            let read = read_back(&sqlite, &written(&ValueRef::Integer(number)));
            assert_eq!(read, (Value::Integer(number), "integer".into()));
        }
        let mut state = 1_u64;
        let random = std::iter::repeat_with(|| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            f64::from_bits(state)
        });
        let chosen = [0.0, 0.1, 1.0, 1e16, 1e300, 5e-324, f64::MAX, f64::INFINITY];
        for real in chosen
            .into_iter()
            .chain(random.filter(|it| !it.is_nan()).take(2_000))
        {
            for real in [real, -real] {
                let read = read_back(&sqlite, &written(&ValueRef::Real(real)));
                assert_eq!(read, (Value::Real(real), "real".into()));
            }
        }
        let long = "ab'c\r\n\"ä".repeat(30_000);
        for text in [
            &b""[..],
            b"it's",
            b"a\nb",
            b"a\r\nb\\rc(\\r0)",
            b"\r",
            b"a\0b",
            b"\xff\xfe",
            "\u{feff}\u{1b}\u{7f}ä🦀".as_bytes(),
            long.as_bytes(),
        ] {
            let read = read_back(&sqlite, &written(&ValueRef::Text(text)));
            assert_eq!(read, (Value::Blob(text.to_vec()), "text".into()));
            let read = read_back(&sqlite, &written(&ValueRef::Blob(text)));
            assert_eq!(read, (Value::Blob(text.to_vec()), "blob".into()));
        }
        let read = read_back(&sqlite, &written(&ValueRef::Null));
        assert_eq!(read, (Value::Null, "null".into()));
    }

    #[test]
    fn names_are_quoted_whatever_they_are() {
        let mut out = Vec::new();
        insert_into(&mut out, "a\"b", &["select".into(), "x y".into()]);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"INSERT INTO "a""b"("select","x y") VALUES("#
        );
    }
}
