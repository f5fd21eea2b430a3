//! Opening: gather what every part says, then go on, heal and look again, or open read-only.
use super::head_file::HighWaterMark;
use super::indexing::Indexing;
use super::inspection::{IndexState, Inspection, Places};
use super::pending_report;
use super::report::{OpenError, OpenFinding, OpenReport, Segments};
use super::reserve::Reserve;
use super::salvage::SalvagedLog;
use super::verified_log::VerifiedLog;
use super::{DiskEventLog, History, Settings, Writer, heal, write_head_file};
use crate::clock::{Deadline, Stopwatch};
use crate::domain::event::recorded::Head;
use crate::event_log::archive;
use crate::event_log::journal::reader::JournalReader;
use crate::event_log::journal::scan::Rest;
use crate::event_log::journal::segment;
use crate::event_log::journal::writer::JournalWriter;
use crate::locks::{Mutex, RwLock};
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

impl DiskEventLog {
    /// Opens the log in `folder`, making it where it is missing. Waits at most 5 s, for a
    /// gateway that is shutting down to close the index.
    ///
    /// Nothing is changed before the lock is held, and nothing at all when the log opens
    /// read-only.
    ///
    /// # Errors
    /// When another gateway has it open, or the system refuses what must work. Damage is no
    /// error: it is healed, or the log opens read-only, and the report says so.
    pub fn open(folder: &Path, settings: Settings) -> Result<(Self, OpenReport), OpenError> {
        make_folder(folder)?;
        let lock = take_lock(folder)?;
        let places = Places::of(folder);
        if let Some(target) = segment::unreachable_archive(&places.journal) {
            return Err(OpenError::ArchiveUnreachable { target });
        }
        heal::finish_exchange(&places)
            .map_err(OpenError::io("ending the exchange of journals in", folder))?;
        let gather =
            || Inspection::gather(&places).map_err(OpenError::io("listing", &places.journal));
        let mut findings = Vec::new();
        let mut inspection = gather()?;
        if let Some(reason) = inspection.contradiction() {
            let _held_off = archive::hold_off(folder)
                .map_err(OpenError::io("keeping to itself the journal in", folder))?;
            match heal(&places, settings, inspection, reason)? {
                Healing::Done(done) => findings = done,
                Healing::Impossible(salvaged, reason) => {
                    return Ok(open_read_only(lock, &places, *salvaged, reason));
                }
            }
            inspection = gather()?;
        }
        if let Some(reason) = inspection.contradiction() {
            let salvaged = salvage(&places, inspection.index)?;
            return Ok(open_read_only(lock, &places, salvaged, reason));
        }
        open_verified(lock, &places, settings, inspection, findings)
    }
}

enum Healing {
    Done(Vec<OpenFinding>),
    Impossible(Box<SalvagedLog>, String),
}

/// Makes the parts agree, where one history has every event of which any of them knows.
fn heal(
    places: &Places,
    settings: Settings,
    inspection: Inspection,
    reason: String,
) -> Result<Healing, OpenError> {
    let furthest = inspection.furthest();
    let ends = inspection.head;
    let is_damaged = matches!(inspection.walk.rest, Rest::Damage(_));
    let has_index = matches!(inspection.index, IndexState::Open(_));
    let salvaged = salvage(places, inspection.index)?;
    let head = salvaged.head();
    if head.sequence.0 < furthest {
        let verifies_to = head.sequence;
        let reason = match furthest {
            u64::MAX => format!("{reason}; what this version can read ends at event {verifies_to}"),
            _ => format!("{reason}; of {furthest} events, {verifies_to} verify in either copy"),
        };
        return Ok(Healing::Impossible(Box::new(salvaged), reason));
    }
    let earlier = pending_report::read(&places.folder);
    pending_report::begin(&places.folder, earlier.as_ref(), head.sequence, &reason);
    let index_is_right = salvaged.holds(&inspection.index_head);
    let mark_is_right = match &inspection.high_water_mark {
        HighWaterMark::Reached(reached) => salvaged.holds(reached),
        HighWaterMark::Missing | HighWaterMark::Damaged(_) => true,
    };
    let mut done = Vec::new();
    let rewrites = is_damaged || head != ends || !salvaged.is_in_the_journal();
    if rewrites {
        match heal::rewrite_journal(places, settings.segment_bytes, &salvaged) {
            Ok(aside) => done.push(OpenFinding::JournalHealed {
                reason: reason.clone(),
                aside,
            }),
            Err(error) => {
                pending_report::take_back(&places.folder, earlier.as_ref());
                let reason = format!("{reason}; it could not be healed: {error}");
                return Ok(Healing::Impossible(Box::new(salvaged), reason));
            }
        }
    }
    drop(salvaged);
    // The index tells where large commits lie in the journal, so it goes with the journal.
    if has_index && (rewrites || !index_is_right) {
        let aside =
            heal::move_index_aside(places).map_err(OpenError::io("moving away", &places.index))?;
        if !index_is_right {
            let reason = reason.clone();
            done.push(OpenFinding::IndexRebuilt { reason, aside });
        }
    }
    write_head_file(&places.folder, &head);
    if !mark_is_right {
        done.push(OpenFinding::HeadFileReplaced { reason });
    }
    Ok(Healing::Done(done))
}

