//! Where checkpoints are kept: `.forge/audit/checkpoints.jsonl`, one a line, beside their key.
use super::{Checkpoint, KeyError, PublicKey, SigningKey};
use crate::clock::timestamp::Timestamp;
use crate::domain::event::recorded::Head;
use crate::locks::Mutex;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// The file in its folder.
const FILE: &str = "checkpoints.jsonl";

/// More bytes than any line has.
const LONGEST_LINE: u64 = 1024;

/// The checkpoints of one log. Every call blocks.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// Held while a line is added.
    adding: Mutex<()>,
}

/// Why checkpoints cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The disk refused.
    #[error("the checkpoints cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A line is not a checkpoint.
    #[error("line {line} is not a checkpoint")]
    NoCheckpoint {
        /// Its number, from 1.
        line: u64,
    },
}

impl Checkpoints {
    /// Those in this folder, which is made with the first one.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self {
            folder,
            adding: Mutex::new(()),
        }
    }

    /// All of them, the oldest first; none where none was signed yet.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is none.
    pub fn all(&self) -> Result<Vec<Checkpoint>, FileError> {
        match File::open(self.folder.join(FILE)) {
            Ok(file) => read_lines(BufReader::new(file)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }

    /// The last one, if one can be read at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last(&self) -> io::Result<Option<Checkpoint>> {
        match File::open(self.folder.join(FILE)) {
            Ok(mut file) => Ok(Ending::of(&mut file)?.last),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Signs `head` and keeps it, unless that was the last thing that was signed. When it returns,
    /// the checkpoint survives power loss.
    ///
    /// # Errors
    /// When there is no key, or the disk refuses.
    pub fn add(&self, head: Head, time: Timestamp) -> Result<Checkpoint, KeyError> {
        let _adding = self.adding.lock();
        let key = self.ensure_key()?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.folder.join(FILE))?;
        let ending = Ending::of(&mut file)?;
        let signed_now = Checkpoint::sign(head, time, &key);
        if let Some(last) = ending.last {
            let is_same = (last.sequence, &last.hash) == (head.sequence, &signed_now.hash)
                && last.verify(&[key.public()]).is_ok();
            if is_same {
                return Ok(last);
            }
        }
        // A line that a crash cut off is ignored.
        file.set_len(ending.whole_bytes)?;
        file.seek(SeekFrom::Start(ending.whole_bytes))?;
        let line = serde_json::to_string(&signed_now).map_err(io::Error::from)?;
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()?;
        File::open(&self.folder)?.sync_all()?;
        Ok(signed_now)
    }

    /// The public half of the key, which is made where there is none.
    ///
    /// # Errors
    /// When it can neither be read nor made.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        let _adding = self.adding.lock();
        Ok(self.ensure_key()?.public())
    }

    /// The public half of the key; none where no key was made yet.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept_key(&self) -> Result<Option<PublicKey>, KeyError> {
        Ok(SigningKey::kept_in(&self.folder)?.map(|it| it.public()))
    }

    fn ensure_key(&self) -> Result<SigningKey, KeyError> {
        if let Some(kept) = SigningKey::kept_in(&self.folder)? {
            return Ok(kept);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let key = SigningKey::fresh()?;
        key.keep_in(&self.folder)?;
        if let Some(above) = self.folder.parent() {
            File::open(above)?.sync_all()?;
        }
        tracing::info!(key.id = %key.public().id(), "created a key for signing checkpoints");
        Ok(key)
    }
}

/// Reads checkpoints from lines of text. Ignores an unfinished line at the end.
pub fn read_lines(reader: impl BufRead) -> impl Iterator<Item = Result<Checkpoint, FileError>> {
    let mut lines = Lines { reader, line: 0 };
    std::iter::from_fn(move || lines.next().transpose())
}

/// Lines of a bounded length.
#[derive(Debug)]
struct Lines<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Result<Option<Checkpoint>, FileError> {
        self.line += 1;
        let mut text = Vec::new();
        (&mut self.reader)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut text)?;
        if !text.ends_with(b"\n") && (text.len() as u64) < LONGEST_LINE {
            return Ok(None);
        }
        let line = self.line;
        let checkpoint = serde_json::from_slice(&text);
        checkpoint
            .map(Some)
            .map_err(|_| FileError::NoCheckpoint { line })
    }
}

/// The end of the file.
struct Ending {
    /// Its last whole line, where that is a checkpoint.
    last: Option<Checkpoint>,
    /// Where that line ends.
    whole_bytes: u64,
}

impl Ending {
    fn of(file: &mut File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        let from = bytes.saturating_sub(2 * LONGEST_LINE);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(2 * LONGEST_LINE).read_to_end(&mut tail)?;
        let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Self {
                last: None,
                whole_bytes: from,
            });
        };
        let begin = tail[..end].iter().rposition(|byte| *byte == b'\n');
        let line = &tail[begin.map_or(0, |at| at + 1)..end];
        Ok(Self {
            last: serde_json::from_slice(line).ok(),
            whole_bytes: from + end as u64 + 1,
        })
    }
}
