//! Functions that replace SQLite's own, because nothing could stop theirs.
//!
//! `instr`, `replace`, `trim`, `unhex` and `json_patch` take seconds on a megabyte in one step of
//! SQLite's machine, past progress handler and interrupt. These here take linear time, or refuse.
use super::connection::MAX_VALUE_BYTES;
use super::strings::{self, Ends};
use rusqlite::functions::{Context, FunctionFlags, SubType};
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};
use std::borrow::Cow;

/// Puts the functions in place of SQLite's.
pub(super) fn replace_in(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS; // as the originals: schemas may use them
    connection.create_scalar_function("instr", 2, flags, |it| instr(it))?;
    connection.create_scalar_function("replace", 3, flags, |it| replace(it))?;
    for (name, ends) in [
        ("trim", Ends::Both),
        ("ltrim", Ends::Left),
        ("rtrim", Ends::Right),
    ] {
        connection.create_scalar_function(name, 2, flags, move |it| trim(it, name, ends))?;
    }
    connection.create_scalar_function("unhex", 2, flags, |it| unhex(it))?;
    for (name, subtype) in [("json_patch", Some(JSON_SUBTYPE)), ("jsonb_patch", None)] {
        let flags = flags | FunctionFlags::SQLITE_RESULT_SUBTYPE;
        connection.create_scalar_function(name, 2, flags, move |it| patch(it, name, subtype))?;
    }
    Ok(())
}

/// By this mark SQLite knows text that is JSON already.
const JSON_SUBTYPE: std::ffi::c_uint = b'J' as std::ffi::c_uint;

/// Most work for a function whose time grows with the product of its two inputs' lengths: about a
/// tenth of a second.
const LARGEST_PRODUCT: usize = 1 << 30;

fn instr(context: &Context<'_>) -> Result<Option<i64>> {
    let (text, needle) = (context.get_raw(0), context.get_raw(1));
    if let (ValueRef::Blob(blob), ValueRef::Blob(needle)) = (text, needle) {
        return Ok(Some(strings::position_in_blob(blob, needle)));
    }
    let (Some(text), Some(needle)) = (as_text(text)?, as_text(needle)?) else {
        return Ok(None);
    };
    Ok(Some(strings::position_in_text(&text, &needle)))
}

fn replace(context: &Context<'_>) -> Result<Option<Text>> {
    let (text, pattern) = (as_text(context.get_raw(0))?, as_text(context.get_raw(1))?);
    let (Some(text), Some(pattern)) = (text, pattern) else {
        return Ok(None);
    };
    let by = match as_text(context.get_raw(2))? {
        Some(by) => by,
        // As SQLite: an empty pattern is looked at before what replaces it.
        None if pattern.first().is_none_or(|it| *it == 0) => Cow::Borrowed(&b""[..]),
        None => return Ok(None),
    };
    strings::replaced(&text, &pattern, &by, MAX_VALUE_BYTES)
        .map(|it| Some(Text(it)))
        .ok_or_else(too_big)
}

fn trim(context: &Context<'_>, name: &str, ends: Ends) -> Result<Option<Text>> {
    let (text, set) = (as_text(context.get_raw(0))?, as_text(context.get_raw(1))?);
    let (Some(text), Some(set)) = (text, set) else {
        return Ok(None);
    };
    match (std::str::from_utf8(&text), std::str::from_utf8(&set)) {
        (Ok(text), Ok(set)) => Ok(Some(Text(
            strings::trimmed(text, set, ends).as_bytes().to_vec(),
        ))),
        _ => match original(name, context)? {
            Value::Text(it) => Ok(Some(Text(it.into_bytes()))),
            Value::Blob(it) => Ok(Some(Text(it))),
            _ => Ok(None),
        },
    }
}

fn unhex(context: &Context<'_>) -> Result<Option<Vec<u8>>> {
    let (text, ignored) = (as_text(context.get_raw(0))?, as_text(context.get_raw(1))?);
    let (Some(text), Some(ignored)) = (text, ignored) else {
        return Ok(None);
    };
    match (std::str::from_utf8(&text), std::str::from_utf8(&ignored)) {
        (Ok(text), Ok(ignored)) => Ok(strings::unhexed(text, ignored)),
        _ => match original("unhex", context)? {
            Value::Blob(it) => Ok(Some(it)),
            _ => Ok(None),
        },
    }
}

fn patch(context: &Context<'_>, name: &str, subtype: SubType) -> Result<(Value, SubType)> {
    Ok((original(name, context)?, subtype))
}

/// What SQLite's own function says to two values, if they are not too long for it together.
fn original(name: &str, context: &Context<'_>) -> Result<Value> {
    let length = |index| match context.get_raw(index) {
        ValueRef::Text(it) | ValueRef::Blob(it) => it.len(),
        _ => 0,
    };
    if length(0).saturating_mul(length(1)) > LARGEST_PRODUCT {
        return Err(too_big());
    }
    // Text that is no UTF-8 comes back as bytes, so that nothing is lost on the way.
    let question = match name {
        "trim" => "SELECT CAST(trim(?1, ?2) AS BLOB)",
        "ltrim" => "SELECT CAST(ltrim(?1, ?2) AS BLOB)",
        "rtrim" => "SELECT CAST(rtrim(?1, ?2) AS BLOB)",
        "unhex" => "SELECT unhex(?1, ?2)",
        "jsonb_patch" => "SELECT jsonb_patch(?1, ?2)",
        _ => "SELECT json_patch(?1, ?2)",
    };
    ask_plain_sqlite(question, &[context.get_raw(0), context.get_raw(1)])
}

/// A value as SQLite makes it text; `None` for NULL.
pub(super) fn as_text(value: ValueRef<'_>) -> Result<Option<Cow<'_, [u8]>>> {
    Ok(match value {
        ValueRef::Null => None,
        ValueRef::Text(it) | ValueRef::Blob(it) => Some(Cow::Borrowed(it)),
        ValueRef::Integer(it) => Some(Cow::Owned(it.to_string().into_bytes())),
        ValueRef::Real(_) => match ask_plain_sqlite("SELECT CAST(?1 AS TEXT)", &[value])? {
            Value::Text(it) => Some(Cow::Owned(it.into_bytes())),
            _ => None,
        },
    })
}

/// Asks a SQLite of this thread that knows no database and has its own functions.
fn ask_plain_sqlite(question: &str, values: &[ValueRef<'_>]) -> Result<Value> {
    thread_local! {
        static PLAIN: Result<Connection> = Connection::open_in_memory();
    }
    PLAIN.with(|plain| {
        let plain = plain.as_ref().map_err(|_| too_big())?;
        let mut statement = plain.prepare_cached(question)?;
        for (index, value) in (1..).zip(values) {
            statement.raw_bind_parameter(index, ToSqlOutput::Borrowed(*value))?;
        }
        let mut rows = statement.raw_query();
        match rows.next()? {
            Some(row) => row.get(0),
            None => Ok(Value::Null),
        }
    })
}

fn too_big() -> Error {
    Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_TOOBIG), None)
}

/// Text as SQLite has it: bytes that are mostly UTF-8.
struct Text(Vec<u8>);

impl ToSql for Text {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}
