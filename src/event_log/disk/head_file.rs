//! The file `HEAD`: a high-water mark of the log.
//!
//! One line, `<sequence> <hash> <time ms> <crc32c of what is before>`. It is replaced as a whole
//! and never decides anything but that events are missing.
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::Head;
use crate::domain::ids::Sequence;
use crate::whole_file;
use std::fs;
use std::io;
use std::path::Path;

const NAME: &str = "HEAD";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HighWaterMark {
    Missing,
    /// It cannot be read, or is not what was written: why.
    Damaged(String),
    /// The log reached this event.
    Reached(Head),
}

/// Reads the file in `folder`.
pub(super) fn read(folder: &Path) -> HighWaterMark {
    match fs::read_to_string(folder.join(NAME)) {
        Ok(line) => parse(&line).map_or_else(
            || HighWaterMark::Damaged("its checksum does not match".to_owned()),
            HighWaterMark::Reached,
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => HighWaterMark::Missing,
        Err(error) => HighWaterMark::Damaged(error.to_string()),
    }
}

/// Replaces the file in `folder`: power loss leaves the old one or the new one.
///
/// # Errors
/// When the disk does not take it.
pub(super) fn write(folder: &Path, head: &Head) -> io::Result<()> {
    let text = format!(
        "{} {} {}",
        head.sequence,
        hex::encode(head.hash),
        head.time.millis()
    );
    let crc = crc32c::crc32c(text.as_bytes());
    let line = format!("{text} {crc:08x}\n");
    whole_file::replace(&folder.join(NAME), line.as_bytes())
}

fn parse(line: &str) -> Option<Head> {
    let (text, crc) = line.strip_suffix('\n')?.rsplit_once(' ')?;
    if crc != format!("{:08x}", crc32c::crc32c(text.as_bytes())) {
        return None;
    }
    let mut words = text.split(' ');
    let sequence = words.next()?.parse().ok()?;
    let mut hash = [0; 32];
    hex::decode_to_slice(words.next()?, &mut hash).ok()?;
    let time = words.next()?.parse().ok()?;
    Some(Head {
        sequence: Sequence(sequence),
        hash,
        time: Timestamp::from_millis(time),
    })
}
