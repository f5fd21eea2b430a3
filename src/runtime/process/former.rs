//! Ends what still holds the lock on a database's folder: a program whose gateway was killed, and
//! that did not end with it.
use crate::clock::Deadline;
use crate::runtime::StopSignal;
use rustix::fs::{FlockOperation, Mode, OFlags, Stat, flock, fstat, open, stat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// How often the lock is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// How long the kernel may take to remove a killed process, and those that it started.
const KILL_TIME: Duration = Duration::from_secs(5);
/// The longest number of a process, and a newline.
const LONGEST_NUMBER: u64 = 16;

/// Makes sure that no program of an earlier gateway holds `lock`: asks it to end, and kills it
/// after `grace`. Blocks.
///
/// # Errors
/// When another process holds it, one that was not started as a worker here.
pub(super) fn end(lock: &Path, signal: StopSignal, grace: Duration) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut file = match open(lock, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    if is_free_within(&file, Duration::ZERO)? {
        return Ok(());
    }
    let Some(holder) = holder(&mut file)? else {
        // Its first process is gone, or is not ours: what is left may end by itself.
        return match is_free_within(&file, KILL_TIME)? {
            true => Ok(()),
            false => Err(in_use()),
        };
    };
    for (signal, time) in [(as_signal(signal), grace), (Signal::KILL, KILL_TIME)] {
        match pidfd_send_signal(&holder, signal) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
        if is_free_within(&file, time)? {
            return Ok(());
        }
    }
    Err(in_use())
}

pub(super) fn as_signal(signal: StopSignal) -> Signal {
    match signal {
        StopSignal::Terminate => Signal::TERM,
        StopSignal::Interrupt => Signal::INT,
        StopSignal::Quit => Signal::QUIT,
    }
}

/// The process that is named in the lock's file, if it has that very file open: its number may be
/// another one's by now.
fn holder(file: &mut File) -> io::Result<Option<OwnedFd>> {
    let mut text = String::new();
    file.take(LONGEST_NUMBER).read_to_string(&mut text)?;
    let number = text.trim().parse().ok().and_then(Pid::from_raw);
    let Some(number) = number else {
        return Ok(None);
    };
    let Ok(process) = pidfd_open(number, PidfdFlags::empty()) else {
        return Ok(None);
    };
    let lock = fstat(&*file)?;
    let same = |other: Stat| (other.st_dev, other.st_ino) == (lock.st_dev, lock.st_ino);
    let Ok(open_files) = fs::read_dir(format!("/proc/{}/fd", number.as_raw_pid())) else {
        return Ok(None);
    };
    let mut open_files = open_files.filter_map(Result::ok);
    let has_it = open_files.any(|entry| stat(entry.path()).is_ok_and(same));
    Ok(has_it.then_some(process))
}

fn is_free_within(file: &File, time: Duration) -> io::Result<bool> {
    let deadline = Deadline::after(time);
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                flock(file, FlockOperation::Unlock)?;
                return Ok(true);
            }
            Err(Errno::WOULDBLOCK) if deadline.has_passed() => return Ok(false),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(LOOK_INTERVAL),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn in_use() -> io::Error {
    let kind = io::ErrorKind::ResourceBusy;
    io::Error::new(
        kind,
        "the database's folder is in use by a process that this gateway did not start; stop it",
    )
}
