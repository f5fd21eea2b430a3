//! A log in a vector, a read model of it, and ways to look into both.
use super::sqlite;
use dbforge::clock::Deadline;
use dbforge::domain::event::Stream;
use dbforge::domain::event::recorded::{Head, KeyOwner, NewCommit, RecordedEvent};
use dbforge::domain::ids::Sequence;
use dbforge::event_log::{AppendError, EventLog, ReadError};
use dbforge::projections::control_db::{ControlDb, Opening, Page, PageRequest};
use rusqlite::types::ValueRef;

use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for the slowest machine; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn soon() -> Deadline {
    Deadline::after(PATIENCE)
}

/// What stands in for the export's form of an event.
pub(crate) fn export_line(recorded: &RecordedEvent) -> String {
    let data = recorded.event.serialize_data(serde_json::value::Serializer);
    json!({
        "sequence": recorded.sequence,
        "kind": recorded.event.kind().as_str(),
        "actor": recorded.commit.actor,
        "data": data.unwrap(),
        "hash": hex::encode(recorded.hash),
    })
    .to_string()
}

/// An event log in a vector, which can be told to be unreadable.
#[derive(Default)]
pub(crate) struct VecLog {
    events: Mutex<Vec<RecordedEvent>>,
    pub(crate) is_unreadable: AtomicBool,
}

impl VecLog {
    pub(crate) fn of(events: &[RecordedEvent]) -> Arc<Self> {
        let log = Self::default();
        log.events.lock().unwrap().extend_from_slice(events);
        Arc::new(log)
    }

    pub(crate) fn all(&self) -> Vec<RecordedEvent> {
        self.events.lock().unwrap().clone()
    }

    fn select(
        &self,
        after: Sequence,
        limit: usize,
        wanted: impl Fn(&RecordedEvent) -> bool,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        if self.is_unreadable.load(Ordering::SeqCst) {
            let reason = "the test says so".to_owned();
            return Err(ReadError { after, reason });
        }
        let events = self.events.lock().unwrap();
        let behind = events.iter().skip(usize::try_from(after.0).unwrap());
        Ok(behind
            .filter(|it| wanted(it))
            .take(limit)
            .cloned()
            .collect())
    }
}

impl EventLog for VecLog {
    fn append(
        &self,
        expected_end: Sequence,
        commits: Vec<NewCommit>,
    ) -> Result<Vec<RecordedEvent>, AppendError> {
        let head = self.head();
        assert_eq!(head.sequence, expected_end);
        let (mut sequence, mut previous_hash) = (head.sequence, head.hash);
        let mut appended = Vec::new();
        for NewCommit { header, events } in commits {
            let commit = Arc::new(header);
            for event in events {
                sequence = sequence.next();
                let text = format!("{previous_hash:?} {sequence} {commit:?} {event:?}");
                let hash = Sha256::digest(text).into();
                appended.push(RecordedEvent {
                    sequence,
                    commit: Arc::clone(&commit),
                    event,
                    schema_version: 1,
                    data_before_upcast: None,
                    previous_hash,
                    hash,
                });
                previous_hash = hash;
            }
        }
        self.events.lock().unwrap().extend_from_slice(&appended);
        Ok(appended)
    }

    fn read_after(&self, after: Sequence, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        self.select(after, limit, |_| true)
    }

    fn read_stream(
        &self,
        stream: Stream,
        after: Sequence,
        limit: usize,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.select(after, limit, |it| it.event.stream() == stream)
    }

    fn find_idempotent(
        &self,
        owner: &KeyOwner,
        key: &str,
    ) -> Result<Option<Vec<RecordedEvent>>, ReadError> {
        let used = |it: &RecordedEvent| it.commit.uses_key(owner, key);
        let found = self.select(Sequence(0), usize::MAX, used)?;
        Ok((!found.is_empty()).then_some(found))
    }

    fn keep_reserve(&self) -> bool {
        true
    }

    fn open_reserve(&self) {}

    fn head(&self) -> Head {
        let events = self.events.lock().unwrap();
        events.last().map_or_else(Head::default, |it| Head {
            sequence: it.sequence,
            hash: it.hash,
            time: it.commit.time,
        })
    }

    fn read_only(&self) -> Option<String> {
        None
    }

    fn close(&self) {}
}

/// A folder of this test alone, removed with what is in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.path().join("control.db")
    }
}

/// Opens the read model and lets it come to the log's end.
pub(crate) async fn follow(folder: &Folder, log: &Arc<VecLog>) -> (ControlDb, Opening) {
    let (control_db, opening) =
        sqlite::control_db(&folder.file(), log.clone(), export_line).unwrap();
    control_db
        .wait_for(log.head().sequence, soon())
        .await
        .unwrap();
    (control_db, opening)
}

/// Everything in the file, as text.
pub(crate) fn contents(path: &Path) -> String {
    let connection = sqlite::open_read_only(path);
    let mut text = String::new();
    for table in [
        "events",
        "jobs",
        "databases",
        "labels",
        "tokens",
        "progress",
    ] {
        writeln!(text, "# {table}").unwrap();
        let sql = format!("SELECT * FROM {table} ORDER BY 1, 2, 3");
        let mut statement = connection.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            for column in 0..columns {
                match row.get_ref(column).unwrap() {
                    ValueRef::Text(bytes) => text.push_str(std::str::from_utf8(bytes).unwrap()),
                    other => write!(text, "{other:?}").unwrap(),
                }
                text.push('|');
            }
            text.push('\n');
        }
    }
    text
}

/// The first page.
pub(crate) fn first(limit: usize) -> PageRequest {
    PageRequest {
        limit,
        cursor: None,
    }
}

/// The page behind this one, where there is one.
pub(crate) fn next<T>(page: &Page<T>, limit: usize) -> Option<PageRequest> {
    let cursor = page.next_cursor.clone()?;
    Some(PageRequest {
        limit,
        cursor: Some(cursor),
    })
}

/// All pages of one list, put together.
macro_rules! whole {
    ($control_db:expr, $list:ident, $filter:expr, $limit:expr) => {{
        let mut items = Vec::new();
        let mut request = Some($crate::support::read_model::first($limit));
        let mut as_of = None;
        while let Some(asked) = request {
            let page = $control_db.$list($filter.clone(), asked).await.unwrap();
            assert!(page.items.len() <= $limit);
            assert_eq!(*as_of.get_or_insert(page.as_of), page.as_of);
            request = $crate::support::read_model::next(&page, $limit);
            items.extend(page.items);
        }
        items
    }};
}

pub(crate) use whole;
