//! A temporary file as SQLite sees it.
#![expect(
    unsafe_code,
    reason = "a file of SQLite's is a table of C functions; each says why it is sound"
)]
use super::temp_space::{TempFile, TempSpace};
use crate::engine::sqlite::sandbox::watch::Reading;
use rusqlite::ffi;
use rustix::io::Errno;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// What a read says that was not made because the statement's time is over: an I/O error, which
/// SQLite undoes like any other, under a number that SQLite does not use.
pub(crate) const READ_INTERRUPTED: c_int = ffi::SQLITE_IOERR | (0xdb << 8);

/// Ours behind what SQLite sees.
#[repr(C)]
struct Opened {
    base: ffi::sqlite3_file,
    /// Belongs to this file until it is closed.
    file: *mut TempFile,
}

/// What `file` must have room for.
pub(crate) const SIZE: usize = size_of::<Opened>();

/// Opens a temporary file of `space`.
///
/// # Safety
/// `file` has room for [`SIZE`] bytes.
pub(crate) unsafe fn open(file: *mut ffi::sqlite3_file, space: Arc<TempSpace>) -> c_int {
    let opened = match TempFile::create(space) {
        Ok(opened) => Box::into_raw(Box::new(opened)),
        Err(error) => return code_of(&error, ffi::SQLITE_CANTOPEN),
    };
    let base = ffi::sqlite3_file {
        pMethods: &raw const METHODS,
    };
    // SAFETY: as said above; what lies there so far is not read.
    unsafe { file.cast::<Opened>().write(Opened { base, file: opened }) };
    ffi::SQLITE_OK
}

/// The file that was opened.
///
/// # Safety
/// `file` was opened by [`open`] and is not closed, and no other reference to it is alive. SQLite
/// uses a file from one thread at a time.
unsafe fn opened<'f>(file: *mut ffi::sqlite3_file) -> &'f mut TempFile {
    // SAFETY: as said above.
    unsafe { &mut *(*file.cast::<Opened>()).file }
}

fn code_of(error: &io::Error, else_code: c_int) -> c_int {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => ffi::SQLITE_FULL,
        _ => else_code,
    }
}

/// # Safety
/// This and those that follow are called as SQLite calls them, with a file that is open.
unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: it was boxed when it was opened, and SQLite closes it once.
    drop(unsafe { Box::from_raw((*file.cast::<Opened>()).file) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let Some(_reading) = Reading::begin() else {
        return READ_INTERRUPTED;
    };
    let (Ok(bytes), Ok(mut offset)) = (usize::try_from(bytes), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite gives room for that many bytes, and nothing else refers to it meanwhile. They
    // may not have been written yet, so they are before they are lent out.
    let (file, mut rest) = unsafe {
        to.cast::<u8>().write_bytes(0, bytes);
        (
            opened(file),
            std::slice::from_raw_parts_mut(to.cast::<u8>(), bytes),
        )
    };
    while !rest.is_empty() {
        match file.file.read_at(rest, offset) {
            // What lies behind the end reads as zeroes.
            Ok(0) => return ffi::SQLITE_IOERR_SHORT_READ,
            Ok(read) => {
                rest = &mut rest[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return ffi::SQLITE_IOERR_READ,
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    bytes: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (Ok(bytes), Ok(offset)) = (usize::try_from(bytes), u64::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite gives that many bytes, which nothing changes meanwhile.
    let (file, from) = unsafe {
        (
            opened(file),
            std::slice::from_raw_parts(from.cast::<u8>(), bytes),
        )
    };
    if !file.may_reach(offset + bytes as u64) {
        return ffi::SQLITE_FULL;
    }
    match file.file.write_all_at(from, offset) {
        Ok(()) => ffi::SQLITE_OK,
        Err(error) => code_of(&error, ffi::SQLITE_IOERR_WRITE),
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, bytes: ffi::sqlite3_int64) -> c_int {
    // SAFETY: as said of `opened`.
    let file = unsafe { opened(file) };
    let end = u64::try_from(bytes).unwrap_or(0);
    if file.file.set_len(end).is_err() {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    file.was_cut_to(end);
    ffi::SQLITE_OK
}

/// It need not outlive the process.
unsafe extern "C" fn sync(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    bytes: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: as said of `opened`.
    let Ok(metadata) = (unsafe { opened(file) }).file.metadata() else {
        return ffi::SQLITE_IOERR_FSTAT;
    };
    // SAFETY: SQLite gives a place for the number.
    unsafe { *bytes = i64::try_from(metadata.len()).unwrap_or(i64::MAX) };
    ffi::SQLITE_OK
}

/// No other handle has it.
unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(_: *mut ffi::sqlite3_file, is_taken: *mut c_int) -> c_int {
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *is_taken = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

/// What SQLite takes where a file has no opinion.
unsafe extern "C" fn no_opinion(_: *mut ffi::sqlite3_file) -> c_int {
    0
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(no_opinion),
    xDeviceCharacteristics: Some(no_opinion),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};
