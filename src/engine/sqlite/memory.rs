//! How much of SQLite's memory one statement may have.
//!
//! A sort of random BLOBs takes a gigabyte before its deadline does anything, and SQLite's own
//! heap limit is one for the whole process: one client would starve all. A statement runs on one
//! thread, so the memory that SQLite takes on that thread meanwhile is the statement's.
#![expect(
    unsafe_code,
    reason = "SQLite's allocator is a table of C functions; each call says why it is sound"
)]
use rusqlite::ffi;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

/// Most bytes that one statement may have: a hundred thousand rows to sort, many times over.
pub(super) const STATEMENT_BYTES: i64 = 64 << 20;

thread_local! {
    /// What SQLite took on this thread, less what it gave back on it.
    static TAKEN: Cell<i64> = const { Cell::new(0) };
    /// Where `TAKEN` may go.
    static BOUND: Cell<i64> = const { Cell::new(i64::MAX) };
}

/// While it lives, SQLite gets no more than so many bytes on this thread.
#[derive(Debug)]
pub(super) struct Budget(());

impl Budget {
    pub(super) fn of(bytes: i64) -> Self {
        BOUND.set(TAKEN.get().saturating_add(bytes));
        Self(())
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        BOUND.set(i64::MAX);
    }
}

/// SQLite's own functions, which ours ask.
struct Original {
    malloc: unsafe extern "C" fn(c_int) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    realloc: unsafe extern "C" fn(*mut c_void, c_int) -> *mut c_void,
    size: unsafe extern "C" fn(*mut c_void) -> c_int,
}

static ORIGINAL: OnceLock<Original> = OnceLock::new();

/// Bounds every statement's memory from now on. `false` when SQLite was used in this process
/// before: it takes another allocator only at its start.
pub(super) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| replace_functions().is_some())
}

fn replace_functions() -> Option<()> {
    let mut methods = empty_methods();
    // SAFETY: GETMALLOC fills the table it is given. It is made for being called before SQLite is
    // initialized, and refuses afterwards.
    let result = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods) };
    if result != ffi::SQLITE_OK {
        return None;
    }
    ORIGINAL
        .set(Original {
            malloc: methods.xMalloc.replace(malloc)?,
            free: methods.xFree.replace(free)?,
            realloc: methods.xRealloc.replace(realloc)?,
            size: methods.xSize?,
        })
        .ok()?;
    // SAFETY: MALLOC copies the table, and refuses it once SQLite is initialized. Our functions
    // keep the contract of the originals, which do the work.
    let result = unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw mut methods) };
    (result == ffi::SQLITE_OK).then_some(())
}

fn empty_methods() -> ffi::sqlite3_mem_methods {
    ffi::sqlite3_mem_methods {
        xMalloc: None,
        xFree: None,
        xRealloc: None,
        xSize: None,
        xRoundup: None,
        xInit: None,
        xShutdown: None,
        pAppData: std::ptr::null_mut(),
    }
}

fn may_take(bytes: i64) -> bool {
    TAKEN.get().saturating_add(bytes) <= BOUND.get()
}

fn took(bytes: i64) {
    TAKEN.set(TAKEN.get().saturating_add(bytes));
}

unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    let Some(original) = ORIGINAL.get().filter(|_| may_take(i64::from(bytes))) else {
        return std::ptr::null_mut();
    };
    // SAFETY: SQLite calls this as it would call the original, with a positive size.
    unsafe {
        let memory = (original.malloc)(bytes);
        if !memory.is_null() {
            took(i64::from((original.size)(memory)));
        }
        memory
    }
}

unsafe extern "C" fn free(memory: *mut c_void) {
    if let Some(original) = ORIGINAL.get().filter(|_| !memory.is_null()) {
        // SAFETY: `memory` comes from `malloc` or `realloc`, and so from the originals.
        unsafe {
            took(-i64::from((original.size)(memory)));
            (original.free)(memory);
        }
    }
}

unsafe extern "C" fn realloc(memory: *mut c_void, bytes: c_int) -> *mut c_void {
    let Some(original) = ORIGINAL.get() else {
        return std::ptr::null_mut();
    };
    // SAFETY: as above; what is refused stays as it is, which is realloc's contract.
    unsafe {
        let before = i64::from((original.size)(memory));
        if !may_take(i64::from(bytes) - before) {
            return std::ptr::null_mut();
        }
        let moved = (original.realloc)(memory, bytes);
        if !moved.is_null() {
            took(i64::from((original.size)(moved)) - before);
        }
        moved
    }
}
