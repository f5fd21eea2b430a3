//! FTS5's `highlight` and `snippet`, in place of SQLite's own, which take minutes on one row with
//! very many matches. Here is what speaks C; what they answer is made in `delimiters.rs`.
#![expect(
    unsafe_code,
    reason = "functions of FTS5 are registered and called in C; each call says why it is sound"
)]
use super::highlight::{Best, Column, Delimiters, Match, highlighted, look_for_better, snippet};
use crate::engine::sqlite::limits::MAX_VALUE_BYTES;
use crate::engine::sqlite::sandbox::memory::Charge;
use rusqlite::{Connection, Error, Result, ffi};
use std::ffi::{c_char, c_int, c_void};

/// Most matches that are looked at for one snippet: a tenth of a second. Only a query that names
/// the same word hundreds of times needs more.
const SNIPPET_WORK: usize = 20_000_000;

/// Puts the functions in place of FTS5's. Before the authorizer, which refuses calls of `fts5`.
pub(crate) fn replace_in(connection: &Connection) -> Result<()> {
    let failed = |code| Error::SqliteFailure(ffi::Error::new(code), None);
    let mut api: *mut ffi::fts5_api = std::ptr::null_mut();
    let mut statement = std::ptr::null_mut();
    // SAFETY: the handle is open; the text ends in NUL; `api` outlives the statement, and FTS5
    // writes its interface there, which lives as long as the connection.
    unsafe {
        let sql = c"SELECT fts5(?1)".as_ptr();
        let nothing = std::ptr::null_mut();
        let handle = connection.handle();
        let code = ffi::sqlite3_prepare_v2(handle, sql, -1, &raw mut statement, nothing);
        if code != ffi::SQLITE_OK {
            return Err(failed(code));
        }
        let place = (&raw mut api).cast();
        ffi::sqlite3_bind_pointer(statement, 1, place, c"fts5_api_ptr".as_ptr(), None);
        ffi::sqlite3_step(statement);
        ffi::sqlite3_finalize(statement);
    }
    // SAFETY: FTS5 gave it, or it is still null.
    let create = unsafe { api.as_ref() }.and_then(|it| it.xCreateFunction);
    let create = create.ok_or_else(|| failed(ffi::SQLITE_ERROR))?;
    for (name, function) in [
        (c"highlight", highlight as Function),
        (c"snippet", show_snippet as Function),
    ] {
        let (name, nobodys) = (name.as_ptr(), std::ptr::null_mut());
        // SAFETY: the interface is this connection's; the functions need no data of their own.
        let code = unsafe { create(api, name, nobodys, Some(function), None) };
        if code != ffi::SQLITE_OK {
            return Err(failed(code));
        }
    }
    Ok(())
}

type Function = unsafe extern "C" fn(
    *const ffi::Fts5ExtensionApi,
    *mut ffi::Fts5Context,
    *mut ffi::sqlite3_context,
    c_int,
    *mut *mut ffi::sqlite3_value,
);

/// What came of a call: text, NULL, or one of SQLite's codes.
type Outcome = std::result::Result<Option<Vec<u8>>, c_int>;

unsafe extern "C" fn highlight(
    api: *const ffi::Fts5ExtensionApi,
    row: *mut ffi::Fts5Context,
    context: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: FTS5 calls with its interface, the current row, and `count` values.
    unsafe {
        let (row, values) = (Row { api: &*api, row }, Values::of(values, count));
        let outcome = match values.0.len() {
            3 => row.highlight(&values),
            _ => return wrong_number(context, c"highlight"),
        };
        answer(context, outcome);
    }
}

unsafe extern "C" fn show_snippet(
    api: *const ffi::Fts5ExtensionApi,
    row: *mut ffi::Fts5Context,
    context: *mut ffi::sqlite3_context,
    count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: as above.
    unsafe {
        let (row, values) = (Row { api: &*api, row }, Values::of(values, count));
        let outcome = match values.0.len() {
            5 => row.snippet(&values),
            _ => return wrong_number(context, c"snippet"),
        };
        answer(context, outcome);
    }
}

unsafe fn wrong_number(context: *mut ffi::sqlite3_context, name: &std::ffi::CStr) {
    let name = name.to_string_lossy();
    let text = format!("wrong number of arguments to function {name}()");
    // SAFETY: SQLite copies the text before it returns.
    unsafe { ffi::sqlite3_result_error(context, text.as_ptr().cast(), length(text.as_bytes())) }
}

