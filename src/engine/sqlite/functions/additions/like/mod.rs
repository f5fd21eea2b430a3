//! `text LIKE pattern` and `text GLOB pattern`, for patterns and texts of any length.
//!
//! SQLite's own work in one step of its machine: 64 MiB against 50 bytes take it 3 seconds that
//! nothing can interrupt. These take their place. SQLite lets an index serve only functions that it
//! has marked itself, and has no call for that, so they are marked where SQLite keeps them.
#![expect(
    unsafe_code,
    reason = "SQLite has no call that marks a function for its planner; each use says why it is sound"
)]
mod pattern;

use self::pattern::{Rules, Stopped};
use crate::engine::sqlite::sandbox::execution_limits::InterruptHandle;
use memchr::memchr;
use rusqlite::{Connection, Error, Result, ffi};
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;

/// Most bytes of a pattern, as in SQLite.
const MAX_PATTERN_BYTES: usize = 50_000;

/// What SQLite says of a longer one.
const TOO_LONG: &CStr = c"LIKE or GLOB pattern too complex";

const NOT_ONE_CHARACTER: &CStr = c"ESCAPE expression must be a single character";

/// Puts them in place of SQLite's.
pub(super) fn add_to(connection: &Connection, interrupts: &Arc<InterruptHandle>) -> Result<()> {
    let like = (*b"%_\0\x01", Rules::LIKE, IS_LIKE);
    let glob = (*b"*?[\0", Rules::GLOB, IS_LIKE | MINDS_CASE);
    for (name, argument_count, (wildcards, rules, marks)) in
        [(c"like", 2, like), (c"like", 3, like), (c"glob", 2, glob)]
    {
        let operator = Box::into_raw(Box::new(Operator {
            wildcards,
            rules,
            interrupts: Arc::clone(interrupts),
            argument_count,
            marks: Cell::new(marks),
        }));
        // SAFETY: the handle is open, and the name is read during the call. SQLite has the operator
        // from here on, and gives it to `drop_operator` once, also where the call fails.
        let result = unsafe {
            ffi::sqlite3_create_function_v2(
                connection.handle(),
                name.as_ptr(),
                argument_count.into(),
                ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS,
                operator.cast(),
                Some(compare),
                None,
                None,
                Some(drop_operator),
            )
        };
        if result != ffi::SQLITE_OK {
            return Err(Error::SqliteFailure(ffi::Error::new(result), None));
        }
    }
    // Each marks itself when it is called for the first time, which is before anything is planned.
    let calls = "SELECT like('', ''), like('', '', '!'), glob('', '')";
    connection.query_row(calls, [], |_| Ok(()))
}

/// One of the functions, as SQLite keeps it.
#[repr(C)]
struct Operator {
    /// What SQLite's planner reads of a function that it has marked: the wildcards, and whether
    /// case is ignored.
    wildcards: [u8; 4],
    rules: Rules,
    interrupts: Arc<InterruptHandle>,
    argument_count: i16,
    /// The marks that SQLite has yet to give it.
    marks: Cell<u32>,
}

