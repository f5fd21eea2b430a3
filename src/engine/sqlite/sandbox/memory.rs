//! How much of SQLite's memory one statement may have.
//!
//! A sort of random BLOBs takes a gigabyte before its deadline does anything, and SQLite's own
//! heap limit is one for the whole process: one client would starve all. A statement runs on one
//! thread, so the memory that SQLite takes on that thread meanwhile is the statement's.
#![expect(
    unsafe_code,
    reason = "SQLite's allocator is a table of C functions; each call says why it is sound"
)]
use super::watch;
use crate::shares::Held;
use rusqlite::ffi;
use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

/// Most bytes that one statement may have: a caller's share of memory, as it is by default. A change
/// of a long value takes three times as much: as it was, as it is, and the row.
pub(crate) const STATEMENT_BYTES: i64 = 192 << 20;

/// The first bytes of a statement, which are not counted among what its caller has in memory: a
/// connection's own pages.
const UNCOUNTED: i64 = 4 << 20;
/// Past [`UNCOUNTED`], bytes are counted in steps of this size.
const STEP: i64 = 1 << 20;
/// Bytes of its caller's share that a statement leaves free. Streams would wait for room for their
/// next piece otherwise, each for what the others' statements have.
const LEFT_FOR_ANSWERS: usize = 4 << 20;
/// Bytes of one allocation from which on it is for a long value, which takes a while to make: the
/// statement's limits are polled before.
const LONG: i64 = 1 << 20;

thread_local! {
    /// What SQLite took on this thread, less what it gave back on it.
    static TAKEN: Cell<i64> = const { Cell::new(0) };
    /// Where `TAKEN` may go without another look.
    static BOUND: Cell<i64> = const { Cell::new(i64::MAX) };
    /// Of the statement that runs.
    static COUNTED: RefCell<Option<Counted>> = const { RefCell::new(None) };
    /// Whether the caller had no room for what the last statement wanted.
    static HAD_NO_ROOM: Cell<bool> = const { Cell::new(false) };
}

/// What a statement has taken beyond what is not counted.
#[derive(Debug)]
struct Counted {
    /// What was taken on this thread when it began.
    base: i64,
    /// Most bytes that it may have.
    most: i64,
    held: Held,
}

/// While it lives, SQLite gets no more bytes on this thread than this budget has.
#[derive(Debug)]
pub(crate) struct Budget(());

impl Budget {
    pub(crate) fn of(bytes: i64) -> Self {
        let base = TAKEN.get();
        BOUND.set(base.saturating_add(bytes.min(UNCOUNTED)));
        HAD_NO_ROOM.set(false);
        COUNTED.set(Some(Counted {
            base,
            most: bytes,
            held: Held::default(),
        }));
        Self(())
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        BOUND.set(i64::MAX);
        drop(COUNTED.take());
    }
}

/// Whether the last statement on this thread wanted memory that its caller had no room for.
pub(crate) fn had_no_room() -> bool {
    HAD_NO_ROOM.get()
}

/// What a function of ours keeps in memory of its own while a statement runs, counted as the
/// statement's.
#[derive(Debug, Default)]
pub(crate) struct Charge(i64);

impl Charge {
    /// Takes `bytes` more. `false` when the statement may not have them.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let may_take = may_take(bytes);
        if may_take {
            took(bytes);
            self.0 += bytes;
        }
        may_take
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        took(-self.0);
    }
}

/// Gives SQLite the program's own allocator, which counts. `false` when SQLite was used in this
/// process before: it takes what it is told here only at its start.
pub(crate) fn install() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| super::c_calls::hear_of_files() && configure().is_some())
}