unsafe fn answer(context: *mut ffi::sqlite3_context, outcome: Outcome) {
    // SAFETY: the context is of the call that is being answered; SQLite copies the text.
    unsafe {
        match outcome {
            Ok(Some(text)) => ffi::sqlite3_result_text(
                context,
                text.as_ptr().cast(),
                length(&text),
                ffi::SQLITE_TRANSIENT(),
            ),
            Ok(None) => ffi::sqlite3_result_null(context),
            Err(code) => ffi::sqlite3_result_error_code(context, code),
        }
    }
}

fn length(bytes: &[u8]) -> c_int {
    c_int::try_from(bytes.len()).expect("no value is longer than 64 MiB")
}

/// The arguments of a call.
struct Values<'v>(&'v [*mut ffi::sqlite3_value]);

impl<'v> Values<'v> {
    unsafe fn of(values: *mut *mut ffi::sqlite3_value, count: c_int) -> Self {
        match usize::try_from(count) {
            // SAFETY: SQLite gives as many values as it says.
            Ok(count) if count > 0 => unsafe { Self(std::slice::from_raw_parts(values, count)) },
            _ => Self(&[]),
        }
    }

    fn integer(&self, index: usize) -> i64 {
        // SAFETY: the value lives as long as the call.
        unsafe { ffi::sqlite3_value_int64(self.0[index]) }
    }

    /// Text up to its first NUL; empty for NULL.
    fn text(&self, index: usize) -> &'v [u8] {
        // SAFETY: the text ends in NUL and lives until the value is asked for another form, which
        // no code here does.
        unsafe {
            let text = ffi::sqlite3_value_text(self.0[index]).cast::<c_char>();
            if text.is_null() {
                return &[];
            }
            std::ffi::CStr::from_ptr(text).to_bytes()
        }
    }
}

/// The row that a query stands on.
struct Row<'q> {
    api: &'q ffi::Fts5ExtensionApi,
    row: *mut ffi::Fts5Context,
}

/// The interface of this version of FTS5 has every function; it is built in.
macro_rules! call {
    ($row:expr, $function:ident $(, $argument:expr)*) => {{
        let function = $row.api.$function.expect("this FTS5 has its whole interface");
        // SAFETY: the row is the current one, and every pointer leads to a local that outlives
        // the call.
        unsafe { function($row.row $(, $argument)*) }
    }};
}

fn fine(code: c_int) -> std::result::Result<(), c_int> {
    if code == ffi::SQLITE_OK {
        Ok(())
    } else {
        Err(code)
    }
}

impl<'q> Row<'q> {
    fn highlight(&self, values: &Values<'_>) -> Outcome {
        let index = values.integer(0).clamp(-1, i64::from(c_int::MAX));
        let column = match self.column(index) {
            Err(ffi::SQLITE_RANGE) => return Ok(Some(Vec::new())),
            other => other?,
        };
        let Some((column, _tokens)) = column else {
            return Ok(None);
        };
        let delimiters = Delimiters {
            open: values.text(1),
            close: values.text(2),
        };
        let (matches, _matches) = self.matches()?;
        let longest = longest(&column, matches.len(), &delimiters, &[]);
        let _text = charge(longest)?;
        let text = highlighted(&column, index, &matches, &delimiters, longest);
        text.map(Some).ok_or(ffi::SQLITE_TOOBIG)
    }

    fn snippet(&self, values: &Values<'_>) -> Outcome {
        let wanted = values.integer(0).clamp(-1, i64::from(c_int::MAX));
        let tokens = values.integer(4).clamp(0, 64);
        let delimiters = Delimiters {
            open: values.text(1),
            close: values.text(2),
        };
        let (matches, _matches) = self.matches()?;
        let mut best = Best::none(wanted.max(0));
        let mut work = SNIPPET_WORK;
        for index in 0..i64::from(call!(self, xColumnCount)) {
            if wanted >= 0 && wanted != index {
                continue;
            }
            if let Some((column, _tokens)) = self.column(index)? {
                look_for_better(&mut best, &column, index, &matches, tokens, &mut work)
                    .ok_or(ffi::SQLITE_TOOBIG)?;
            }
        }
        let Some((column, _tokens)) = self.column(best.column)? else {
            return Ok(None);
        };
        let ellipsis = values.text(3);
        let longest = longest(&column, matches.len(), &delimiters, ellipsis);
        let _text = charge(longest)?;
        let text = snippet(
            &best,
            &column,
            &matches,
            &delimiters,
            ellipsis,
            tokens,
            longest,
        );
        text.map(Some).ok_or(ffi::SQLITE_TOOBIG)
    }

