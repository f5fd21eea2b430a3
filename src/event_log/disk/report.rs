//! What opening a log found, did and could not do.
use crate::domain::event::recorded::Head;
use crate::event_log::journal::segment;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What happened when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Where the log ends.
    pub head: Head,
    /// Where its files lie.
    pub segments: Segments,
    /// What was found and done, in order.
    pub findings: Vec<OpenFinding>,
    /// Why nothing can be appended, where that is so.
    pub read_only: Option<String>,
}

/// How many files a journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segments {
    /// All of them.
    pub all: usize,
    /// Those in the archive alone.
    pub archived: usize,
}

impl Segments {
    /// Those that are there now; none where the folder cannot be listed, which opening tells.
    pub(super) fn in_journal(journal: &Path) -> Self {
        let numbers = segment::list(journal).unwrap_or_default();
        let is_archived = |number: &&u32| segment::is_archived(journal, **number);
        Self {
            all: numbers.len(),
            archived: numbers.iter().filter(is_archived).count(),
        }
    }
}

impl OpenReport {
    /// What was damaged and is healed, for the `LogHealed` event; what any crash leaves behind
    /// is not among it.
    #[must_use]
    pub fn healed(&self) -> Option<String> {
        let healed: Vec<String> = self
            .findings
            .iter()
            .filter(|it| it.is_healed_damage())
            .map(ToString::to_string)
            .collect();
        (!healed.is_empty()).then(|| healed.join("; "))
    }
}

/// One thing that was found when a log was opened, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenFinding {
    /// The last write was incomplete and not yet acknowledged.
    TornTailCut {
        /// How much was removed.
        bytes: u64,
    },
    /// The last commits were missing from the index.
    IndexCaughtUp {
        /// How many were added.
        commits: u64,
    },
    /// The index was missing and was built from the journal.
    IndexMade {
        /// How many commits it has.
        commits: u64,
    },
    /// The index was damaged and was rebuilt from the journal.
    IndexRebuilt {
        /// What was wrong.
        reason: String,
        /// The damaged files.
        aside: PathBuf,
    },
    /// The index cannot be used or rebuilt; reads use the journal, which is slower.
    IndexUnusable {
        /// What is wrong.
        reason: String,
    },
    /// The journal was damaged and was restored from both copies.
    JournalHealed {
        /// What was wrong.
        reason: String,
        /// The damaged files; none if it was missing.
        aside: Option<PathBuf>,
    },
    /// An earlier start repaired damage, but crashed before it was recorded.
    HealedBefore {
        /// What it found and did.
        detail: String,
    },
    /// The file `HEAD` was damaged, or contradicted both copies, and was replaced.
    HeadFileReplaced {
        /// What was wrong.
        reason: String,
    },
}

impl OpenFinding {
    fn is_healed_damage(&self) -> bool {
        match self {
            Self::IndexRebuilt { .. }
            | Self::JournalHealed { .. }
            | Self::HealedBefore { .. }
            | Self::HeadFileReplaced { .. } => true,
            Self::TornTailCut { .. }
            | Self::IndexCaughtUp { .. }
            | Self::IndexMade { .. }
            | Self::IndexUnusable { .. } => false,
        }
    }
}

impl fmt::Display for OpenFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TornTailCut { bytes } => {
                write!(f, "{bytes} bytes of an unfinished write were removed")
            }
            Self::IndexCaughtUp { commits } => {
                write!(f, "{commits} commits were added to the index")
            }
            Self::IndexMade { commits } => {
                write!(
                    f,
                    "the index was built from the journal's {commits} commits"
                )
            }
            Self::IndexRebuilt { reason, aside } => write!(
                f,
                "the index was rebuilt from the journal ({reason}); the damaged one is in {}",
                below_forge(aside)
            ),
            Self::IndexUnusable { reason } => write!(
                f,
                "the index cannot be used ({reason}); events are read from the journal"
            ),
            Self::JournalHealed { reason, aside } => {
                write!(f, "the journal was restored from both copies ({reason})")?;
                match aside {
                    Some(aside) => write!(f, "; the damaged one is in {}", below_forge(aside)),
                    None => Ok(()),
                }
            }
            Self::HealedBefore { detail } => f.write_str(detail),
            Self::HeadFileReplaced { reason } => {
                write!(f, "the file HEAD was replaced ({reason})")
            }
        }
    }
}

/// A path for use in events, without the host's folders.
fn below_forge(place: &Path) -> String {
    let name = place.file_name().unwrap_or_default();
    format!(".forge/{}", name.to_string_lossy())
}

/// Why a log could not be opened at all. Damage does not prevent it: it is repaired, or the log opens
/// read-only.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another gateway has it open.
    #[error("the event log in {} is in use by another gateway", folder.display())]
    InUse {
        /// Where it lies.
        folder: PathBuf,
    },
    /// A part of the journal lies where nothing can be reached.
    #[error(
        "the journal's archive (.forge/journal/archive) links to {}, which does not exist. Mount \
         that disk and start again. Or remove the link: the events of the archive are then \
         restored from the index",
        target.display()
    )]
    ArchiveUnreachable {
        /// Where it leads.
        target: PathBuf,
    },
    /// The system refuses what must work.
    #[error("{what} {} failed", path.display())]
    Io {
        /// What was tried: `making the folder`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    pub(super) fn io(
        what: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }
}
