//! What a child writes to its standard output and error, in a file that does not grow without
//! bounds.
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;

/// The most bytes of the file; then it becomes the one before, which is replaced.
pub(super) const LOG_BYTES: u64 = 1 << 20;
/// Read at once.
const PIECE: usize = 16 << 10;
/// The pause after a full piece: a child that writes more than 1.6 MB a second waits.
const PAUSE: Duration = Duration::from_millis(10);

/// Copies `output` to the log until it ends. What cannot be written is dropped: no child stands
/// still for a full disk.
pub(super) async fn keep(mut output: pipe::Receiver, log: PathBuf) {
    let mut piece = vec![0; PIECE];
    let mut file = None;
    while let Ok(read @ 1..) = output.read(&mut piece).await {
        let bytes = &piece[..read];
        if write(&mut file, &log, bytes).await.is_err() {
            file = None;
        }
        if read == PIECE {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn write(open: &mut Option<(File, u64)>, log: &Path, bytes: &[u8]) -> io::Result<()> {
    let full = open.as_ref().is_some_and(|(_, size)| *size >= LOG_BYTES);
    if full {
        *open = None;
        fs::rename(log, earlier(log)).await?;
    }
    let (file, size) = match open {
        Some(open) => open,
        None => {
            let mut options = OpenOptions::new();
            let options = options.append(true).create(true).mode(0o600);
            let file = options.open(log).await?;
            let size = file.metadata().await?.len();
            open.insert((file, size))
        }
    };
    file.write_all(bytes).await?;
    file.flush().await?;
    *size += bytes.len() as u64;
    Ok(())
}

/// The file before the present one.
pub(super) fn earlier(log: &Path) -> PathBuf {
    log.with_extension("log.1")
}

/// Removes both.
pub(super) async fn remove(log: &Path) {
    for file in [log.to_owned(), earlier(log)] {
        // It is no error that there is none, and one that stays is bounded.
        let _ = fs::remove_file(file).await;
    }
}
