//! The file layer as SQLite sees it: tables of C functions around those of unix.
#![expect(
    unsafe_code,
    reason = "a file layer of SQLite's is a table of C functions; each says why it is sound"
)]
use super::{NAME, READ_INTERRUPTED, temp_file, temp_space};
use crate::engine::sqlite::watch::Reading;
use rusqlite::ffi;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

/// SQLite's own layer, which does the work.
struct Unix(*mut ffi::sqlite3_vfs);

// SAFETY: SQLite keeps its own layer for as long as the process runs, and calls it from any thread.
unsafe impl Send for Unix {}
// SAFETY: as above.
unsafe impl Sync for Unix {}

static UNIX: OnceLock<Unix> = OnceLock::new();

/// One open file. SQLite gives room for it and for unix's own, which lies behind it.
#[repr(C)]
struct ShimFile {
    /// What SQLite sees.
    base: ffi::sqlite3_file,
}

// Temporary files fit where unix's own do.
const _: () = assert!(temp_file::SIZE <= UNIX_FILE + size_of::<[*const (); 4]>());

/// Where unix's own file lies behind the beginning of ours.
const UNIX_FILE: usize = size_of::<ShimFile>().next_multiple_of(align_of::<u64>());

pub(super) fn register() {
    // SAFETY: the name ends with a NUL; SQLite initializes itself first where it has not.
    let unix = unsafe { ffi::sqlite3_vfs_find(c"unix".as_ptr()) };
    if unix.is_null() {
        return;
    }
    UNIX.get_or_init(|| Unix(unix));
    // Whatever is not about opening goes to unix's functions directly. They read nothing of the
    // layer that they are called with but what is the same in this copy.
    // SAFETY: the layer was found a moment ago and stays as it is.
    let mut ours = unsafe { *unix };
    ours.szOsFile += c_int::try_from(UNIX_FILE).expect("the size of a small struct");
    ours.pNext = std::ptr::null_mut();
    ours.zName = NAME.as_ptr();
    ours.xOpen = Some(open);
    let ours = Box::leak(Box::new(ours));
    let as_default = 0;
    // SAFETY: both the layer and its name stay where they are for as long as the process runs.
    let result = unsafe { ffi::sqlite3_vfs_register(ours, as_default) };
    debug_assert_eq!(result, ffi::SQLITE_OK, "SQLite is initialized");
}

/// Opens a file in unix's layer.
///
/// # Safety
/// SQLite calls it with its own layer and room for `szOsFile` bytes.
unsafe extern "C" fn open(
    _ours: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let shim = file.cast::<ShimFile>();
    // SAFETY: SQLite calls `close` only where this says that there is something to close.
    unsafe { (*shim).base.pMethods = std::ptr::null() };
    if name.is_null()
        && let Some(space) = temp_space::present()
    {
        // SAFETY: SQLite gave room for unix's file behind ours, which is more.
        return unsafe { temp_file::open(file, space) };
    }
    let Some((unix, open)) = UNIX.get().and_then(|unix| {
        // SAFETY: as said of `Unix`.
        Some((unix.0, unsafe { (*unix.0).xOpen }?))
    }) else {
        return ffi::SQLITE_CANTOPEN;
    };
    // SAFETY: SQLite gave room for both files, and everything else is handed on as it came.
    unsafe {
        let inner = unix_file(file);
        let result = open(unix, name, inner, flags, flags_out);
        if let Some(methods) = (*inner).pMethods.as_ref() {
            // Nameless files have no shared memory; SQLite asks the table whether there is some.
            let ours = match methods.xShmMap {
                Some(_) => &raw const METHODS,
                None => &raw const METHODS_WITHOUT_SHARED_MEMORY,
            };
            (*shim).base.pMethods = ours;
        }
        result
    }
}

/// Unix's own file behind ours.
///
/// # Safety
/// `file` is one of ours.
unsafe fn unix_file(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: ours begins at `file`, and unix's lies within the same piece of memory.
    unsafe { file.byte_add(UNIX_FILE) }
}