/// Why there is no answer.
enum Failure {
    Message(&'static CStr),
    Interrupted,
}

impl Operator {
    /// What SQLite's own `likeFunc` answers to a pattern, a text and what escapes.
    ///
    /// # Safety
    /// The values are those of a call that has not returned.
    unsafe fn answer(&self, values: &[*mut ffi::sqlite3_value]) -> Result<Option<bool>, Failure> {
        let [pattern, text, escape @ ..] = values else {
            return Ok(None);
        };
        // SAFETY: as the caller says. All bytes count, also those behind a NUL.
        let pattern_bytes = unsafe { ffi::sqlite3_value_bytes(*pattern) };
        if usize::try_from(pattern_bytes).is_ok_and(|bytes| bytes > MAX_PATTERN_BYTES) {
            return Err(Failure::Message(TOO_LONG));
        }
        let mut rules = self.rules;
        if let [escape] = escape {
            // SAFETY: as the caller says.
            let Some(escape) = (unsafe { text_of(*escape) }) else {
                return Ok(None);
            };
            let mut end = 0;
            let character = pattern::read(escape, &mut end);
            if character == 0 || end != escape.len() {
                return Err(Failure::Message(NOT_ONE_CHARACTER));
            }
            rules = rules.escaped_by(character);
        }
        // SAFETY: as the caller says; these are two values.
        let (pattern, text) = unsafe { (text_of(*pattern), text_of(*text)) };
        let (Some(pattern), Some(text)) = (pattern, text) else {
            return Ok(None);
        };
        let must_stop = || self.interrupts.poll().is_some();
        pattern::is_match(pattern, text, rules, must_stop)
            .map(Some)
            .map_err(|Stopped| Failure::Interrupted)
    }
}

/// A value as text, up to its first NUL byte; `None` for NULL.
///
/// # Safety
/// The value is one of a call that has not returned, and is not asked for in another form while the
/// text is used.
unsafe fn text_of<'v>(value: *mut ffi::sqlite3_value) -> Option<&'v [u8]> {
    // SAFETY: as the caller says.
    let text = unsafe { ffi::sqlite3_value_text(value) };
    if text.is_null() {
        return None;
    }
    // SAFETY: as the caller says; asked in this order, it is the length of that text.
    let bytes = unsafe { ffi::sqlite3_value_bytes(value) };
    // SAFETY: SQLite keeps that many bytes there as long as the value is, and in that form.
    let text = unsafe { std::slice::from_raw_parts(text, usize::try_from(bytes).ok()?) };
    let end = memchr(0, text).unwrap_or(text.len());
    text.get(..end)
}

/// As SQLite calls it for `text LIKE pattern`: the pattern comes first.
unsafe extern "C" fn compare(
    context: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: the functions are made with an operator, which lives as long as they do.
    let operator = unsafe { &*ffi::sqlite3_user_data(context).cast::<Operator>() };
    let marks = operator.marks.take();
    if marks != 0 {
        // SAFETY: this is a call of the operator's function.
        unsafe { mark(context, operator, marks) };
    }
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: SQLite gives that many values, which stay until this function returns.
    let answer = unsafe { operator.answer(std::slice::from_raw_parts(values, count)) };
    // SAFETY: the context is that of this call; a message is copied.
    unsafe {
        match answer {
            Ok(Some(is_match)) => ffi::sqlite3_result_int(context, is_match.into()),
            Ok(None) => {} // NULL
            Err(Failure::Message(message)) => {
                ffi::sqlite3_result_error(context, message.as_ptr(), -1);
            }
            Err(Failure::Interrupted) => {
                ffi::sqlite3_result_error_code(context, ffi::SQLITE_INTERRUPT);
            }
        }
    }
}

unsafe extern "C" fn drop_operator(operator: *mut c_void) {
    // SAFETY: it comes from `Box::into_raw`, and SQLite gives it back once.
    drop(unsafe { Box::from_raw(operator.cast::<Operator>()) });
}

/// The SQLite whose structures are known here. In another one the functions are not marked, and
/// LIKE and GLOB read whole tables; a test says so.
const KNOWN_SQLITE: c_int = 3_054_001;

/// `SQLITE_FUNC_LIKE`: an index may serve it.
const IS_LIKE: u32 = 0x04;

/// `SQLITE_FUNC_CASE`: only an index that tells `a` from `A` may.
const MINDS_CASE: u32 = 0x08;

/// The beginning of SQLite's `sqlite3_context`.
#[repr(C)]
struct CallContext {
    result: *mut c_void,
    function: *mut FunctionDefinition,
}

/// The beginning of SQLite's `FuncDef`.
#[repr(C)]
struct FunctionDefinition {
    argument_count: i16,
    flags: u32,
    user_data: *mut c_void,
}

/// Has SQLite's planner know the function that is being called as one of LIKE's kind.
///
/// # Safety
/// This is a call of the operator's function.
unsafe fn mark(context: *mut ffi::sqlite3_context, operator: &Operator, marks: u32) {
    // SAFETY: takes nothing.
    if unsafe { ffi::sqlite3_libversion_number() } != KNOWN_SQLITE {
        return;
    }
    // SAFETY: in this version both structures begin so, whatever it is compiled with. The
    // definition belongs to this connection, which no other thread uses meanwhile.
    let function = unsafe { &mut *(*context.cast::<CallContext>()).function };
    let is_it = function.argument_count == operator.argument_count
        && function.user_data.cast_const() == std::ptr::from_ref(operator).cast();
    if is_it {
        function.flags |= marks;
    }
}
