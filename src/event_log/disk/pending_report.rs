//! The file `healed`: damage that was healed and of which no event tells yet.
//!
//! It is written before anything is changed, so that a crash between healing and the event
//! leaves what the event has to say. The event makes it obsolete; the next open removes it.
use crate::domain::event::Event;
use crate::domain::ids::Sequence;
use crate::event_log::EventLog;
use crate::whole_file;
use std::fs;
use std::io;
use std::path::Path;

const NAME: &str = "healed";

/// What was healed, and where the log ended then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PendingReport {
    after: Sequence,
    detail: String,
}

/// Notes that damage is about to be healed in a log that ends at `after`, beside what an earlier
/// open has left.
pub(super) fn begin(folder: &Path, earlier: Option<&PendingReport>, after: Sequence, reason: &str) {
    match earlier {
        Some(earlier) if earlier.detail.contains(reason) => {}
        Some(earlier) => write(
            folder,
            earlier.after,
            &format!("{}; {reason}", earlier.detail),
        ),
        None => write(folder, after, reason),
    }
}

/// Puts back what an earlier open has left: nothing was healed since.
pub(super) fn take_back(folder: &Path, earlier: Option<&PendingReport>) {
    match earlier {
        Some(earlier) => write(folder, earlier.after, &earlier.detail),
        None => remove(folder),
    }
}

/// Keeps what was healed in a log that ends at `after`. Without it the healing is still right,
/// so a failure is told and not final.
pub(super) fn write(folder: &Path, after: Sequence, detail: &str) {
    if let Err(error) = try_write(folder, after, detail) {
        tracing::warn!(%error, "failed to note a repair: {detail}");
    }
}

/// What an earlier open left, if anything that can be read.
pub(super) fn read(folder: &Path) -> Option<PendingReport> {
    let text = fs::read_to_string(folder.join(NAME)).ok()?;
    let (after, detail) = text.split_once('\n')?;
    Some(PendingReport {
        after: Sequence(after.parse().ok()?),
        detail: detail.to_owned(),
    })
}

impl PendingReport {
    /// What still has to be told: nothing when `log` has the event, whose place is right behind
    /// the healing, or when `now` says it again.
    pub(super) fn detail(self, log: &dyn EventLog, now: Option<&str>) -> Option<String> {
        let next = log.read_after(self.after, 1).unwrap_or_default();
        let is_told = matches!(next.first().map(|it| &it.event), Some(Event::LogHealed(_)));
        let is_said = now.is_some_and(|said| said.contains(&self.detail));
        (!is_told && !is_said).then_some(self.detail)
    }
}

/// Removes the file: everything is told.
pub(super) fn remove(folder: &Path) {
    match fs::remove_file(folder.join(NAME)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "failed to remove the note of a repair");
        }
        _ => {}
    }
}

fn try_write(folder: &Path, after: Sequence, detail: &str) -> io::Result<()> {
    let text = format!("{after}\n{detail}");
    whole_file::replace(&folder.join(NAME), text.as_bytes())
}
