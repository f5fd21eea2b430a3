//! SQLite's page cache, with a look at the limits before a page is given.
#![expect(
    unsafe_code,
    reason = "SQLite's page cache is a table of C functions; each call says why it is sound"
)]
use super::{ends_before_page, note_page};
use rusqlite::ffi;
use std::ffi::{c_int, c_uint};
use std::mem::MaybeUninit;
use std::sync::OnceLock;

type Fetch =
    unsafe extern "C" fn(*mut ffi::sqlite3_pcache, c_uint, c_int) -> *mut ffi::sqlite3_pcache_page;

/// SQLite's own.
static FETCH: OnceLock<Fetch> = OnceLock::new();

/// Puts the look in front of SQLite's own page cache. Nothing, where SQLite was used in this process
/// before: it takes what it is told here only at its start.
pub(crate) fn install() {
    static INSTALLED: OnceLock<Option<()>> = OnceLock::new();
    INSTALLED.get_or_init(configure);
}

fn configure() -> Option<()> {
    let mut methods = MaybeUninit::<ffi::sqlite3_pcache_methods2>::uninit();
    // SAFETY: GETPCACHE2 fills the table it is given, where it does not refuse.
    let result =
        unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETPCACHE2, methods.as_mut_ptr()) };
    if result != ffi::SQLITE_OK {
        return None;
    }
    // SAFETY: it was filled.
    let mut methods = unsafe { methods.assume_init() };
    FETCH.set(methods.xFetch?).ok()?;
    methods.xFetch = Some(fetch);
    // SAFETY: PCACHE2 copies the table, and refuses it once SQLite is initialized. All but one of
    // the functions are SQLite's own.
    let result = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PCACHE2, &raw mut methods) };
    (result == ffi::SQLITE_OK).then_some(())
}

/// Gives a page, or none where the statement has to end: SQLite then says that it has no memory.
///
/// Only where SQLite wants the page by all means, which is the last of its tries. The others ask
/// whether the page is in the cache, and to be told wrongly that a changed page is not there would
/// leave the change behind when it is undone.
///
/// # Safety
/// As SQLite calls it, with a cache of its own.
unsafe extern "C" fn fetch(
    cache: *mut ffi::sqlite3_pcache,
    page: c_uint,
    create: c_int,
) -> *mut ffi::sqlite3_pcache_page {
    if create != NEVER {
        note_page(page);
    }
    if create == BY_ALL_MEANS && ends_before_page() {
        return std::ptr::null_mut();
    }
    match FETCH.get() {
        // SAFETY: handed on as it came.
        Some(fetch) => unsafe { fetch(cache, page, create) },
        None => std::ptr::null_mut(),
    }
}

const NEVER: c_int = 0;
const BY_ALL_MEANS: c_int = 2;
