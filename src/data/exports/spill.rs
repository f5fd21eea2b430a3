//! A pipe that never lets its writer wait for its reader: what is not read yet goes to a file.
//!
//! The file has no name, so nothing is left of it, whatever happens.
use super::bounds::disk_has;
use crate::engine::sql::QueryError;
use crate::locks::Mutex;
use bytes::Bytes;
use std::collections::VecDeque;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, OnceLock, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

/// Pieces that wait in memory, of up to 128 KiB each.
const MOST_PIECES: usize = 4;
/// Bytes that are read from the file at a time.
const READ_BYTES: u64 = 256 << 10;
/// Bytes that are written between two looks at the room on the disk.
const LOOK_BYTES: u64 = 16 << 20;
/// How often a writer that waits for its reader looks whether there is room on the disk again.
const LOOK: Duration = Duration::from_millis(200);

/// How large the file may get.
#[derive(Debug, Clone)]
pub(super) struct SpillBounds {
    pub(super) folder: PathBuf,
    pub(super) bytes: u64,
    pub(super) disk_reserve: u64,
}

/// The end that is written to. Blocks only where the disk has no room.
#[derive(Debug)]
pub(super) struct SpillWriter(Arc<Spill>);

/// The end that is read.
#[derive(Debug)]
pub(super) struct SpillReader(Arc<Spill>);

/// The reading end is gone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unread;

#[derive(Debug)]
struct Spill {
    inside: Mutex<Inside>,
    was_read: Condvar,
    bounds: SpillBounds,
    /// Made when it is needed; `None` where the disk refused.
    file: OnceLock<Option<File>>,
}

#[derive(Debug)]
struct Inside {
    /// Read before what is in the file.
    pieces: VecDeque<Bytes>,
    /// Bytes in the file, and how many of them were read.
    written: u64,
    read: u64,
    /// The file may have as many bytes before the disk is looked at again.
    looked_at: u64,
    end: Option<Result<(), QueryError>>,
    is_unread: bool,
    reader: Option<Waker>,
}

/// What a reader finds.
enum Found {
    Piece(Bytes),
    InFile { at: u64, bytes: u64 },
    End(Result<(), QueryError>),
}

pub(super) fn spill(bounds: SpillBounds) -> (SpillWriter, SpillReader) {
    let spill = Arc::new(Spill {
        inside: Mutex::new(Inside {
            pieces: VecDeque::new(),
            written: 0,
            read: 0,
            looked_at: 0,
            end: None,
            is_unread: false,
            reader: None,
        }),
        was_read: Condvar::new(),
        bounds,
        file: OnceLock::new(),
    });
    (SpillWriter(Arc::clone(&spill)), SpillReader(spill))
}