/// Before a statement reads, its limits are looked at.
///
/// # Safety
/// As SQLite calls it: with an open file and room for `bytes`.
unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let Some(reading) = Reading::begin() else {
        return READ_INTERRUPTED;
    };
    // SAFETY: handed on as it came.
    let result = unsafe { forwarded::read(file, to, bytes, offset) };
    reading.end();
    result
}

/// The functions of a file that hand everything on to unix's own.
mod forwarded {
    use super::{c_int, c_void, ffi, unix_file};
    type File = *mut ffi::sqlite3_file;
    type Int64 = ffi::sqlite3_int64;

    macro_rules! forward {
        ($($name:ident => $method:ident($($argument:ident: $kind:ty),*) -> $result:ty, else $missing:expr;)*) => {$(
            /// # Safety
            /// As SQLite calls it, with a file that is open.
            pub(super) unsafe extern "C" fn $name(file: File, $($argument: $kind),*) -> $result {
                // SAFETY: unix's own file is open as long as ours is, and is called as ours was.
                unsafe {
                    let inner = unix_file(file);
                    match (*(*inner).pMethods).$method {
                        Some(method) => method(inner, $($argument),*),
                        None => $missing,
                    }
                }
            }
        )*};
    }

    forward! {
        close => xClose() -> c_int, else ffi::SQLITE_IOERR;
        read => xRead(to: *mut c_void, bytes: c_int, offset: Int64) -> c_int, else ffi::SQLITE_IOERR;
        write => xWrite(from: *const c_void, bytes: c_int, offset: Int64) -> c_int, else ffi::SQLITE_IOERR;
        truncate => xTruncate(bytes: Int64) -> c_int, else ffi::SQLITE_IOERR;
        sync => xSync(flags: c_int) -> c_int, else ffi::SQLITE_IOERR;
        file_size => xFileSize(bytes: *mut Int64) -> c_int, else ffi::SQLITE_IOERR;
        lock => xLock(level: c_int) -> c_int, else ffi::SQLITE_IOERR;
        unlock => xUnlock(level: c_int) -> c_int, else ffi::SQLITE_IOERR;
        check_reserved_lock => xCheckReservedLock(is_taken: *mut c_int) -> c_int, else ffi::SQLITE_IOERR;
        file_control => xFileControl(what: c_int, argument: *mut c_void) -> c_int, else ffi::SQLITE_NOTFOUND;
        sector_size => xSectorSize() -> c_int, else 0;
        device_characteristics => xDeviceCharacteristics() -> c_int, else 0;
        shm_map => xShmMap(region: c_int, bytes: c_int, extend: c_int, at: *mut *mut c_void) -> c_int, else ffi::SQLITE_IOERR;
        shm_lock => xShmLock(offset: c_int, count: c_int, flags: c_int) -> c_int, else ffi::SQLITE_IOERR;
        shm_barrier => xShmBarrier() -> (), else ();
        shm_unmap => xShmUnmap(delete: c_int) -> c_int, else ffi::SQLITE_IOERR;
        fetch => xFetch(offset: Int64, bytes: c_int, at: *mut *mut c_void) -> c_int, else ffi::SQLITE_IOERR;
        unfetch => xUnfetch(offset: Int64, at: *mut c_void) -> c_int, else ffi::SQLITE_IOERR;
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(forwarded::close),
    xRead: Some(read),
    xWrite: Some(forwarded::write),
    xTruncate: Some(forwarded::truncate),
    xSync: Some(forwarded::sync),
    xFileSize: Some(forwarded::file_size),
    xLock: Some(forwarded::lock),
    xUnlock: Some(forwarded::unlock),
    xCheckReservedLock: Some(forwarded::check_reserved_lock),
    xFileControl: Some(forwarded::file_control),
    xSectorSize: Some(forwarded::sector_size),
    xDeviceCharacteristics: Some(forwarded::device_characteristics),
    xShmMap: Some(forwarded::shm_map),
    xShmLock: Some(forwarded::shm_lock),
    xShmBarrier: Some(forwarded::shm_barrier),
    xShmUnmap: Some(forwarded::shm_unmap),
    xFetch: Some(forwarded::fetch),
    xUnfetch: Some(forwarded::unfetch),
};

static METHODS_WITHOUT_SHARED_MEMORY: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    ..METHODS
};
