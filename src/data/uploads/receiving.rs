//! An upload while it arrives: its bytes go to the disk on a thread of their own.
use super::store::{Known, RECEIVING, Upload, UploadError, Uploads, absent_is_fine, describe};
use crate::clock::timestamp::Timestamp;
use crate::domain::ids::{Actor, TokenId, UploadId};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Pieces that wait for the disk, of some 16 to 64 KiB each.
const WAITING_PIECES: usize = 16;
/// Bytes between two looks at the room on the disk.
const LOOK_BYTES: u64 = 4 << 20;

enum Piece {
    Bytes(Bytes),
    /// All of them have come.
    End,
}

/// An upload that is being received. Dropped before [`Self::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Receiving {
    uploads: Uploads,
    id: UploadId,
    bytes: u64,
    pieces: mpsc::Sender<Piece>,
    writer: JoinHandle<Result<String, UploadError>>,
}

/// What is said of an upload beside its bytes.
#[derive(Debug)]
pub struct UploadSender {
    /// The token that sends it; none for root.
    pub token: Option<TokenId>,
    pub actor: Actor,
    pub content_type: Option<String>,
    pub is_of_a_call: bool,
}

impl Uploads {
    /// Begins to receive an upload of `announced` bytes, where that is known.
    ///
    /// # Errors
    /// When it is too large, there are too many, or the disk refuses.
    pub fn receive(
        &self,
        id: UploadId,
        token: Option<TokenId>,
        announced: Option<u64>,
    ) -> Result<Receiving, UploadError> {
        let bounds = &self.0.bounds;
        if announced.is_some_and(|bytes| bytes > bounds.upload_bytes) {
            return Err(UploadError::TooLarge {
                limit: bounds.upload_bytes,
            });
        }
        check_room(
            &self.0.folder,
            announced.unwrap_or(0),
            bounds.upload_disk_reserve,
        )?;
        self.take_place(id, token)?;
        let file = self.0.folder.join(format!("{RECEIVING}{id}"));
        let (pieces, waiting) = mpsc::channel(WAITING_PIECES);
        let writer = Writer {
            folder: self.0.folder.clone(),
            file,
            owner: self.0.owner,
            disk_reserve: bounds.upload_disk_reserve,
        };
        Ok(Receiving {
            uploads: self.clone(),
            id,
            bytes: 0,
            pieces,
            writer: tokio::task::spawn_blocking(move || writer.run(waiting)),
        })
    }

    fn take_place(&self, id: UploadId, token: Option<TokenId>) -> Result<(), UploadError> {
        let bounds = &self.0.bounds;
        let mut known = self.0.known.lock();
        let Known {
            whole, receiving, ..
        } = &mut *known;
        if whole.len() + receiving.len() >= bounds.uploads_stored {
            return Err(UploadError::TooMany {
                most: bounds.uploads_stored,
            });
        }
        let own = whole.values().filter(|it| it.token == token).count()
            + receiving.values().filter(|it| **it == token).count();
        if own >= bounds.uploads_of_one {
            return Err(UploadError::ShareTaken {
                most: bounds.uploads_of_one,
            });
        }
        receiving.insert(id, token);
        Ok(())
    }
}

impl Receiving {
    /// Takes the next piece. Waits while the disk is behind.
    ///
    /// # Errors
    /// When the upload is too large by now, or the disk has refused.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), UploadError> {
        let limit = self.uploads.0.bounds.upload_bytes;
        self.bytes += piece.len() as u64;
        if self.bytes > limit {
            return Err(UploadError::TooLarge { limit });
        }
        match self.pieces.send(Piece::Bytes(piece)).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_it_ended().await),
        }
    }

    /// Makes a whole upload of it, on the disk for good.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn finish(
        mut self,
        sender: UploadSender,
        now: Timestamp,
    ) -> Result<Arc<Upload>, UploadError> {
        if self.pieces.send(Piece::End).await.is_err() {
            return Err(self.why_it_ended().await);
        }
        let sha256 = (&mut self.writer).await.map_err(interrupted)??;
        let UploadSender {
            token,
            actor,
            content_type,
            is_of_a_call,
        } = sender;
        let upload = Arc::new(Upload {
            id: self.id,
            token,
            actor,
            content_type,
            bytes: self.bytes,
            sha256,
            is_of_a_call,
            created_at: now,
            expires_at: now.after(self.uploads.0.bounds.upload_retention),
        });
        let (uploads, stored) = (self.uploads.clone(), upload.clone());
        let described =
            tokio::task::spawn_blocking(move || describe(&uploads.0.folder, &stored)).await;
        described
            .map_err(interrupted)?
            .map_err(|source| UploadError::of("store the upload", source))?;
        let mut known = self.uploads.0.known.lock();
        known.whole.insert(self.id, upload.clone());
        Ok(upload)
    }

    async fn why_it_ended(&mut self) -> UploadError {
        match (&mut self.writer).await {
            Ok(Err(error)) => error,
            Ok(Ok(_)) => interrupted("the writer ended early"),
            Err(error) => interrupted(error),
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // The writer removes its file when no more pieces come.
        self.uploads.0.known.lock().receiving.remove(&self.id);
    }
}

fn interrupted(error: impl ToString) -> UploadError {
    UploadError::Io {
        action: "store the upload",
        source: io::Error::other(error.to_string()),
    }
}

struct Writer {
    folder: PathBuf,
    file: PathBuf,
    owner: Option<(u32, u32)>,
    disk_reserve: u64,
}

impl Writer {
    /// Writes pieces until the end; returns the SHA-256 of all. An upload that breaks off leaves
    /// nothing.
    fn run(self, pieces: mpsc::Receiver<Piece>) -> Result<String, UploadError> {
        let written = self.write(pieces);
        let left = match &written {
            Ok(Some(_)) => Ok(()),
            Ok(None) | Err(_) => absent_is_fine(fs::remove_file(&self.file)),
        };
        if let Err(error) = left {
            tracing::warn!(%error, "failed to remove an upload that was not received whole");
        }
        written?.ok_or_else(|| interrupted("the client went away"))
    }

    fn write(&self, mut pieces: mpsc::Receiver<Piece>) -> Result<Option<String>, UploadError> {
        let failed = |source| UploadError::of("store the upload", source);
        let mut file = self.create().map_err(failed)?;
        let mut hash = Sha256::new();
        let mut since_look = 0;
        while let Some(piece) = pieces.blocking_recv() {
            let Piece::Bytes(bytes) = piece else {
                file.sync_all().map_err(failed)?;
                return Ok(Some(hex::encode(hash.finalize())));
            };
            since_look += bytes.len() as u64;
            if since_look >= LOOK_BYTES {
                check_room(&self.folder, since_look, self.disk_reserve)?;
                since_look = 0;
            }
            hash.update(&bytes);
            file.write_all(&bytes).map_err(failed)?;
        }
        Ok(None)
    }

    fn create(&self) -> io::Result<File> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)?;
        if let Some((user, group)) = self.owner {
            chown(&self.file, Some(user), Some(group))?;
        }
        Ok(file)
    }
}

/// Whether the disk has room for as many bytes, and the reserve behind them.
fn check_room(folder: &Path, bytes: u64, reserve: u64) -> Result<(), UploadError> {
    // A file system that does not tell says itself when it is full.
    let has_room = rustix::fs::statvfs(folder).map_or(true, |disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes.saturating_add(reserve)
    });
    has_room.then_some(()).ok_or(UploadError::DiskFull)
}