impl SpillWriter {
    /// Takes a piece. Blocks.
    pub(super) fn put(&self, piece: Bytes) -> Result<(), Unread> {
        let spill = &*self.0;
        let mut inside = spill.inside.lock();
        loop {
            if inside.is_unread {
                return Err(Unread);
            }
            if inside.read == inside.written {
                // Only the writer empties the file: it alone knows that nothing is being written.
                spill.empty(&mut inside);
                if inside.pieces.len() < MOST_PIECES {
                    inside.pieces.push_back(piece);
                    inside.wake();
                    return Ok(());
                }
            }
            let at = inside.written;
            if let Some(file) = spill.file_with_room(&mut inside, piece.len() as u64) {
                drop(inside);
                let written = file.write_all_at(&piece, at);
                inside = spill.inside.lock();
                if written.is_ok() {
                    inside.written += piece.len() as u64;
                    inside.wake();
                    return Ok(());
                }
                // A full disk: the reader has to take something first.
            }
            let waited = spill.was_read.wait_timeout(inside, LOOK);
            inside = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends what was put in.
    pub(super) fn end(self, end: Result<(), QueryError>) {
        self.0.close(end);
    }
}

impl Drop for SpillWriter {
    fn drop(&mut self) {
        self.0.close(Err(QueryError::Broken {
            reason: "the thread of this export ended".to_owned(),
        }));
    }
}

impl SpillReader {
    /// The next piece; `None` behind the last.
    ///
    /// # Errors
    /// Why it ends here.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, QueryError>> {
        let found = poll_fn(|context| {
            let mut inside = self.0.inside.lock();
            if let Some(found) = inside.next() {
                return Poll::Ready(found);
            }
            inside.reader = Some(context.waker().clone());
            Poll::Pending
        });
        match found.await {
            Found::Piece(piece) => {
                self.0.was_read.notify_one();
                Some(Ok(piece))
            }
            Found::InFile { at, bytes } => {
                let spill = Arc::clone(&self.0);
                let read = tokio::task::spawn_blocking(move || spill.read(at, bytes)).await;
                let read = read.unwrap_or_else(|error| Err(io::Error::other(error)));
                Some(read.map_err(|error| QueryError::Broken {
                    reason: format!("the export could not be read back: {error}"),
                }))
            }
            Found::End(end) => end.err().map(Err),
        }
    }
}

impl Drop for SpillReader {
    fn drop(&mut self) {
        self.0.inside.lock().is_unread = true;
        self.0.was_read.notify_one();
    }
}

impl Inside {
    fn next(&mut self) -> Option<Found> {
        if let Some(piece) = self.pieces.pop_front() {
            return Some(Found::Piece(piece));
        }
        if self.read < self.written {
            let bytes = (self.written - self.read).min(READ_BYTES);
            return Some(Found::InFile {
                at: self.read,
                bytes,
            });
        }
        // Asked once more behind the end, it is the end still.
        self.end.clone().map(Found::End)
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

impl Spill {
    fn close(&self, end: Result<(), QueryError>) {
        let mut inside = self.inside.lock();
        inside.end.get_or_insert(end);
        inside.wake();
    }

    fn empty(&self, inside: &mut Inside) {
        if inside.written > 0
            && let Some(Some(file)) = self.file.get()
            && file.set_len(0).is_ok()
        {
            (inside.written, inside.read, inside.looked_at) = (0, 0, 0);
        }
    }

    /// The file, if it may have so many more bytes.
    fn file_with_room(&self, inside: &mut Inside, more: u64) -> Option<&File> {
        let bytes = inside.written + more;
        if bytes > self.bounds.bytes {
            return None;
        }
        if bytes > inside.looked_at {
            let SpillBounds {
                folder,
                disk_reserve,
                ..
            } = &self.bounds;
            if !disk_has(folder, more + LOOK_BYTES, *disk_reserve) {
                return None;
            }
            inside.looked_at = bytes + LOOK_BYTES;
        }
        let file = self.file.get_or_init(|| {
            let made = nameless_file(&self.bounds.folder);
            made.inspect_err(|error| tracing::warn!(%error, "an export has no file to wait in"))
                .ok()
        });
        file.as_ref()
    }

    fn read(&self, at: u64, bytes: u64) -> io::Result<Bytes> {
        let file = self.file.get().and_then(Option::as_ref);
        let file = file.ok_or_else(|| io::Error::other("there is no file"))?;
        let mut piece = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        file.read_exact_at(&mut piece, at)?;
        self.inside.lock().read += bytes;
        self.was_read.notify_one();
        Ok(piece.into())
    }
}

/// A file that is gone with its last handle.
fn nameless_file(folder: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(file.into()),
        // A file system without nameless files.
        Err(_) => {
            let path = folder.join(format!("spill-{}", uuid::Uuid::new_v4()));
            let file = File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)?;
            std::fs::remove_file(&path)?;
            Ok(file)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(folder: &Path, bytes: u64) -> SpillBounds {
        SpillBounds {
            folder: folder.to_owned(),
            bytes,
            disk_reserve: 0,
        }
    }

    fn piece(number: u32) -> Bytes {
        number.to_be_bytes().repeat(25_000).into()
    }

    async fn all(reader: &mut SpillReader) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(piece) = reader.next().await {
            all.extend_from_slice(&piece.unwrap());
        }
        all
    }

    #[tokio::test]
    async fn what_is_not_read_waits_in_the_file_and_comes_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, mut reader) = spill(bounds(folder.path(), 1 << 30));
        // Written before anything is read: the writer does not wait.
        for number in 0..100 {
            writer.put(piece(number)).unwrap();
        }
        let first = reader.next().await.unwrap().unwrap();
        assert_eq!(first, piece(0));
        for number in 100..200 {
            writer.put(piece(number)).unwrap();
        }
        writer.end(Ok(()));
        let rest: Vec<u8> = (1..200).flat_map(|number| piece(number).to_vec()).collect();
        assert!(all(&mut reader).await == rest);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_writer_waits_where_the_file_may_not_grow_and_goes_on_once_it_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, mut reader) = spill(bounds(folder.path(), 300_000));
        let writes = std::thread::spawn(move || {
            for number in 0..500 {
                writer.put(piece(number)).unwrap();
            }
            writer.end(Ok(()));
        });
        let sent: Vec<u8> = (0..500).flat_map(|number| piece(number).to_vec()).collect();
        assert!(all(&mut reader).await == sent);
        writes.join().unwrap();
    }

    #[tokio::test]
    async fn a_writer_learns_that_the_reader_has_gone_and_a_reader_why_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = spill(bounds(folder.path(), 0));
        let waits = std::thread::spawn(move || {
            while writer.put(piece(1)).is_ok() {}
            writer.put(piece(1))
        });
        drop(reader);
        assert_eq!(waits.join().unwrap(), Err(Unread));

        let (writer, mut reader) = spill(bounds(folder.path(), 0));
        writer.put(piece(1)).unwrap();
        drop(writer);
        assert!(reader.next().await.unwrap().is_ok());
        assert!(reader.next().await.unwrap().is_err(), "it broke off");
    }
}
