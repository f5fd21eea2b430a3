//! Writing a damaged copy again from what verifies.
//!
//! A new journal is written beside the damaged one and synced before the two change places, so
//! that a crash in between leaves one of them whole. The damaged one is never deleted.
use super::inspection::Places;
use super::salvage::SalvagedLog;
use super::verified_log::DISTRUSTED;
use crate::event_log::journal::segment::{self, Location};
use crate::event_log::journal::writer::JournalWriter;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Bytes per write while a journal is written again: few syncs, and little memory.
const BYTES_PER_WRITE: usize = 1 << 20;

/// Ends an exchange of journals that a crash interrupted.
///
/// # Errors
/// When a folder cannot be renamed or removed.
pub(super) fn finish_exchange(places: &Places) -> io::Result<()> {
    let new = new_journal(places);
    if !new.exists() {
        return Ok(());
    }
    if places.journal.exists() {
        // It was not whole yet, or not in use: it is written again if it is needed.
        return fs::remove_dir_all(new);
    }
    fs::rename(new, &places.journal)?;
    segment::sync_folder(&places.folder)
}

/// Replaces the journal by one that holds the salvaged history; returns where the damaged one
/// lies now, if there was one.
///
/// # Errors
/// When a commit cannot be read or the disk does not take it; the damaged journal is in its
/// place then.
pub(super) fn rewrite_journal(
    places: &Places,
    segment_bytes: u64,
    salvaged: &SalvagedLog,
) -> io::Result<Option<PathBuf>> {
    let new = new_journal(places);
    if new.exists() {
        fs::remove_dir_all(&new)?;
    }
    segment::make_folder(&new)?;
    if let Ok(damaged) = fs::metadata(&places.journal) {
        fs::set_permissions(&new, damaged.permissions())?;
    }
    let start = Location {
        segment: 1,
        offset: 0,
    };
    let mut writer = JournalWriter::open(&new, segment_bytes, start)?;
    let bytes_per_write = BYTES_PER_WRITE.min(usize::try_from(segment_bytes).unwrap_or(usize::MAX));
    let mut group: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    for body in salvaged.bodies() {
        let body = body.map_err(io::Error::other)?;
        if bytes + body.len() > bytes_per_write {
            append(&mut writer, &group)?;
            group.clear();
            bytes = 0;
        }
        bytes += body.len();
        group.push(body);
    }
    append(&mut writer, &group)?;
    // Else power loss could keep the damaged journal's new name and not that of the new one.
    segment::sync_folder(&places.folder)?;
    let aside = if places.journal.exists() {
        let aside = free_name(&places.folder, "journal.damaged");
        fs::rename(&places.journal, &aside)?;
        Some(aside)
    } else {
        None
    };
    fs::rename(&new, &places.journal)?;
    segment::sync_folder(&places.folder)?;
    Ok(aside)
}

/// Moves the index out of the way, so that it is made again; returns where it lies now. The one
/// that lay there is removed: an index holds nothing that the journal does not.
///
/// # Errors
/// When the folder cannot be moved.
pub(super) fn move_index_aside(places: &Places) -> io::Result<PathBuf> {
    let aside = places.folder.join("events.sled.damaged");
    if places.index.exists() {
        if aside.exists() {
            fs::remove_dir_all(&aside)?;
        }
        fs::rename(&places.index, &aside)?;
    }
    let mark = places.folder.join(DISTRUSTED);
    if mark.exists() {
        fs::remove_file(mark)?;
    }
    segment::sync_folder(&places.folder)?;
    Ok(aside)
}

fn append(writer: &mut JournalWriter, group: &[Vec<u8>]) -> io::Result<()> {
    if group.is_empty() {
        return Ok(());
    }
    writer
        .append(group.iter().map(Vec::as_slice))
        .map(|_| ())
        .map_err(io::Error::other)
}

fn new_journal(places: &Places) -> PathBuf {
    places.folder.join("journal.new")
}

/// `<stem>-1`, `<stem>-2` …: the first that nothing lies under.
fn free_name(folder: &Path, stem: &str) -> PathBuf {
    (1_u64..)
        .map(|n| folder.join(format!("{stem}-{n}")))
        .find(|it| !it.exists())
        .expect("one of endlessly many names is free")
}
