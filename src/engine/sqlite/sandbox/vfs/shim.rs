//! The file layer as SQLite sees it: tables of C functions around those of unix.
#![expect(
    unsafe_code,
    reason = "a file layer of SQLite's is a table of C functions; each says why it is sound"
)]
use super::temp_file::READ_INTERRUPTED;
use super::{temp_file, temp_space};
use crate::engine::sqlite::sandbox::watch::Reading;
use rusqlite::ffi;
use std::cell::Cell;
use std::ffi::{CStr, c_int, c_void};
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
    /// Whether it is a WAL, which grows only while the disk keeps room for what makes room.
    is_wal: bool,
    /// Up to here a WAL has room.
    room: u64,
    /// Its path, which SQLite keeps until it is closed.
    name: ffi::sqlite3_filename,
    /// Whether it was opened to be read alone.
    is_read_only: bool,
    /// Whether its shared memory had no room on the disk.
    lacks_shared_memory: bool,
}

// Temporary files fit where unix's own do.
const _: () = assert!(temp_file::SIZE <= UNIX_FILE + size_of::<[*const (); 4]>());

/// Where unix's own file lies behind the beginning of ours.
const UNIX_FILE: usize = size_of::<ShimFile>().next_multiple_of(align_of::<u64>());

/// The name that connections are opened with.
pub(crate) const NAME: &CStr = c"dbforge";

/// Makes the layer known to SQLite under [`NAME`]. Where SQLite has no room for it, nothing can be
/// opened afterwards, and says so.
pub(crate) fn install() {
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(register);
}

thread_local! {
    /// Whether a connection had no shared memory, since this was asked last on this thread.
    static LACKED_SHARED_MEMORY: Cell<bool> = const { Cell::new(false) };
}

fn note_lack_of_shared_memory() {
    // A thread that ends has no statement any more.
    let _ = LACKED_SHARED_MEMORY.try_with(|lacked| lacked.set(true));
}

/// Whether the statement that ran on this thread had to do without shared memory, which a full disk
/// has no room for. Its connection does so for as long as it is open.
pub(crate) fn lacked_shared_memory() -> bool {
    LACKED_SHARED_MEMORY.take()
}

fn register() {
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
    let closed = ShimFile {
        // SQLite closes it only where this says that there is something to close.
        base: ffi::sqlite3_file {
            pMethods: std::ptr::null(),
        },
        is_wal: flags & ffi::SQLITE_OPEN_WAL != 0,
        room: 0,
        name,
        is_read_only: flags & ffi::SQLITE_OPEN_READONLY != 0,
        lacks_shared_memory: false,
    };
    // SAFETY: SQLite gave room for both files, and what lies there so far is not read.
    unsafe { shim.write(closed) };
    if name.is_null()
        && let Some(space) = temp_space::current()
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

/// A WAL that grows leaves room on the disk for what makes room: the log of a purge, above all.
///
/// # Safety
/// As SQLite calls it: with an open file, and `bytes` bytes at `from`.
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let end = u64::try_from(offset.saturating_add(bytes.into())).unwrap_or(0);
    // SAFETY: it is one of ours, which SQLite uses from one thread at a time.
    let shim = unsafe { &mut *file.cast::<ShimFile>() };
    if shim.is_wal && end > shim.room {
        let mut size = 0;
        // SAFETY: the place for the size is there.
        let sized = unsafe { forwarded::file_size(file, &raw mut size) };
        let size = u64::try_from(size).unwrap_or(0);
        if sized != ffi::SQLITE_OK || end > size {
            // SAFETY: a WAL has a name, which SQLite keeps as long as it is open.
            if !temp_space::wal_may_grow(unsafe { CStr::from_ptr(shim.name) }) {
                return ffi::SQLITE_FULL;
            }
            shim.room = end.saturating_add(temp_space::PIECE_BYTES);
        } else {
            shim.room = size;
        }
    }
    // SAFETY: handed on as it came.
    unsafe { forwarded::write(file, from, bytes, offset) }
}

