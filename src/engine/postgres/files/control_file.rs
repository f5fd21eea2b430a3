//! What `pg_control` says of a cluster, read without a server.
//!
//! The fields that are read have had their places since PostgreSQL 12; the versions of the file
//! that this holds for are named below.
use crate::engine::DataFileError;
use std::fs::File;
use std::io::Read as _;
use std::ops::RangeInclusive;
use std::path::Path;

/// Versions of the file: 1300 is PostgreSQL 13 to 16, 1700 is 17, 1800 is 18.
const VERSIONS: RangeInclusive<u32> = 1300..=1899;
/// `DBState` of a cluster that was shut down.
const SHUT_DOWN: u32 = 1;

const VERSION_AT: usize = 8;
const STATE_AT: usize = 16;
const NEXT_XID_AT: usize = 64;
/// Bytes of it that are read.
const READ_BYTES: usize = 72;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ControlFile {
    /// Whether the server was shut down properly.
    pub(super) is_shut_down: bool,
    /// The transaction that would write next: each one that wrote something took one.
    pub(super) next_xid: u64,
}

impl ControlFile {
    pub(super) fn read(file: &Path) -> Result<Self, DataFileError> {
        let mut bytes = [0; READ_BYTES];
        File::open(file)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|error| DataFileError::of_io("read the control file", &error))?;
        Self::of(&bytes).ok_or_else(|| DataFileError::NotADatabase {
            reason: "its control file is not PostgreSQL's".to_owned(),
        })
    }

    fn of(bytes: &[u8; READ_BYTES]) -> Option<Self> {
        let four = |at: usize| {
            let four = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_ne_bytes(four))
        };
        let eight = |at: usize| {
            let eight = bytes.get(at..at + 8)?.try_into().ok()?;
            Some(u64::from_ne_bytes(eight))
        };
        let is_known = VERSIONS.contains(&four(VERSION_AT)?);
        is_known.then_some(Self {
            is_shut_down: four(STATE_AT)? == SHUT_DOWN,
            next_xid: eight(NEXT_XID_AT)?,
        })
    }
}
