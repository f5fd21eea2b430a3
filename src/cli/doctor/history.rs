//! The event log, its derived files, and the files of the databases.
use super::finding::Finding;
use crate::cli::terminal::plural::{counted, matching};
use crate::clock::timestamp::Timestamp;
use crate::clock::{CLOCK_TOLERANCE, Clock, SystemClock};
use crate::domain::database::Condition;
use crate::domain::state::State;
use crate::engine::registry::Engines;
use crate::event_log::checkpoints::{Checkpoints, Comparison, Contradiction, HeldCheckpoints};
use crate::event_log::verify::{Verified, VerifyError, verify_each};
use std::collections::BTreeSet;
use std::path::Path;

/// The findings, and the state after the verified events.
pub(super) struct History {
    pub(super) findings: Vec<Finding>,
    pub(super) state: State,
}

pub(super) fn look(data_dir: &Path, forge_dir: &Path) -> History {
    let mut state = State::default();
    let kept = Checkpoints::at(forge_dir.join("audit")).all();
    let mut comparison = Comparison::with(kept.as_ref().map_or_else(|_| vec![], Clone::clone));
    let verified = verify_each(forge_dir, |recorded| {
        state.evolve(recorded);
        comparison.follow(recorded);
    });
    let mut findings = vec![journal(&verified)];
    if let Ok(whole) = &verified {
        findings.push(clock(whole.head.time, SystemClock.now()));
    }
    // A damaged journal cannot be compared with checkpoints.
    if verified.is_ok() {
        findings.push(match kept {
            Ok(_) => checkpoints(comparison.end()),
            Err(error) => Finding::fail("signed", error.to_string(), CHECKPOINTS_HINT),
        });
    }
    findings.extend(copies(forge_dir, &verified));
    // A damaged log does not say which databases should exist.
    if verified.is_ok() {
        findings.push(files(data_dir, &state));
    }
    History { findings, state }
}

fn journal(verified: &Result<Verified, VerifyError>) -> Finding {
    match verified {
        Ok(whole) => {
            let mut seen = format!(
                "{} in {} verify",
                counted(whole.events, "event"),
                counted(whole.commits, "commit")
            );
            if whole.archived > 0 {
                let (archived, all) = (whole.archived, whole.segments);
                seen.push_str(&format!(
                    "; {archived} of {all} files are archived, the events up to {}",
                    whole.archived_to
                ));
            }
            match whole.unfinished_bytes {
                0 => Finding::ok("journal", seen),
                bytes => Finding::ok(
                    "journal",
                    format!(
                        "{seen}; {} of an incomplete write follow",
                        counted(bytes, "byte")
                    ),
                ),
            }
        }
        Err(error @ VerifyError::Damaged { .. }) => Finding::fail(
            "journal",
            error.to_string(),
            "copy the data folder, then start the gateway: it repairs the journal from an intact \
             events.sled; without one it serves SQL and is read-only otherwise",
        ),
        Err(VerifyError::Unreadable(error)) => Finding::fail(
            "journal",
            error.to_string(),
            "run this as the user who runs the gateway, or restore the journal from a backup",
        ),
    }
}

/// Times in the log never go back, so the log shows if the clock was ahead once.
fn clock(last_event: Timestamp, now: Timestamp) -> Finding {
    let lead = last_event.since(now);
    if lead < CLOCK_TOLERANCE {
        return Finding::ok("clock", "not behind the last event");
    }
    Finding::warn(
        "clock",
        format!(
            "the clock shows {now}, but the last event is from {last_event}, {} s ahead",
            lead.as_secs()
        ),
        "check the clock. If it is right, nothing needs to be done: it was ahead earlier, and \
         new events keep that date until the clock reaches it",
    )
}

fn checkpoints(compared: Result<HeldCheckpoints, Contradiction>) -> Finding {
    match compared {
        Ok(HeldCheckpoints { count: 0, .. }) => Finding::ok("signed", "no checkpoint yet"),
        Ok(HeldCheckpoints { count, last }) => Finding::ok(
            "signed",
            format!("{}, the last at event {last}", matching(count)),
        ),
        Err(contradiction) => Finding::fail("signed", contradiction.to_string(), CHECKPOINTS_HINT),
    }
}

const CHECKPOINTS_HINT: &str = "check the signatures with `dbforge log verify`; compare with a backup of the \
     data folder";

/// These files are rebuilt from the journal, so an intact journal may lack them.
fn copies(forge_dir: &Path, verified: &Result<Verified, VerifyError>) -> Vec<Finding> {
    let copies = [
        ("events.sled", "index", Some("the next start rebuilds it")),
        (
            "control.db",
            "read model",
            Some("the next start rebuilds it"),
        ),
        // Written when a gateway stops.
        ("HEAD", "head file", None),
    ];
    copies
        .into_iter()
        .map(|(file, what, without)| {
            if forge_dir.join(file).exists() {
                return Finding::ok(what, format!("{file} exists"));
            }
            let seen = format!("{file} does not exist");
            match verified {
                Ok(whole) => match without {
                    Some(next) if whole.events > 0 => Finding::warn(what, seen, next),
                    _ => Finding::ok(what, format!("{seen} yet")),
                },
                Err(_) => Finding::fail(what, seen, "the journal cannot be repaired from it"),
            }
        })
        .collect()
}

/// Every database that is ready or stopped must have its file.
fn files(data_dir: &Path, state: &State) -> Finding {
    let in_place: Vec<_> = state
        .databases()
        .filter(|database| matches!(database.condition, Condition::Ready | Condition::Stopped))
        .collect();
    let engines = Engines::standard();
    let troubles = in_place.iter().filter_map(|database| {
        let folder = data_dir.join("databases").join(database.id.to_string());
        let engine = engines.find(&database.engine.0)?;
        let (seen, help) = match engine.data_file(&folder) {
            Ok(seen) => seen.trouble()?,
            Err(_) => ("cannot be read", "run as the user of the gateway"),
        };
        let seen = format!("the file of {} ({}) {seen}", database.name, database.id);
        Some((seen, help))
    });
    let (seen, help): (Vec<_>, BTreeSet<_>) = troubles.unzip();
    if seen.is_empty() {
        return Finding::ok(
            "files",
            format!(
                "every database has its file: {}",
                counted(in_place.len(), "database")
            ),
        );
    }
    let help: Vec<_> = help.into_iter().collect();
    Finding::fail("files", seen.join(", "), help.join("; "))
}