/// What is cut off needs room anew.
///
/// # Safety
/// As SQLite calls it, with a file that is open.
unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, bytes: ffi::sqlite3_int64) -> c_int {
    // SAFETY: it is one of ours, which SQLite uses from one thread at a time.
    unsafe { (*file.cast::<ShimFile>()).room = 0 };
    // SAFETY: handed on as it came.
    unsafe { forwarded::truncate(file, bytes) }
}

/// Where a reader's shared memory has no room on the disk, SQLite is told that it cannot be
/// initialized, and keeps a copy of its own in memory, as it does where it may not write.
///
/// # Safety
/// As SQLite calls it, with a file that is open.
unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    at: *mut *mut c_void,
) -> c_int {
    // SAFETY: it is one of ours, which SQLite uses from one thread at a time.
    let shim = unsafe { &mut *file.cast::<ShimFile>() };
    if !shim.lacks_shared_memory {
        // SAFETY: handed on as it came.
        let result = unsafe { forwarded::shm_map(file, region, bytes, extend, at) };
        if !(shim.is_read_only && region == 0 && result == ffi::SQLITE_IOERR_SHMSIZE) {
            return result;
        }
        // For as long as it is open: SQLite would not expect another answer. This one has it begin
        // anew.
        shim.lacks_shared_memory = true;
        return ffi::SQLITE_BUSY;
    }
    note_lack_of_shared_memory();
    // SAFETY: SQLite gives a place for the address.
    unsafe { *at = std::ptr::null_mut() };
    ffi::SQLITE_READONLY_CANTINIT
}

/// The lock of those who read without a mark of their own, and the first of those with one.
const READ_LOCKS: [c_int; 2] = [3, 4];

/// A connection that reads without shared memory holds one lock, which keeps the WAL from being brought into
/// the file. Writers do not expect it to read the WAL, so it holds a second one, which keeps the WAL
/// from being begun anew.
///
/// # Safety
/// As SQLite calls it, with a file that is open.
unsafe extern "C" fn shm_lock(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    let [without_mark, with_mark] = READ_LOCKS;
    // SAFETY: it is one of ours.
    let lacks_shared_memory = unsafe { (*file.cast::<ShimFile>()).lacks_shared_memory };
    // SAFETY: handed on as it came.
    let result = unsafe { forwarded::shm_lock(file, offset, count, flags) };
    let is_shared = flags & ffi::SQLITE_SHM_SHARED != 0;
    let needs_both = lacks_shared_memory && is_shared && offset == without_mark && count == 1;
    if !needs_both || result != ffi::SQLITE_OK {
        return result;
    }
    // SAFETY: the same call for the next lock.
    let second = unsafe { forwarded::shm_lock(file, with_mark, 1, flags) };
    if second != ffi::SQLITE_OK && flags & ffi::SQLITE_SHM_LOCK != 0 {
        let unlock = ffi::SQLITE_SHM_UNLOCK | ffi::SQLITE_SHM_SHARED;
        // SAFETY: takes back what was locked a moment ago.
        unsafe { forwarded::shm_lock(file, without_mark, 1, unlock) };
    }
    second
}

/// The functions of a file that hand everything on to unix's own.
mod forwarded {
    use crate::engine::sqlite::sandbox::vfs::shim::{c_int, c_void, ffi, unix_file};
    type File = *mut ffi::sqlite3_file;
    type Int64 = ffi::sqlite3_int64;

    macro_rules! forward {
        ($($name:ident => $method:ident($($argument:ident: $kind:ty),*) -> $result:ty, else $missing:expr;)*) => {$(
            /// # Safety
            /// As SQLite calls it, with a file that is open.
            pub(crate) unsafe extern "C" fn $name(file: File, $($argument: $kind),*) -> $result {
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
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(forwarded::sync),
    xFileSize: Some(forwarded::file_size),
    xLock: Some(forwarded::lock),
    xUnlock: Some(forwarded::unlock),
    xCheckReservedLock: Some(forwarded::check_reserved_lock),
    xFileControl: Some(forwarded::file_control),
    xSectorSize: Some(forwarded::sector_size),
    xDeviceCharacteristics: Some(forwarded::device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
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