fn salvage(places: &Places, index: IndexState) -> Result<SalvagedLog, OpenError> {
    let index = match index {
        IndexState::Open(index) => Some(index),
        IndexState::Missing | IndexState::Failed(_) => None,
    };
    SalvagedLog::gather(&places.journal, index).map_err(OpenError::io("listing", &places.journal))
}

fn open_read_only(
    lock: File,
    places: &Places,
    salvaged: SalvagedLog,
    reason: String,
) -> (DiskEventLog, OpenReport) {
    let report = OpenReport {
        head: salvaged.head(),
        segments: Segments::in_journal(&places.journal),
        findings: Vec::new(),
        read_only: Some(reason.clone()),
    };
    let history = History::Salvaged(salvaged);
    let log = log_with(lock, places, history, None, report.head);
    log.read_only.get_or_init(|| reason);
    (log, report)
}

fn open_verified(
    lock: File,
    places: &Places,
    settings: Settings,
    inspection: Inspection,
    mut findings: Vec<OpenFinding>,
) -> Result<(DiskEventLog, OpenReport), OpenError> {
    let head = inspection.head;
    let damage = match (&inspection.index, &inspection.high_water_mark) {
        (IndexState::Failed(reason), _) | (_, HighWaterMark::Damaged(reason)) => Some(reason),
        _ => None,
    };
    let pending_report = pending_report::read(&places.folder);
    if let Some(damage) = damage {
        pending_report::begin(
            &places.folder,
            pending_report.as_ref(),
            head.sequence,
            damage,
        );
    }
    make_folder(&places.journal)?;
    let writer = JournalWriter::open(&places.journal, settings.segment_bytes, inspection.walk.end)
        .map_err(OpenError::io("opening the end of", &places.journal))?;
    if let Rest::Torn { bytes } = inspection.walk.rest {
        findings.push(OpenFinding::TornTailCut { bytes });
    }
    let journal = JournalReader::new(&places.journal, inspection.marks);
    let indexing = Indexing {
        places,
        journal: &journal,
        head,
    };
    let indexed = (inspection.index_head, inspection.indexed_streams);
    let index = indexing.ready_index(inspection.index, indexed, &mut findings);
    if let HighWaterMark::Damaged(reason) = &inspection.high_water_mark {
        let reason = reason.clone();
        findings.push(OpenFinding::HeadFileReplaced { reason });
    }
    if inspection.high_water_mark != HighWaterMark::Reached(head) {
        write_head_file(&places.folder, &head);
    }
    let history = History::Verified(VerifiedLog::new(&places.folder, journal, index));
    let log = log_with(lock, places, history, Some(writer), head);
    let mut report = OpenReport {
        head,
        segments: Segments::in_journal(&places.journal),
        findings,
        read_only: None,
    };
    let before = pending_report.and_then(|it| it.detail(&log, report.healed().as_deref()));
    if let Some(detail) = before {
        report.findings.push(OpenFinding::HealedBefore { detail });
    }
    match report.healed() {
        Some(detail) => pending_report::write(&places.folder, head.sequence, &detail),
        None => pending_report::remove(&places.folder),
    }
    Ok((log, report))
}

fn log_with(
    lock: File,
    places: &Places,
    history: History,
    journal: Option<JournalWriter>,
    head: Head,
) -> DiskEventLog {
    DiskEventLog {
        folder: places.folder.clone(),
        history,
        writer: Mutex::new(Writer {
            journal,
            unflushed_commits: 0,
            since_flush: Stopwatch::start(),
        }),
        head: RwLock::new(head),
        read_only: OnceLock::new(),
        reserve: Reserve::new(&places.folder),
        _lock: lock,
    }
}

fn make_folder(folder: &Path) -> Result<(), OpenError> {
    segment::make_folder(folder).map_err(OpenError::io("making the folder", folder))
}

/// How long a gateway that is just ending, or a child that it has just started, may keep the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
const LOCK_PAUSE: Duration = Duration::from_millis(10);

fn take_lock(folder: &Path) -> Result<File, OpenError> {
    let path = folder.join("lock");
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(OpenError::io("opening", &path))?;
    let patience = Deadline::after(LOCK_PATIENCE);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if !patience.has_passed() => {
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse {
                    folder: folder.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(OpenError::io("locking", &path)(error)),
        }
    }
}