fn configure() -> Option<()> {
    let mut methods = empty_methods();
    // SAFETY: GETMALLOC fills the table it is given. It is made for being called before SQLite is
    // initialized, and refuses afterwards.
    accepted(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_GETMALLOC, &raw mut methods) })?;
    methods.xMalloc = Some(malloc);
    methods.xFree = Some(free);
    methods.xRealloc = Some(realloc);
    methods.xSize = Some(size);
    // SAFETY: MALLOC copies the table, and refuses it once SQLite is initialized. Our functions
    // keep the contract of the originals; rounding, start and end stay those of the originals,
    // which touch no memory.
    accepted(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MALLOC, &raw mut methods) })?;
    let off: c_int = 0;
    // SAFETY: takes one int. Its statistics are a lock around every allocation; ours need none.
    accepted(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_MEMSTATUS, off) })?;
    let nowhere = std::ptr::null_mut::<c_void>();
    // SAFETY: takes memory, the size of a page in it, and a number of pages. Without memory the
    // number is that of pages a connection takes at its first use: none, since most need two.
    accepted(unsafe { ffi::sqlite3_config(ffi::SQLITE_CONFIG_PAGECACHE, nowhere, off, off) })
}

fn accepted(result: c_int) -> Option<()> {
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
    let wanted = TAKEN.get().saturating_add(bytes);
    (wanted <= BOUND.get() || may_have(wanted)) && (bytes < LONG || !watch::ends())
}

/// Whether the statement may have more than was counted so far.
#[cold]
fn may_have(wanted: i64) -> bool {
    let look = |counted: &RefCell<Option<Counted>>| {
        let mut counted = counted.try_borrow_mut().ok()?;
        let Counted { base, most, held } = counted.as_mut()?;
        let bytes = wanted - *base;
        if bytes > *most {
            return None;
        }
        let bytes = (bytes / STEP + 1).saturating_mul(STEP).min(*most);
        let counted = usize::try_from(bytes - UNCOUNTED).unwrap_or_default();
        let has_room = held.grow_leaving(LEFT_FOR_ANSWERS, counted).is_ok();
        HAD_NO_ROOM.set(!has_room);
        has_room.then(|| BOUND.set(*base + bytes))
    };
    COUNTED.try_with(look).ok().flatten().is_some()
}

fn took(bytes: i64) {
    TAKEN.set(TAKEN.get().saturating_add(bytes));
}

/// Bytes of what the allocator gave out.
fn bytes_of(memory: *mut c_void) -> i64 {
    // SAFETY: called with memory that the allocator gave out and did not get back.
    let bytes = unsafe { libmimalloc_sys::mi_usable_size(memory) };
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

unsafe extern "C" fn malloc(bytes: c_int) -> *mut c_void {
    let Some(bytes) = usize::try_from(bytes)
        .ok()
        .filter(|it| may_take(*it as i64))
    else {
        return std::ptr::null_mut();
    };
    // SAFETY: any size may be asked for.
    let memory = unsafe { libmimalloc_sys::mi_malloc(bytes) };
    if !memory.is_null() {
        took(bytes_of(memory));
    }
    memory
}

unsafe extern "C" fn free(memory: *mut c_void) {
    if memory.is_null() {
        return;
    }
    took(-bytes_of(memory));
    // SAFETY: `memory` comes from `malloc` or `realloc`, and is given back once.
    unsafe { libmimalloc_sys::mi_free(memory) }
}

unsafe extern "C" fn realloc(memory: *mut c_void, bytes: c_int) -> *mut c_void {
    let before = bytes_of(memory);
    // What is long is there twice while it is moved.
    let moved = if before < LONG { before } else { 0 };
    let wanted = usize::try_from(bytes).ok();
    let may_have = |wanted: &usize| {
        let wanted = *wanted as i64;
        wanted <= before || may_take(wanted - moved)
    };
    let Some(wanted) = wanted.filter(may_have) else {
        return std::ptr::null_mut();
    };
    // SAFETY: as above; what is refused stays as it is, which is realloc's contract.
    let moved = unsafe { libmimalloc_sys::mi_realloc(memory, wanted) };
    if !moved.is_null() {
        took(bytes_of(moved) - before);
    }
    moved
}

unsafe extern "C" fn size(memory: *mut c_void) -> c_int {
    c_int::try_from(bytes_of(memory)).unwrap_or(c_int::MAX)
}
