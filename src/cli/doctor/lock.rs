//! The holder of the data folder's lock, read from the kernel's list: trying the lock could make a
//! gateway fail that starts at this moment.
use super::finding::Finding;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const LOCKS: &str = "/proc/locks";

pub(super) fn look(forge_dir: &Path) -> Finding {
    let Ok(lock) = fs::metadata(forge_dir.join("lock")) else {
        return Finding::ok("lock", "no gateway has opened the data folder yet");
    };
    let locks = match fs::read_to_string(LOCKS) {
        Ok(locks) => locks,
        Err(error) => {
            let seen = format!("unknown: {LOCKS}: {error}");
            return Finding::warn(
                "lock",
                seen,
                "run `dbforge health` to see whether a gateway is running",
            );
        }
    };
    match holder(&locks, lock.ino()) {
        None => Finding::ok("lock", "no gateway is running"),
        Some(0) => Finding::ok("lock", "held by a gateway in another container"),
        Some(pid) => {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = match name.trim() {
                "" => "a program",
                name => name,
            };
            Finding::ok("lock", format!("held by {name}, process {pid}"))
        }
    }
}

/// The gateway that runs on a data folder: its process, 0 where that is in another process namespace.
pub(in crate::cli) fn gateway_process(forge_dir: &Path) -> Option<u32> {
    let lock = fs::metadata(forge_dir.join("lock")).ok()?;
    holder(&fs::read_to_string(LOCKS).ok()?, lock.ino())
}

/// The process that holds an flock on a file; 0 where it is in another process namespace.
///
/// A line reads `1: FLOCK ADVISORY WRITE 1234 08:01:131090 0 EOF`. Files are told apart by inode
/// alone: the device that the kernel writes there is not the one that `stat` gives on some file
/// systems.
fn holder(locks: &str, inode: u64) -> Option<u32> {
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, file, ..] = fields.as_slice() else {
            return None;
        };
        let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
        is_it.then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 77 fe:00:42 0 EOF
2: FLOCK  ADVISORY  WRITE 1234 fe:00:42 0 EOF
2: -> FLOCK  ADVISORY  WRITE 99 fe:00:43 0 EOF
3: FLOCK  ADVISORY  WRITE 5 00:1a:7 0 EOF
";

    #[test]
    fn the_holder_of_a_lock_is_found_by_the_file() {
        assert_eq!(holder(LOCKS, 42), Some(1234));
        assert_eq!(holder(LOCKS, 7), Some(5));
        assert_eq!(holder(LOCKS, 43), None, "one who waits is no holder");
        assert_eq!(holder("", 42), None);
    }
}
