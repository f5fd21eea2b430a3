//! Functions for rows routes: `dbforge_object(template, value, …)` writes values as the answer
//! itself does, and `dbforge_hash(value, …)` tells whether a row is what it was.
//!
//! Only statements that are sent can call them, no view or trigger: a schema that names them could
//! not be read elsewhere.
use crate::engine::sql::Int64Form;
use crate::engine::sqlite::limits::MAX_VALUE_BYTES;
use crate::engine::sqlite::sandbox::memory::Charge;
use crate::engine::sqlite::sandbox::watch;
use crate::engine::sqlite::statement::values::{self, SpecialForm};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error, Result, ffi};

/// Adds them.
pub(super) fn add_to(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_DIRECTONLY;
    connection.create_scalar_function("dbforge_object", -1, flags, |context| object(context))?;
    connection.create_scalar_function("dbforge_hash", -1, flags, |context| hash(context))
}

/// JSON on its way to SQLite, and what it takes meanwhile.
struct Json {
    text: Vec<u8>,
    _charge: Charge,
}

impl ToSql for Json {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.text)))
    }
}

fn object(context: &Context<'_>) -> Result<Json> {
    let wrong = || Error::UserFunctionError("the template does not fit its values".into());
    if context.is_empty() {
        return Err(wrong());
    }
    let ValueRef::Text(template) = context.get_raw(0) else {
        return Err(wrong());
    };
    let mut lines = template.split(|byte| *byte == b'\n');
    let in_braces = lines.next() == Some(b"{");
    let mut out = Vec::with_capacity(template.len() + 16 * context.len());
    let mut charge = Charge::default();
    if in_braces {
        out.push(b'{');
    }
    for place in 1..context.len() {
        let line = lines.next().ok_or_else(wrong)?;
        let (mark, key) = line.split_first().ok_or_else(wrong)?;
        if place > 1 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        let value = context.get_raw(place);
        match (mark, value) {
            (b'j', ValueRef::Null) => out.extend_from_slice(b"null"),
            (b'j', ValueRef::Text(json)) => {
                grow(&mut charge, out.len() + json.len())?;
                out.extend_from_slice(json);
            }
            _ => {
                let form = (Int64Form::Number, SpecialForm::Marked);
                values::json(&mut out, &value, form, |out| grow(&mut charge, out.len()))?;
            }
        }
    }
    if in_braces {
        out.push(b'}');
    }
    grow(&mut charge, out.len())?;
    Ok(Json {
        text: out,
        _charge: charge,
    })
}

/// Counts `bytes` as the statement's memory, where they are many.
fn grow(charge: &mut Charge, bytes: usize) -> Result<()> {
    /// Less is not worth the count.
    const FEW_BYTES: usize = 16 << 10;
    let fail = |code| Err(Error::SqliteFailure(ffi::Error::new(code), None));
    if bytes <= FEW_BYTES {
        return Ok(());
    }
    if bytes > MAX_VALUE_BYTES {
        return fail(ffi::SQLITE_TOOBIG);
    }
    if watch::ends() {
        return fail(ffi::SQLITE_INTERRUPT);
    }
    if !charge.grow(bytes) {
        return fail(ffi::SQLITE_NOMEM);
    }
    Ok(())
}

/// The first 64 bits of a SHA-256 of all values and their kinds.
fn hash(context: &Context<'_>) -> Result<i64> {
    use sha2::{Digest as _, Sha256};
    let mut hash = Sha256::new();
    for place in 0..context.len() {
        match context.get_raw(place) {
            ValueRef::Null => hash.update([0]),
            ValueRef::Integer(number) => {
                hash.update([1]);
                hash.update(number.to_le_bytes());
            }
            ValueRef::Real(number) => {
                hash.update([2]);
                hash.update(number.to_bits().to_le_bytes());
            }
            ValueRef::Text(bytes) => update_with(&mut hash, 3, bytes)?,
            ValueRef::Blob(bytes) => update_with(&mut hash, 4, bytes)?,
        }
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Ok(i64::from_le_bytes(first))
}

fn update_with(hash: &mut sha2::Sha256, kind: u8, bytes: &[u8]) -> Result<()> {
    use sha2::Digest as _;
    /// Between two looks at the deadline.
    const PART_BYTES: usize = 1 << 20;
    hash.update([kind]);
    hash.update((bytes.len() as u64).to_le_bytes());
    for part in bytes.chunks(PART_BYTES) {
        hash.update(part);
        if bytes.len() > PART_BYTES && watch::ends() {
            return Err(Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_INTERRUPT),
                None,
            ));
        }
    }
    Ok(())
}