    /// Every match of the query in this row, by column and place; and what they take.
    fn matches(&self) -> std::result::Result<(Vec<Match>, Charge), c_int> {
        let mut count: c_int = 0;
        fine(call!(self, xInstCount, &raw mut count))?;
        let many = usize::try_from(count).unwrap_or(0);
        let charge = charge(many.saturating_mul(MATCH_BYTES))?;
        let mut matches = Vec::with_capacity(many);
        for index in 0..count {
            let (mut phrase, mut column, mut first) = (0, 0, 0);
            fine(call!(
                self,
                xInst,
                index,
                &raw mut phrase,
                &raw mut column,
                &raw mut first
            ))?;
            matches.push(Match {
                phrase: i64::from(phrase),
                column: i64::from(column),
                first: i64::from(first),
                size: i64::from(call!(self, xPhraseSize, phrase)),
            });
        }
        Ok((matches, charge))
    }

    /// A column's text and tokens, and what these take; `None` where the table keeps no text.
    fn column(&self, index: i64) -> std::result::Result<Option<(Column<'q>, Charge)>, c_int> {
        let index = c_int::try_from(index).map_err(|_| ffi::SQLITE_RANGE)?;
        let (mut text, mut bytes): (*const c_char, c_int) = (std::ptr::null(), 0);
        fine(call!(
            self,
            xColumnText,
            index,
            &raw mut text,
            &raw mut bytes
        ))?;
        if text.is_null() {
            return Ok(None);
        }
        let (mut locale, mut locale_bytes): (*const c_char, c_int) = (std::ptr::null(), 0);
        fine(call!(
            self,
            xColumnLocale,
            index,
            &raw mut locale,
            &raw mut locale_bytes
        ))?;
        let mut tokens = Tokens::default();
        fine(call!(
            self,
            xTokenize_v2,
            text,
            bytes,
            locale,
            locale_bytes,
            (&raw mut tokens).cast::<c_void>(),
            Some(note_token)
        ))?;
        let bytes = usize::try_from(bytes).unwrap_or(0);
        // SAFETY: FTS5 keeps the column's text until it goes to another row, after this call.
        let text = unsafe { std::slice::from_raw_parts(text.cast::<u8>(), bytes) };
        let Tokens { places, charge } = tokens;
        let column = Column {
            text,
            tokens: places,
        };
        Ok(Some((column, charge)))
    }
}

/// The tokens of a column while they are noted.
#[derive(Default)]
struct Tokens {
    places: Vec<(usize, usize)>,
    charge: Charge,
}

/// What one token takes: its place, and that of a sentence which may begin there, in lists that
/// have up to twice the room.
const TOKEN_BYTES: usize = 2 * (size_of::<(usize, usize)>() + size_of::<i64>());
/// The same for a match, and for the run of matches that it is in.
const MATCH_BYTES: usize = size_of::<Match>() + 2 * size_of::<(i64, i64)>();
/// Memory is taken for this many tokens at a time.
const TOKENS_AT_ONCE: usize = 4096;

/// Counts `bytes` as the statement's memory.
fn charge(bytes: usize) -> std::result::Result<Charge, c_int> {
    let mut charge = Charge::default();
    if charge.grow(bytes) {
        Ok(charge)
    } else {
        Err(ffi::SQLITE_NOMEM)
    }
}

/// Most bytes of a column with `parts` of it marked.
fn longest(
    column: &Column<'_>,
    parts: usize,
    delimiters: &Delimiters<'_>,
    ellipsis: &[u8],
) -> usize {
    let around = (delimiters.open.len() + delimiters.close.len()).saturating_mul(parts);
    let all = around.saturating_add(column.text.len() + 2 * ellipsis.len());
    all.min(MAX_VALUE_BYTES)
}

/// A token, unless it stands in another's place.
unsafe extern "C" fn note_token(
    tokens: *mut c_void,
    flags: c_int,
    _text: *const c_char,
    _bytes: c_int,
    start: c_int,
    end: c_int,
) -> c_int {
    if flags & ffi::FTS5_TOKEN_COLOCATED == 0 {
        let place = |it: c_int| usize::try_from(it).unwrap_or(0);
        // SAFETY: it is the list that `Row::column` gave.
        let tokens = unsafe { &mut *tokens.cast::<Tokens>() };
        let is_counted = tokens.places.len() % TOKENS_AT_ONCE != 0
            || tokens.charge.grow(TOKENS_AT_ONCE * TOKEN_BYTES);
        if !is_counted {
            return ffi::SQLITE_NOMEM;
        }
        tokens.places.push((place(start), place(end)));
    }
    ffi::SQLITE_OK
}
