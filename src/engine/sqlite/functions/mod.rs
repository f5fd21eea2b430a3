//! Functions that replace SQLite's own, because nothing could stop theirs.
//!
//! `instr`, `replace`, `trim`, `unhex` and `json_patch` take seconds on a megabyte in one step of
//! SQLite's machine, past progress handler and interrupt. These here take linear time, or refuse.
pub(crate) mod additions;
pub(crate) mod fts5;
pub(crate) mod highlight;
pub(crate) mod originals;
pub(crate) mod strings;

use self::strings::Ends;
use super::limits::MAX_VALUE_BYTES;
use super::sandbox::memory::Charge;
use super::sandbox::watch;
use rusqlite::functions::{Context, FunctionFlags, SubType};
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};
use std::borrow::Cow;
use std::cell::Cell;

/// Puts the functions in place of SQLite's.
pub(crate) fn replace_in(connection: &Connection) -> Result<()> {
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

fn replace(context: &Context<'_>) -> Result<Option<Counted>> {
    let (text, pattern) = (as_text(context.get_raw(0))?, as_text(context.get_raw(1))?);
    let (Some(text), Some(pattern)) = (text, pattern) else {
        return Ok(None);
    };
    let by = match as_text(context.get_raw(2))? {
        Some(by) => by,
        // As SQLite: an empty pattern is looked at before what replaces it.
        None if pattern.first().is_none_or(|byte| *byte == 0) => Cow::Borrowed(&b""[..]),
        None => return Ok(None),
    };
    // The statement is told once that it has to end.
    let is_over = Cell::new(false);
    let goes_on = || {
        is_over.set(is_over.get() || watch::ends());
        !is_over.get()
    };
    let length = strings::replaced_length(&text, &pattern, &by, goes_on);
    if is_over.get() {
        return Err(Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_INTERRUPT),
            None,
        ));
    }
    if length > MAX_VALUE_BYTES {
        return Err(too_big());
    }
    let charge = charge(length)?;
    let bytes = strings::replaced(&text, &pattern, &by, length, goes_on);
    Ok(Some(Counted::text(bytes, charge)))
}

fn trim(context: &Context<'_>, name: &str, ends: Ends) -> Result<Option<Counted>> {
    let (text, set) = (as_text(context.get_raw(0))?, as_text(context.get_raw(1))?);
    let (Some(text), Some(set)) = (text, set) else {
        return Ok(None);
    };
    match (std::str::from_utf8(&text), std::str::from_utf8(&set)) {
        (Ok(text), Ok(set)) => {
            let trimmed = strings::trimmed(text, set, ends).as_bytes();
            let charge = charge(trimmed.len())?;
            Ok(Some(Counted::text(trimmed.to_vec(), charge)))
        }
        _ => {
            let (value, charge) = original(name, context)?;
            Ok(match value {
                Value::Text(it) => Some(Counted::text(it.into_bytes(), charge)),
                Value::Blob(it) => Some(Counted::text(it, charge)),
                _ => None,
            })
        }
    }
}

fn unhex(context: &Context<'_>) -> Result<Option<Counted>> {
    let (text, ignored) = (as_text(context.get_raw(0))?, as_text(context.get_raw(1))?);
    let (Some(text), Some(ignored)) = (text, ignored) else {
        return Ok(None);
    };
    match (std::str::from_utf8(&text), std::str::from_utf8(&ignored)) {
        (Ok(text), Ok(ignored)) => {
            let charge = charge(text.len() / 2)?;
            let bytes = strings::unhexed(text, ignored);
            Ok(bytes.map(|bytes| Counted::new(Value::Blob(bytes), charge)))
        }
        _ => {
            let (value, charge) = original("unhex", context)?;
            Ok(Some(Counted::new(value, charge)))
        }
    }
}

fn patch(context: &Context<'_>, name: &str, subtype: SubType) -> Result<(Counted, SubType)> {
    let (value, charge) = original(name, context)?;
    Ok((Counted::new(value, charge), subtype))
}

/// What SQLite's own function says to two values, if they are not too long for it together; and
/// what that takes.
fn original(name: &str, context: &Context<'_>) -> Result<(Value, Charge)> {
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
    // No answer of these is longer than both values.
    let charge = charge(length(0).saturating_add(length(1)))?;
    let answer = ask_plain_sqlite(question, &[context.get_raw(0), context.get_raw(1)])?;
    Ok((answer, charge))
}

/// A value as SQLite makes it text; `None` for NULL.
pub(crate) fn as_text(value: ValueRef<'_>) -> Result<Option<Cow<'_, [u8]>>> {
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

/// Counts `bytes` as the statement's memory.
fn charge(bytes: usize) -> Result<Charge> {
    let mut charge = Charge::default();
    if charge.grow(bytes) {
        Ok(charge)
    } else {
        Err(Error::SqliteFailure(
            ffi::Error::new(ffi::SQLITE_NOMEM),
            None,
        ))
    }
}

/// An answer on its way to SQLite, which copies it, and what it takes meanwhile.
struct Counted {
    answer: Answer,
    _charge: Charge,
}

enum Answer {
    /// Text as SQLite has it: bytes that are mostly UTF-8.
    Text(Vec<u8>),
    Value(Value),
}

impl Counted {
    fn new(value: Value, charge: Charge) -> Self {
        Self {
            answer: Answer::Value(value),
            _charge: charge,
        }
    }

    fn text(bytes: Vec<u8>, charge: Charge) -> Self {
        Self {
            answer: Answer::Text(bytes),
            _charge: charge,
        }
    }
}

impl ToSql for Counted {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match &self.answer {
            Answer::Text(bytes) => ValueRef::Text(bytes),
            Answer::Value(value) => value.into(),
        }))
    }
}
